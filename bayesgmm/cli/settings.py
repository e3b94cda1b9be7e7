"""Options for the settings of engines; their help shows the defaults of the engines that have them."""

from typing import Annotated, Any

import typer

from bayesgmm.engines import ENGINES
from bayesgmm.wording import alternatives


def defaults_of(name: str) -> str:
    """Describe the defaults of a setting: of all engines that have it, or of each.

    Examples
    --------
    >>> defaults_of("chains")
    'default: 4'
    >>> defaults_of("tune")
    'default: 300 by nuts, 1000 by gibbs'
    """
    by: dict[object, list[str]] = {}
    for engine in ENGINES.values():
        if name in engine.defaults:
            by.setdefault(engine.defaults[name], []).append(engine.name)
    if len(by) == 1:
        return f"default: {next(iter(by))}"
    return "default: " + ", ".join(f"{value} by {alternatives(names)}" for value, names in by.items())


def _option(name: str, words: str, default: str = "") -> Any:
    return typer.Option(f"--{name.replace('_', '-')}", help=f"{words} ({default or defaults_of(name)})")


Draws = Annotated[int | None, _option("draws", "Number of draws, of each chain at least.")]
MaxDraws = Annotated[
    int | None, _option("max_draws", "Maximum number of draws of each chain.", "default: at most 8 times --draws")
]
Chains = Annotated[int | None, _option("chains", "Number of chains.")]
Tune = Annotated[int | None, _option("tune", "Number of draws of each chain before the first that is kept.")]
Starts = Annotated[int | None, _option("n_init", "Number of starts of a search for the maximum.")]
Sweeps = Annotated[int | None, _option("sweeps", "Budget of a search for the maximum, in sweeps over the data.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.")]


def given(**settings: int | None) -> dict[str, Any]:
    """Return the settings that were given."""
    return {name: value for name, value in settings.items() if value is not None}


def known_to(method: str, methods: list[str], settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings for one of several methods: those that it has, and those that none has, for the error."""
    others = {name for other in methods for name in ENGINES[other].defaults} - {*ENGINES[method].defaults}
    return {name: value for name, value in settings.items() if name not in others}
