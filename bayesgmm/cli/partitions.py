"""The command ``partition``: the optimal partition and its credible ball."""

from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.data import check_table, write
from bayesgmm.cli.options import FitFile, NewData, TableOut
from bayesgmm.cli.printed_tables import show
from bayesgmm.cli.terminal import say

if TYPE_CHECKING:
    import xarray as xr

MIN_PROBABILITY = 0.005  # minimum probability of a number of clusters to be shown
MAX_ROWS = 20  # maximum number of clusters in the table


def partition(
    fit: FitFile,
    output: TableOut,
    data: NewData = None,
    loss: Annotated[
        str, typer.Option(help="Loss: vi (variation of information) or binder (share of pairs of points that differ).")
    ] = "vi",
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge overlapping components, so that a cluster need not be Gaussian.")
    ] = False,
    max_clusters: Annotated[int | None, typer.Option(help="Maximum number of clusters.")] = None,
    ci_prob: Annotated[float, typer.Option(help="Posterior probability of the credible ball.")] = 0.95,
    seed: Annotated[int, typer.Option(help="The same seed gives the same clusters.")] = 0,
) -> None:
    """Write the optimal partition of the points, with the expected distance of each point's cluster."""
    from bayesgmm.clusterings.credible_balls import credible_ball
    from bayesgmm.clusterings.label_draws import n_clusters
    from bayesgmm.clusterings.merging import merge_components
    from bayesgmm.clusterings.partitions import partition as find
    from bayesgmm.posterior.schema import load, points_for

    check_table(output, fit, data)
    read = load(fit)
    points = None if data is None else points_for(read, data)
    merged = merge_components(read, points) if merge else None
    best = find(read, points, loss=loss, merge=merged, max_clusters=max_clusters, seed=seed)
    ball = credible_ball(read, best, points, ci_prob=ci_prob)
    _show_sizes(best, merged)
    _show_numbers(n_clusters(read, points, merge=merged, seed=seed), merge)
    _say_loss(best, ball)
    write(best[["label", "expected_distance"]].to_dataframe(), output)


def _show_sizes(best: "xr.Dataset", merged: "xr.Dataset | None") -> None:
    import pandas as pd

    distance = best["expected_distance"].groupby(best["label"]).mean().values
    numbers = pd.DataFrame(
        {"points": best["size"].values, "expected_distance": distance},
        index=pd.Index(best["cluster"].values, name="cluster"),
    )
    words = numbers.assign(expected_distance=[f"{value:.2f}" for value in distance]).head(MAX_ROWS)
    if merged is not None:
        say(f"{merged.sizes['component']} components merged into {merged.attrs['n_clusters']}")
    title = f"Optimal partition: {_clusters(best.attrs['n_clusters'])}"
    show(words, title, name="clusters", values=numbers)
    if best.sizes["cluster"] > MAX_ROWS:
        say(f"and {best.sizes['cluster'] - MAX_ROWS} smaller ones")


def _show_numbers(chance: "xr.DataArray", merged: bool) -> None:
    likely = chance[chance >= MIN_PROBABILITY]
    numbers = ", ".join(f"{int(n)} ({p:.2f})" for n, p in zip(likely["n_clusters"].values, likely.values, strict=True))
    apart = float((chance["highest"] - chance["lowest"]).max())
    spread = f"; in single chains they differ by up to {apart:.2f}" if apart >= MIN_PROBABILITY else ""
    say(f"occupied {'clusters' if merged else 'components'}, with probabilities: {numbers}{spread}")


def _say_loss(best: "xr.Dataset", ball: "xr.Dataset") -> None:
    unit = " bits" if best.attrs["loss"] == "vi" else ""
    few, many = (int(ball["n_clusters"].sel(bound=f"vertical_{name}")) for name in ("upper", "lower"))
    clusters = _clusters(few) if few == many else f"{few} to {many} clusters"
    say(f"expected loss ({best.attrs['loss']}): {float(best['expected_loss']):.3f}{unit}")
    say(f"{ball.attrs['ci_prob']:.0%} credible ball: radius {float(ball['radius']):.3f}{unit}, {clusters}")


def _clusters(count: int) -> str:
    return "1 cluster" if count == 1 else f"{count} clusters"
