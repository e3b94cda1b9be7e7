"""``coreset``: a few weighted rows in place of many, drawn where mixtures are sensitive to them, and its error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import DataLike
from bayesgmm.data.standards import Standard
from bayesgmm.data.streams import Stream
from bayesgmm.declared import whole
from bayesgmm.errors import ComponentError, DataError, DeclarationError
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference import em_steps
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.searches import cores_of
from bayesgmm.inference.starts import from_centres, spread_out_centres
from bayesgmm.keywords import checks_keywords
from bayesgmm.model import MixtureModel
from bayesgmm.progress import counted, wanted
from bayesgmm.sources.opening import source
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array, Table, fold, fold_each, log_densities, responsibilities
from bayesgmm.workers.streams import drawn, room_for_rows, streamed

if TYPE_CHECKING:
    import pandas as pd

FAMILY = COVARIANCES["full"]
SIZE = 10_000  # rows of a coreset by default
TRIES = 3  # rough clusterings, of which the best is used; and mixtures from as many starts that errors are measured at
STEPS = 20  # of EM on the coreset from each of these starts
FLOOR = 1e-4  # added to variances in these steps, in standardised coordinates: components of one point are no test
EXACT = 1.01  # width of a coreset that holds all rows, or nearly all
AT_A_TIME = 2**14  # rows whose distances are computed at a time


@dataclass(frozen=True)
class Sensitivity:
    r"""Bound of how much a row can matter in the likelihood of any mixture of K components, up to a factor.

    .. math:: s(x) = \alpha \frac{d(x)^2}{\bar c} + 2 \alpha \frac{\bar c_{b(x)}}{\bar c} + \frac{4}{p_{b(x)}}, \quad
        \alpha = 16 (\log K + 2)

    with the distance :math:`d(x)` to the nearest :math:`b(x)` of K centres, its mean square :math:`\bar c`, that of
    the rows of this centre, and their share :math:`p_b`.

    Parameters
    ----------
    standard : Standard
        Distances are those of standardised columns.
    centres : (K, D) float
    slope : float
    level : (K,) float

    References
    ----------
    .. [1] Lucic, Faulkner, Krause & Feldman (2018), J. Mach. Learn. Res. 18(160), 1-25, algorithm 1.
    """

    standard: Standard
    centres: Array
    slope: float
    level: Array

    @classmethod
    def of(cls, rows: Array, standard: Standard, n_components: int, rng: np.random.Generator) -> "Sensitivity":
        """Compute it from a random sample of rows (M, D): centres by k-means++, the best of several."""
        z = (rows - standard.shift) / standard.scale
        each = [spread_out_centres(z, np.ones(len(z)), n_components, rng) for _ in range(TRIES)]
        found = [(centres, *_nearest(z, centres)) for centres in each]
        centres, label, squared = min(found, key=lambda one: float(one[2].sum()))
        count = np.maximum(np.bincount(label, minlength=n_components), 1)
        mean = float(squared.mean()) or 1.0
        alpha = 16 * (math.log(n_components) + 2)
        own = np.bincount(label, squared, minlength=n_components) / count
        return cls(standard, centres, alpha / mean, 2 * alpha * own / mean + 4 * len(z) / count)

    def __call__(self, rows: Array) -> Array:
        """Return the sensitivities of rows (n, D)."""
        label, squared = _nearest((rows - self.standard.shift) / self.standard.scale, self.centres)
        return self.slope * squared + self.level[label]


def _nearest(z: Array, centres: Array) -> tuple[NDArray[np.intp], Array]:
    """Return for rows (n, D) which of the centres (K, D) is the nearest, and the squared distance."""
    label, squared = np.empty(len(z), dtype=np.intp), np.empty(len(z))
    for first in range(0, len(z), AT_A_TIME):
        some = slice(first, first + AT_A_TIME)
        distances = np.array([np.square(z[some] - centre).sum(axis=1) for centre in centres])
        label[some], squared[some] = distances.argmin(axis=0), distances.min(axis=0)
    return label, squared


@dataclass(frozen=True, eq=False, repr=False)
class Coreset:
    """A few rows with weights that stand for all rows.

    Parameters
    ----------
    points : DataFrame
        M rows of the data, labelled by their numbers among all rows.
    weight : (M,) float
        Number of rows that each of them stands for: in proportion to the inverse of its chance to be drawn; N in sum.
    n_rows : int
        N.
    errors : DataFrame
        For some mixtures the mean log likelihood of a row minus that under one Gaussian, in nats: ``all_rows``;
        ``coreset``; their difference ``error``; and ``standard_error``, its expected size.
    width : float
        Draws from the posterior of the rows with these weights are as narrow as those from all rows, but lie about
        them with errors that are larger than a posterior standard deviation: so many times as large as it should be,
        together with the error of the N rows themselves.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = bg.datasets.make_mixture(20_000, 2, 3, overlap=0.1, seed=1).X
    >>> some = coreset(x, 3, 1000, seed=1, progress=False)
    >>> some.points.shape, some.n_rows
    ((1000, 2), 20000)
    """

    points: "pd.DataFrame"
    weight: Array
    n_rows: int
    errors: "pd.DataFrame"
    width: float

    @cached_property
    def calibrated_weight(self) -> Array:
        """Weights (M,) under which a posterior is as wide as the errors of the coreset: for credible intervals."""
        return self.weight / self.width**2

    @property
    def max_error(self) -> float:
        """Largest measured error of the mean log likelihood of a row, in nats."""
        return float(self.errors["error"].abs().max())

    def __repr__(self) -> str:
        """Return its size, and how good it is."""
        if self.width <= EXACT:
            return f"all {self.n_rows:,} rows"
        return (
            f"{len(self.points):,} of {self.n_rows:,} rows; largest error of the mean log likelihood of a row "
            f"{self.max_error:.2g} nats; weight is for point estimates (intervals from it are {self.width:.3g} "
            "times too narrow), calibrated_weight for intervals"
        )

    def table(self, weight: str = "weight", *, calibrated: bool = False) -> "pd.DataFrame":
        """Return the points and their weights as one table, for a file.

        Parameters
        ----------
        weight : str
            Name of the column of the weights.
        calibrated : bool
            True for ``calibrated_weight``.
        """
        return self.points.assign(**{weight: self.calibrated_weight if calibrated else self.weight})

    def __array__(self, *args: object, **kwargs: object) -> Array:
        """Refuse to be read as data, because the weights would be lost.

        Raises
        ------
        DataError
        """
        raise DataError(
            "the data are a coreset c, whose rows have weights\n  Write fit(model, c.points, sample_weight=c.weight)."
        )


@checks_keywords
def coreset(
    data: DataLike,
    n_components: int,
    size: int = SIZE,
    *,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    cores: int | None = None,
    memory: int | str | None = None,
    progress: bool = True,
) -> Coreset:
    """Draw a few weighted rows that stand for all rows in fits of mixtures (a coreset), and measure their error.

    Rows are drawn with chances in proportion to a bound of their influence [1]_, so that rows of small clusters and
    rows far from all clusters are more likely than in a random sample, and have smaller weights. All rows are read
    three times: to check them, to draw, and to measure the errors. The memory does not grow with the number of rows.

    Parameters
    ----------
    data : array, DataFrame, path, source or Dask collection
        (N, D), as in ``fit``. The rows of a Dask collection stay on the workers.
    n_components : int
        Number of components of the mixtures that will be fitted; an upper bound, if there may be fewer.
    size : int
        Number of rows of the coreset. If there are no more, it is all rows.
    columns : sequence of str, optional
        Columns to use. Default: all.
    seed : int
        The same seed draws the same rows, wherever they are.
    cores : int, optional
        Number of threads that measure the errors. Default: the number of cores.
    memory : int or str, optional
        Memory that rows may take at a time, in bytes or as ``'500MB'``. Default: 1 GiB.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Coreset

    Raises
    ------
    DataError
        If there are no rows, a value is missing, or the data can't be used.
    DeclarationError
        If an argument is not valid.

    Notes
    -----
    ``fit(model, c.points, sample_weight=c.weight)`` estimates what a fit of all rows estimates, with the error of the
    coreset. Draws from that posterior are too narrow by the factor ``c.width``, which grows as the square root of
    N / M: they are as narrow as if all N rows were known, but where they lie is known from M rows only. Under
    ``c.calibrated_weight`` credible intervals have the width of that error. Parameters with the small uncertainty
    that all rows leave come from ``method="vb"`` on all rows; draws on a coreset show the shape of a posterior.

    NUTS takes any weights. Gibbs sampling takes whole numbers, and its time grows with their sum, so that it
    gains nothing from a coreset.

    References
    ----------
    .. [1] Lucic, Faulkner, Krause & Feldman (2018), J. Mach. Learn. Res. 18(160), 1-25.
    .. [2] Duffield, Lund & Thorup (2007), J. ACM 54(6), 32: priority sampling.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = bg.datasets.make_mixture(20_000, 2, 3, overlap=0.1, seed=1).X
    >>> some = bg.coreset(x, 3, 2000, seed=1, progress=False)
    >>> fit = bg.fit(bg.MixtureModel(3), some.points, "em", sample_weight=some.weight, seed=1, progress=False)
    >>> fit["posterior"].sizes["component"]
    3
    """
    import pandas as pd

    _require_order(data)
    k = whole("n_components", n_components)
    size = whole("size", size, minimum=k)
    seed, threads, shown = whole("seed", seed, minimum=0), cores_of(cores), wanted(progress)
    rows = streamed(source(data, columns), room_for_rows(memory), seed, progress=shown)
    standard, rng = Standard.of(rows), np.random.default_rng((seed, 19))
    sensitivity = Sensitivity.of(rows.sample.values, standard, k, rng)
    with counted("drawing", None, shown):
        found = drawn(rows, sensitivity, size + 1, (seed, 20))
    values, at, weight = _weighted(found.rows, found.at, found.key, sensitivity, size)
    order = np.argsort(at)
    values, at, weight = values[order], at[order], weight[order] * (rows.n_points / weight.sum())
    points = pd.DataFrame(values, index=at, columns=[*rows.columns])
    own = standard.blocks(values, weight)
    mixtures = _mixtures(own, k, rng)
    with counted("measuring errors", None, shown):
        errors = _errors(own, rows, standard, mixtures, threads)
    best = max(mixtures.values(), key=lambda mixture: fold(own, mixture.table(FAMILY)).loglik)
    return Coreset(points, weight, rows.n_points, errors, _width(own, best))


def _require_order(data: object) -> None:
    """Check that the data come first, as the number of components or a model is no data.

    Raises
    ------
    DeclarationError
    """
    if isinstance(data, MixtureModel | int):
        k = data.n_components if isinstance(data, MixtureModel) else data
        what = "a model" if isinstance(data, MixtureModel) else "a number"
        raise DeclarationError(f"{what} is given in place of the data; give the data first, as in coreset(data, {k})")


def _weighted(
    rows: Array, at: NDArray[np.int64], key: Array, sensitivity: Sensitivity, size: int
) -> tuple[Array, NDArray[np.int64], Array]:
    """Return the rows with the smallest keys, their numbers, and the inverse of their chances to be among these.

    With these weights sums over all rows are estimated without bias.
    """
    rows = np.asarray(rows, dtype=np.float64)
    if len(rows) <= size:
        return rows, at, np.ones(len(rows))
    last = int(key.argmax())
    kept = np.delete(np.arange(len(rows)), last)
    return rows[kept], at[kept], np.maximum(1.0, 1 / (sensitivity(rows[kept]) * key[last]))


def _mixtures(blocks: Blocks, n_components: int, rng: np.random.Generator) -> dict[str, Mixture]:
    """Return mixtures, rough ones and those that some steps of EM on the coreset make of them."""
    rows, weight = blocks.rows(), blocks.weight[: blocks.n_points]
    sweep = em_steps.Sweep(blocks, FAMILY, floor=np.full(blocks.n_features, FLOOR))
    found = {}
    for number in range(1, TRIES + 1):
        rough = from_centres(rows, weight, spread_out_centres(rows, weight, n_components, rng), FAMILY)
        found[f"start {number}"] = rough
        try:
            found[f"start {number}, {STEPS} steps of EM"] = em_steps.take_steps(sweep, rough, STEPS).mixture
        except ComponentError:  # the start itself is compared
            continue
    return found


def _errors(
    own: Blocks, rows: Stream, standard: Standard, mixtures: dict[str, Mixture], threads: int
) -> "pd.DataFrame":
    """Compare the log likelihoods of mixtures: all rows, in one pass, and the coreset."""
    import pandas as pd

    k = len(next(iter(mixtures.values())).weight)
    sd = rows.centre_and_sd[1] / standard.scale
    root = np.diag(1 / np.where(sd > 0, sd, 1.0))[None]
    single = Mixture(np.ones(1), (rows.centre_and_sd[0] - standard.shift)[None] / standard.scale, root)
    tables = [one.table(FAMILY) for one in (single.among(k, FAMILY), *mixtures.values())]
    stack = Table(*(np.array(part) for part in zip(*((t.offset, t.mean, t.root) for t in tables), strict=True)))
    loglik = fold_each(standard.blocks(rows), stack, threads)[0] / rows.n_points
    weight = own.weight[: own.n_points]
    each = log_densities(own, stack, threads)
    gain = each[1:] - each[0]
    exact = loglik[1:] - loglik[0]
    found = gain @ weight / rows.n_points
    residual = gain - found[:, None]
    expected = np.sqrt(residual**2 @ (weight * np.maximum(weight - 1, 0.0))) / rows.n_points
    return pd.DataFrame(
        {"all_rows": exact, "coreset": found, "error": found - exact, "standard_error": expected},
        index=pd.Index([*mixtures], name="mixture"),
    )


def _width(own: Blocks, mixture: Mixture) -> float:
    """Return how many times the errors of a component's mean are the posterior standard deviation, at most."""
    weight = own.weight[: own.n_points]
    share = responsibilities(own, mixture.table(FAMILY))
    held = weight @ share
    return float(np.sqrt((weight**2 @ share / np.where(held > 0, held, 1.0)).max()))
