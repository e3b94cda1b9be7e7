"""Parametric bootstrap of the likelihood ratio: a test of the number of components."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import DataLike, Points, as_points
from bayesgmm.data.standards import Standard
from bayesgmm.data.streams import Stream
from bayesgmm.declared import whole
from bayesgmm.errors import ComponentError, DeclarationError, warn
from bayesgmm.families.family import Family
from bayesgmm.families.structures import COVARIANCES, family_named
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.remedies import advising
from bayesgmm.inference.searches import Maximum, cores_of, find_maximum, require_data, run_all, seed_of
from bayesgmm.keywords import checks_keywords
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior
from bayesgmm.predictions.replication import simulate
from bayesgmm.sources.opening import is_read_in_parts
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import alternatives
from bayesgmm.workers.streams import client_of, needed, read_rows

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, eq=False)
class BootstrapTest:
    """Result of ``bootstrap_test``.

    Parameters
    ----------
    n_components, against : int
        Numbers of components of the null hypothesis and of the alternative.
    covariance : str
    statistic : float
        Twice the log likelihood ratio of the data.
    replicates : (B,) float
        The same for data sets simulated from the null hypothesis.
    """

    n_components: int
    against: int
    covariance: str
    statistic: float
    replicates: Array

    @property
    def p_value(self) -> float:
        """Share of the data sets, the observed one included, with a ratio at least as large.

        Examples
        --------
        >>> BootstrapTest(1, 2, "full", 9.0, np.array([1.0, 4.0, 9.0])).p_value
        0.5
        """
        return float((1 + (self.replicates >= self.statistic).sum()) / (1 + self.replicates.size))

    def __str__(self) -> str:
        return (
            f"{self.n_components} against {self.against} components ({self.covariance}): -2 log lambda = "
            f"{self.statistic:.2f}, p = {self.p_value:.3g} ({self.replicates.size} replicates)"
        )


@dataclass(frozen=True)
class Hypotheses:
    """Two numbers of components, and the settings of the fits to the data and to every replicate.

    Parameters
    ----------
    family : Family
    n_components, against : int
    seed, n_init : int
    """

    family: Family
    n_components: int
    against: int
    seed: int
    n_init: int

    def fit(self, blocks: Blocks, n_components: int, stop: Event | None = None) -> Maximum:
        """Fit a number of components to points by EM."""
        return find_maximum(blocks, self.family, n_components, self.seed, self.n_init, stop)

    def statistic(self, blocks: Blocks, stop: Event | None = None) -> tuple[float, Mixture]:
        """Compute twice the log likelihood ratio; also return the mixture of the null hypothesis.

        The larger mixture includes the smaller one, so the ratio is at least 1; a smaller result of EM is set to 1.
        """
        null = self.fit(blocks, self.n_components, stop)
        other = self.fit(blocks, self.against, stop)
        return max(0.0, 2 * (other.loglik - null.loglik)), null.mixture


@dataclass(frozen=True)
class Simulated:
    """Data sets simulated from the null hypothesis.

    Parameters
    ----------
    pair : Hypotheses
    null : Posterior
        The mixture of the null hypothesis, one draw.
    size : int
        Number of points of each.
    """

    pair: Hypotheses
    null: Posterior
    size: int

    def statistic(self, number: int, stop: Event) -> float:
        """Compute the statistic of one of them; NaN if one of the two mixtures can't be fitted."""
        rows = simulate(self.null, self.size, np.random.default_rng((self.pair.seed, number)))
        try:
            return self.pair.statistic(Blocks.from_rows(rows), stop)[0]
        except ComponentError:
            return float("nan")


