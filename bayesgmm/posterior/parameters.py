"""Draws of a mixture's parameters, in data units."""

from dataclasses import dataclass, field

from bayesgmm.sweep.stats import Array


@dataclass(frozen=True)
class Parameters:
    """Draws of a mixture in data units, with any leading axes.

    Parameters
    ----------
    weight : (..., K) float
    mean : (..., K, D) float
    covariance : (..., K, D, D) float
    extras : dict
        Hyperparameters by name: one number (...), or one per column (..., D).
    """

    weight: Array
    mean: Array
    covariance: Array
    extras: dict[str, Array] = field(default_factory=dict)

    def flat(self) -> "Parameters":
        """Return the draws with all leading axes combined into one."""
        d = self.mean.shape[-1]
        k = self.weight.shape[-1]
        leading = self.weight.ndim - 1
        extras = {name: value.reshape(-1, *value.shape[leading:]) for name, value in self.extras.items()}
        weight, mean = self.weight.reshape(-1, k), self.mean.reshape(-1, k, d)
        return Parameters(weight, mean, self.covariance.reshape(-1, k, d, d), extras)
