"""What kind of draws a fit holds, how many, and the statistics that came with them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


def size(fit: "xr.DataTree") -> tuple[int, int]:
    """How many chains, and draws in each."""
    return fit["posterior"].sizes["chain"], fit["posterior"].sizes["draw"]


def approximate(fit: "xr.DataTree") -> bool:
    """Whether the draws come from an approximation, independently, whose density is then known."""
    return "sample_stats" in fit.children and "log_q" in fit["sample_stats"]


def sampled(fit: "xr.DataTree") -> bool:
    """Whether the draws are those of Markov chains: neither a point estimate nor an approximation's."""
    return size(fit) != (1, 1) and not approximate(fit)


def statistic(fit: "xr.DataTree", *names: str) -> "xr.DataArray | None":
    """A sample statistic under the first of its names that the fit has; None when it has none."""
    if "sample_stats" not in fit.children:
        return None
    stats = fit["sample_stats"].to_dataset()
    return next((stats[name] for name in names if name in stats), None)
