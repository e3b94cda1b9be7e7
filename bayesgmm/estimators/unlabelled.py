"""Mixtures of all classes, fitted together to rows with and without labels."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.labels import UNLABELLED, Labels
from bayesgmm.data.points import Points
from bayesgmm.errors import DeclarationError, warn
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


def labels_of_classes(classes: NDArray[np.int64], counts: Sequence[int]) -> Labels:
    """Return the labels of rows: each may belong to the components of its class, or to all if that is not known.

    Parameters
    ----------
    classes : (N,) int
        Number of the class of each row, -1 if it is not known.
    counts : sequence of int
        Number of components of each class.

    Examples
    --------
    >>> labels_of_classes(np.array([1, -1]), [1, 2]).plausible
    array([[0., 1., 1., 0.],
           [1., 1., 1., 1.]])
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    plausible = ((classes[:, None] == owner) | (classes[:, None] == UNLABELLED)).astype(np.float64)
    return Labels(np.column_stack([plausible, classes == UNLABELLED]))


def in_free_structure(model: MixtureModel, counts: Sequence[int]) -> MixtureModel:
    """Return the model of one class in a structure that components of several classes do not share.

    Raises
    ------
    DeclarationError
        If the components of a class share a covariance, which those of other classes would share, too.
    """
    free = model.family.signature(1, 2)  # the structure of a single component
    if free == model.covariance:
        return model
    if max(counts) > 1:
        raise DeclarationError(
            f"covariance_type={model.covariance!r} with unlabelled rows and several components of a class: all "
            "classes would share it\n  Use 'full', 'diag' or 'spherical', or n_components=1."
        )
    return model.model_copy(update={"covariance": free})  # of one component: the same


def fit_classes(
    fit: "Callable[[MixtureModel, Points], xr.DataTree]",
    model: MixtureModel,
    points: Points,
    classes: NDArray[np.int64],
    counts: Sequence[int],
) -> "tuple[list[xr.DataTree], Array]":
    """Fit the mixtures of all classes together: a row without a label may belong to any component.

    Parameters
    ----------
    fit : callable
        It takes a model and points.
    model : MixtureModel
        Mixture of one class; the components of all classes have its structure.
    points : Points
    classes : (N,) int
        Number of the class of each row, -1 if it is not known.
    counts : sequence of int
        Number of components of each class.

    Returns
    -------
    list of DataTree
        Fit of each class.
    (n_classes,) float
        Posterior means of the shares of the classes.

    References
    ----------
    .. [1] Miller & Uyar (1997), Advances in Neural Information Processing Systems 9, 571-577.
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    labelled = replace(points, labels=labels_of_classes(classes, counts))
    joint = fit(model.model_copy(update={"n_components": len(owner)}), labelled)
    weight = unpack(joint).parameters.weight.mean(axis=0)
    parts = [of_components(joint, np.flatnonzero(owner == c), classes == c) for c in range(len(counts))]
    return parts, np.bincount(owner, weights=weight)
