"""Prior of covariances by volume, shape and orientation, in the units of the data."""

from typing import ClassVar, Literal, Self

import numpy as np

from bayesgmm.data.points import per_column
from bayesgmm.data.standards import Standard
from bayesgmm.data.summaries import Summary
from bayesgmm.declared import Positive, PositiveNumbers
from bayesgmm.errors import DeclarationError
from bayesgmm.families import rotations
from bayesgmm.families.decomposed_charts import Decomposition
from bayesgmm.families.family import Family
from bayesgmm.priors.covariance_densities import decomposed_density
from bayesgmm.priors.covariance_priors import CovariancesPrior
from bayesgmm.priors.multiplicative_gamma import require_no_loadings
from bayesgmm.priors.native_calls import PriorDensity
from bayesgmm.priors.scalars import AnyScalar, LogNormal, Scalar
from bayesgmm.priors.shapes import draw_shapes, log_constant
from bayesgmm.sweep.stats import Array


class DecomposedCovariance(CovariancesPrior):
    r"""Independent priors of volume, shape and orientation, for covariances that share some of the three.

    .. math:: \Sigma_k = \lambda_k D_k A_k D_k^\top, \qquad \sqrt{\lambda_k} \sim \text{sd}, \qquad
              p(\tfrac12 \log A_k = a) \propto e^{-|a|^2 / 2 \, \text{shape}^2} \prod_{i < j} |a_i - a_j|, \qquad
              D_k \sim \text{uniform over rotations}

    It is the default prior of VEI, EVI, VEE, EVE, VVE, EEV, VEV and EVV. A part that is equal for all components has
    one prior, a part that is free has it for each. No direction is preferred. So the logarithm of a standardised
    covariance is a symmetric matrix of normal numbers [1]_, for each component of VEE, EEV, VEV and EVV by itself; the
    structure says what components share. Where several shapes have the same axes (EVE, VVE), or the columns are the
    axes (VEI, EVI), standard deviations along two axes may well be equal: there the density of a is normal, without
    the product.

    Parameters
    ----------
    sd : a prior of a positive number, optional
        Prior of :math:`\sqrt{\lambda_k} = |\Sigma_k|^{1 / (2 D)}`, in data units: the geometric mean of the standard
        deviations along the axes. By default ``LogNormal`` whose median is the geometric mean of the standard
        deviations of the columns, divided by the number C of clusters that the prior of the weights expects (see
        ``WishartPrecision``), and whose sigma is 1: within a factor 5 of the median with probability 0.9.
    shape : float
        Scale of the logarithms a of the standard deviations along the axes, about their mean; the smaller, the rounder
        the components. With the default, 0.5, the largest and the smallest of two standard deviations have a ratio
        between 1.2 and 5.6 with probability 0.9, and those of four columns between 3.3 and 15.
    scale : float or tuple of float, optional
        Typical scale of each column, of which only ratios matter: columns are divided by it before covariances are
        decomposed. By default the standard deviations of the columns for VEI, EVI, VEE and EVV, whose restrictions do
        not depend on the units; then nothing depends on them. EVE, VVE, EEV and VEV depend on the units, and have no
        other scale than 1.

    References
    ----------
    .. [1] Leonard & Hsu (1992), Ann. Stat. 20(4), 1669-1696.
    .. [2] Banfield & Raftery (1993), Biometrics 49(3), 803-821: volume, shape and orientation.
    .. [3] Bensmail, Celeux, Raftery & Robert (1997), Statistics and Computing 7, 1-10: other priors of the three.

    Examples
    --------
    >>> DecomposedCovariance(LogNormal(0.0, 0.5)).plain()
    {'sd': {'mu': 0.0, 'sigma': 0.5, 'prior': 'log_normal'}, 'shape': 0.5, 'prior': 'decomposed'}
    """

    sd: AnyScalar | None = None
    shape: Positive = 0.5
    scale: PositiveNumbers | None = None
    prior: Literal["decomposed"] = "decomposed"

    cites: ClassVar = "leonard1992"
    density: ClassVar[PriorDensity] = decomposed_density

    @property
    def keeps_regular(self) -> bool:
        """True if the prior of the volume excludes zero; a shape is never singular."""
        return self.sd is None or self.sd.excludes_zero

    def require_family(self, family: Family) -> None:  # noqa: D102
        require_no_loadings("DecomposedCovariance", family)
        chart_of_parts(family)

    def resolve(self, data: Summary, family: Family, n_clusters: float) -> Self:  # noqa: D102
        self.require_family(family)
        scale, sd = self._scale(data, family), self.sd
        if sd is None:
            data.varied_range()
            median = np.exp(0.5 * np.log(data.variance).mean()) / n_clusters
            sd = LogNormal(float(np.log(median)), 1.0)
        return self.model_copy(update={"sd": sd.single("the sd of a volume"), "scale": scale})

    def _scale(self, data: Summary, family: Family) -> float | tuple[float, ...]:
        if not family.needs_common_scale:
            if self.scale is None:
                data.varied_range()
            values = np.sqrt(data.variance) if self.scale is None else self.scale
            return tuple(per_column(values, data.columns, "DecomposedCovariance scale").tolist())
        if self.scale is not None and np.ptp(self.scale) > 0:
            raise DeclarationError(
                f"DecomposedCovariance scale={self.scale}: {family.name!r} covariances depend on the units of the "
                "columns, and can't have several scales\n  Scale the columns, or declare covariance='VEE' or 'EVV'."
            )
        return 1.0

    @property
    def resolved_sd(self) -> Scalar:
        """Prior of the geometric mean of standard deviations, of a prior that is resolved."""
        assert self.sd is not None
        return self.sd

    def ratios(self) -> Array:
        """Return the scales of the columns divided by their geometric mean, (D,) or (1,)."""
        scale = np.atleast_1d(np.asarray(self.scale, dtype=np.float64))
        return np.asarray(scale / np.exp(np.log(scale).mean()))

    def metric(self, standard: Standard, family: Family) -> Array | None:  # noqa: D102
        if family.needs_common_scale:
            return None
        ratio = standard.scale / self.ratios()
        return np.asarray(ratio / np.exp(np.log(ratio).mean()))

    def params(self, standard: Standard, family: Family) -> Array:  # noqa: D102
        unit = np.exp(np.log(standard.scale).mean())
        d = standard.scale.size
        of_shape = log_constant(self.shape, d, chart_of_parts(family).ordered)
        of_orientation = -rotations.log_volume(d)
        return np.concatenate([[self.shape, of_shape, of_orientation, unit], self.resolved_sd.params(1)])

    def draw(  # noqa: D102
        self, rng: np.random.Generator, family: Family, shape: tuple[int, int, int]
    ) -> tuple[Array, dict[str, Array]]:
        size, k, d = shape
        chart = chart_of_parts(family)
        volumes, shapes, orientations = chart.parts(k)
        sd = self.resolved_sd.draw(rng, (size, volumes, 1))
        drawn = draw_shapes(rng, self.shape, (size, shapes), d, chart.ordered)
        along = np.broadcast_to(sd * np.exp(drawn), (size, k, d))
        half = along[..., None, :] * np.eye(d)
        if orientations:
            half = rotations.draw_rotations(rng, (size, orientations), d) * along[..., None, :]
        half = half * self.ratios()[:, None]
        return half @ np.swapaxes(half, -1, -2), {}

    def typical_sd(self) -> Array:  # noqa: D102
        return np.asarray(self.resolved_sd.quantile(0.5) * self.ratios())


def chart_of_parts(family: Family) -> Decomposition:
    """Return the chart of a family by volume, shape and orientation.

    Raises
    ------
    DeclarationError
        When the family has another one.
    """
    if not isinstance(family.chart, Decomposition):
        raise DeclarationError(
            f"DecomposedCovariance is a prior of volume, shape and orientation; {family.name!r} covariances are not "
            "made of them\n  Use covariances=WishartPrecision() or LKJCovariance(), or covariance='VEI', 'EVI', 'VEE', "
            "'EVE', 'VVE', 'EEV', 'VEV' or 'EVV'."
        )
    return family.chart