@checks_keywords
def bootstrap_test(
    data: DataLike,
    n_components: int,
    against: int | None = None,
    covariance: str = "full",
    *,
    replicates: int = 199,
    columns: Sequence[str] | None = None,
    seed: int | None = None,
    cores: int | None = None,
    memory: int | str | None = None,
    client: "Client | None" = None,
    progress: bool = True,
    n_init: int = 10,
) -> BootstrapTest:
    r"""Test a number of components against a larger one, by parametric bootstrap of the likelihood ratio.

    .. math:: -2 \log \lambda = 2 (\ell_{\text{against}} - \ell_{\text{n\_components}})

    Its distribution is not chi-squared [1]_: under the null hypothesis the parameters of an additional component are
    not identified. Therefore data sets of the same size are simulated from the smaller mixture, and both mixtures are
    fitted to each of them. The p-value is (1 + number of ratios at least as large) / (1 + replicates).

    Parameters
    ----------
    data : array, DataFrame, path or source
        (N, D), one row for each point. All rows are brought into memory, as those of each simulated data set are.
    n_components : int
        Number of components of the null hypothesis.
    against : int, optional
        Number of components of the alternative. Default: one more.
    covariance : str
        Covariance family, as in ``MixtureModel``.
    replicates : int
        Number of simulated data sets. The minimum p-value is 1 / (1 + replicates).
    columns : sequence of str, optional
        Columns of a DataFrame to use.
    seed : int, optional
        The same seed gives the same result for any ``cores``.
    cores : int, optional
        Number of replicates that are fitted in parallel. Default: the number of cores of the machine.
    memory : int or str, optional
        Memory that rows may take, as in ``fit``.
    client : Client, optional
        Client of a Dask cluster, whose workers simulate and fit the replicates, each of them one at a time. Default:
        for a Dask collection the client that is in use, else threads of this process.
    progress : bool
        Show a progress bar.
    n_init : int
        Number of starts of EM for each fit. With few starts, EM may miss the maximum of the larger mixture, and the
        test has less power.

    Returns
    -------
    BootstrapTest
        ``statistic``, ``replicates`` (B,), ``p_value``.

    Raises
    ------
    DataError
        When the data can't be used.
    UnknownName
        When there is no such covariance family.
    DeclarationError
        When a number is out of range, or ``against`` is not larger than ``n_components``.
    ComponentError
        When one of the two can't be fitted to the data.
    ClusterError
        When the Dask cluster can't be used.

    Warns
    -----
    FitWarning
        When interrupted by Ctrl-C, or when a replicate could not be fitted: the p-value then uses the others.

    References
    ----------
    .. [1] McLachlan (1987), J. R. Stat. Soc. C 36(3), 318-324.

    Examples
    --------
    Two groups that are far apart: one component is rejected, at the minimum p-value of 19 replicates.

    >>> x = [0.0, 1.0, 2.0, 3.0, 50.0, 51.0, 52.0, 53.0]
    >>> bootstrap_test(x, 1, covariance="tied", replicates=19, seed=1, progress=False).p_value
    0.05
    """
    require_data(data, "bootstrap_test(data, n_components=2, covariance='full')")
    pair = _hypotheses(n_components, against, covariance, seed, n_init)
    replicates, cores = whole("replicates", replicates), cores_of(cores)
    points = _rows(data, columns, memory, pair.seed, progress)
    MixtureModel(n_components=pair.against, covariance=covariance).resolve(points)
    blocks = Standard.of(points, common=pair.family.needs_common_scale).blocks(points)
    with advising(points, MixtureModel(n_components=pair.n_components, covariance=covariance)):
        observed, mixture = pair.statistic(blocks)
    null, size = _standardised(mixture, pair.family), len(points.values)
    simulated = Simulated(pair, null, size)
    client = client or client_of(data)
    calls = [(number,) for number in range(replicates)]
    values, interrupted = run_all(simulated.statistic, calls, "bootstrap", cores, progress, client=client)
    done = np.array([value for value in values if value is not None])
    kept = done[np.isfinite(done)]
    warn(_warnings(pair, len(calls), len(done), len(kept), interrupted))
    return BootstrapTest(pair.n_components, pair.against, pair.family.name, observed, kept)


def _rows(data: DataLike, columns: Sequence[str] | None, memory: int | str | None, seed: int, progress: bool) -> Points:
    """Check all rows, which must fit into memory.

    Raises
    ------
    DeclarationError
        If they do not.
    """
    if memory is None and not is_read_in_parts(data):
        return as_points(data, columns)
    points = read_rows(data, columns, memory, seed, progress)
    if isinstance(points, Stream):
        size = needed(points)
        raise DeclarationError(
            f"bootstrap_test simulates data sets of {points.n_points:,} rows: each needs {size} of memory\n"
            f"  Give memory={size!r} if there is as much, or a sample of the rows."
        )
    return points


def _hypotheses(n_components: int, against: int | None, covariance: str, seed: int | None, n_init: int) -> Hypotheses:
    """Validate the settings of the two hypotheses.

    Raises
    ------
    UnknownName
        When there is no such covariance family.
    DeclarationError
        When a number is out of range, or ``against`` is not larger than ``n_components``.
    """
    n_components = whole("n_components", n_components)
    against = n_components + 1 if against is None else whole("against", against)
    if not against > n_components:
        raise DeclarationError(f"against={against}: must be more than n_components={n_components}")
    family = family_named(covariance)
    return Hypotheses(family, n_components, against, seed_of(seed), whole("n_init", n_init))


def _standardised(mixture: Mixture, family: Family) -> Posterior:
    """Convert a mixture to a posterior of one draw, in standardised coordinates (the ratio has no units)."""
    n_components, n_features = mixture.mean.shape
    covariance = family.matrices(mixture.core_roots, n_components, n_features)
    parameters = Parameters(mixture.weight[None], mixture.mean[None], covariance[None])
    names = tuple(f"x{j}" for j in range(n_features))
    return Posterior(parameters, names, Standard(np.zeros(n_features), np.ones(n_features)))


def _warnings(pair: Hypotheses, wanted: int, done: int, kept: int, interrupted: bool) -> list[str]:
    messages = [f"Interrupted: {done} of {wanted} replicates were done."] if interrupted else []
    if kept < done:
        remedies = ["fewer components"] * (pair.n_components > 1)
        remedies += ["a covariance family with fewer parameters"] * (pair.family is not COVARIANCES["spherical"])
        messages.append(
            f"{done - kept} of {done} replicates could not be fitted and are not used: a component held too few "
            f"points.{f' Try {alternatives(remedies)}.' if remedies else ''}"
        )
    return messages
