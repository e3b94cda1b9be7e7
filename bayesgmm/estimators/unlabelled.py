"""Mixtures of all classes, fitted together to rows with and without labels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.labels import UNLABELLED, Labels
from bayesgmm.data.points import Points
from bayesgmm.errors import DeclarationError, warn
from bayesgmm.estimators import fits
from bayesgmm.estimators.arguments import RandomState
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.schema import unpack
from bayesgmm.posterior.subsets import of_components
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

AUTO = "auto"


def labelled_rows(labels: NDArray[Any], unlabelled: object) -> NDArray[np.bool_]:
    """Return which rows (N,) have a label.

    Parameters
    ----------
    labels : (N,) array
    unlabelled : object
        Value of a row without a label; None if each row has one; ``'auto'``: -1, unless there are at most two different
        values, which are then two classes.

    Warns
    -----
    FitWarning
        With ``'auto'``, when rows count as unlabelled.

    Examples
    --------
    >>> labelled_rows(np.array([-1, 1, 1]), "auto"), labelled_rows(np.array([-1, 1, 1]), -1)
    (array([ True,  True,  True]), array([False,  True,  True]))
    """
    if unlabelled is None:
        return np.ones(len(labels), dtype=bool)
    if unlabelled != AUTO:
        return without(labels, unlabelled)
    known = without(labels, UNLABELLED)
    if known.all() or len({*labels[known].tolist()}) < 2:
        return np.ones(len(labels), dtype=bool)
    warn(
        [
            f"{len(known) - known.sum():,} of {len(known):,} rows have y = {UNLABELLED} and count as unlabelled. "
            f"unlabelled={UNLABELLED} says so without this warning; unlabelled=None makes {UNLABELLED} a class."
        ]
    )
    return known


def without(labels: NDArray[Any], value: object) -> NDArray[np.bool_]:
    """Return which rows (N,) have another label than a value; beside texts, numpy makes it a text.

    Examples
    --------
    >>> without(np.array(["a", -1]), -1)
    array([ True, False])
    """
    return np.array([label != value and not (isinstance(label, str) and label == str(value)) for label in labels])


def fit_classes(
    model: MixtureModel,
    points: Points,
    classes: NDArray[np.int64],
    counts: Sequence[int],
    method: str,
    random_state: RandomState,
    settings: dict[str, Any] | None,
) -> "tuple[list[xr.DataTree], Array]":
    """Fit the mixtures of all classes together: a row without a label may belong to any component.

    Parameters
    ----------
    model : MixtureModel
        Mixture of one class.
    points : Points
    classes : (N,) int
        Number of the class of each row, -1 if it is not known.
    counts : sequence of int
        Number of components of each class.
    method, random_state, settings
        As for ``fits.fit``.

    Returns
    -------
    list of DataTree
        Fit of each class.
    (n_classes,) float
        Posterior means of the shares of the classes.

    Raises
    ------
    DeclarationError
        If the components of a class share a covariance, which those of other classes would share, too.

    References
    ----------
    .. [1] Miller & Uyar (1997), Advances in Neural Information Processing Systems 9, 571-577.
    """
    if (free := model.family.free) != model.covariance:
        if max(counts) > 1:
            raise DeclarationError(
                f"covariance_type={model.covariance!r} with unlabelled rows and several components of a class: all "
                "classes would share it\n  Use 'full', 'diag' or 'spherical', or n_components=1."
            )
        model = model.model_copy(update={"covariance": free})  # of one component: the same
    owner = np.repeat(np.arange(len(counts)), counts)
    plausible = ((classes[:, None] == owner) | (classes[:, None] == UNLABELLED)).astype(np.float64)
    labels = Labels(np.column_stack([plausible, classes == UNLABELLED]))
    joint = fits.fit(
        model.model_copy(update={"n_components": len(owner)}),
        replace(points, labels=labels),
        method,
        random_state,
        settings,
    )
    weight = unpack(joint).parameters.weight.mean(axis=0)
    parts = [of_components(joint, np.flatnonzero(owner == c), classes == c) for c in range(len(counts))]
    return parts, np.bincount(owner, weights=weight)
