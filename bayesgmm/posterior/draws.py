"""Kind, number and sample statistics of a fit's draws."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


def size(fit: "xr.DataTree") -> tuple[int, int]:
    """Return the number of chains, and of draws per chain."""
    return fit["posterior"].sizes["chain"], fit["posterior"].sizes["draw"]


def components(fit: "xr.DataTree") -> int:
    """Return the number of components; 2, which stands for several, for a trace that has no components."""
    return fit["posterior"].sizes.get("component", 2)


def approximate(fit: "xr.DataTree") -> bool:
    """Return True if the draws are independent draws from an approximation with a known density."""
    return "sample_stats" in fit.children and "log_q" in fit["sample_stats"]


def sampled(fit: "xr.DataTree") -> bool:
    """Return True if the draws come from Markov chains, not from a point estimate or an approximation."""
    return size(fit) != (1, 1) and not approximate(fit)


def number_varies(fit: "xr.DataTree") -> bool:
    """Return True if the number of components differs between draws: then ``n_components`` is in the posterior."""
    return "n_components" in fit["posterior"]


def statistic(fit: "xr.DataTree", *names: str) -> "xr.DataArray | None":
    """Return a sample statistic by the first of its names that the fit has; None if it has none."""
    if "sample_stats" not in fit.children:
        return None
    stats = fit["sample_stats"].to_dataset()
    return next((stats[name] for name in names if name in stats), None)
