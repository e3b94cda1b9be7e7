"""Registry of the engines: name, kind, settings, limits and citations of each. Their code is imported at first use.

A new engine is one file in ``inference`` and one entry in ``ENGINES``. ``fit`` and its documentation, command-line help
and completion, the report and ``compare`` read the registry.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from textwrap import fill, indent
from typing import Any, Literal

from bayesgmm.engine_limits import (
    EACH_ROW,
    MANY_SWEEPS,
    NEEDS_A_POINT,
    NEEDS_CONDITIONALS,
    NEEDS_CONJUGATE,
    NEEDS_CONJUGATE_STRUCTURE,
    NEEDS_COORDINATES,
    NEEDS_DISTRIBUTION,
    NEEDS_DRAWN_STRUCTURE,
    NEEDS_FIXED_NUMBER,
    Limit,
    loaded,
)
from bayesgmm.engine_settings import ADVI, DISAGREEMENT, DRAWS, MAX_DRAWS, STARTS, SWEEPS, Setting, Value
from bayesgmm.errors import DeclarationError, allowed, choose, instead_of
from bayesgmm.references import WORKS, Work
from bayesgmm.wording import alternatives

Kind = Literal["sampler", "approximation", "point estimate"]
DEFAULT = "nuts"  # the engine of a fit where none is given
FOR_PARTS = "vb"  # where, besides, rows are read in parts: its number of sweeps is bounded
FOR_PARTS_SETTINGS = {"draws": 200}  # of these rows each draw costs a sweep; so many suffice to assess them


@dataclass(frozen=True)
class Engine:
    """Engine: a method to fit a mixture.

    Parameters
    ----------
    name : str
        Value of ``method=``.
    kind : {'sampler', 'approximation', 'point estimate'}
    function : callable or str
        ``function(density, seed, cores, progress, **settings)``, which returns an ``Estimate``. Or its place, as
        ``"module:name"``, so that it is imported at first use.
    summary : str
        Result of the engine in a few words, for help, tables and the report.
    description : str
        Advice for users, in sentences, for the documentation of ``fit``.
    cites : tuple of str
        Works to cite: keys of ``references.WORKS``, or references in words.
    settings : tuple of Setting
    limits : tuple of Limit
        Models that it can't fit.
    takes_start : bool
        True if it can continue from another fit; ``function`` then takes ``start``.
    ignores_priors : bool
    needs_rows : str
        Reason why all rows must be in memory: the end of the sentence in the error. Empty if the engine takes sums over
        rows that are read part by part (``sweep.parts``).
    minibatches : str
        Setting with which it reads rows part by part all the same; empty if there is none.
    """

    name: str
    kind: Kind
    function: Callable[..., object] | str
    summary: str
    description: str = ""
    cites: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    limits: tuple[Limit, ...] = ()
    takes_start: bool = False
    ignores_priors: bool = False
    needs_rows: str = ""
    minibatches: str = ""

    def __call__(self, *args: object, **settings: object) -> Any:
        """Run the engine; return its ``Estimate``."""
        return loaded(self.function)(*args, **settings)

    @property
    def works(self) -> tuple[Work, ...]:
        """Works to cite."""
        return tuple(WORKS.get(cited) or Work.in_words(cited) for cited in self.cites)

    @property
    def defaults(self) -> dict[str, Value]:
        """Default of each setting."""
        return {setting.name: setting.default for setting in self.settings}

    def checked(self, given: Mapping[str, object], others: Iterable[str] = ()) -> dict[str, Value]:
        """Return all settings: the given ones, validated, and the defaults of the others.

        Parameters
        ----------
        given : mapping
        others : iterable of str
            Further arguments of the function that takes the settings, which an error may name.

        Raises
        ------
        DeclarationError, UnknownName
            If a setting does not exist, or a value is not valid.
        """
        known = {setting.name: setting for setting in self.settings}
        for name, value in given.items():
            if name not in known:
                instead = self._instead(name, others, value)
                raise DeclarationError(
                    f"method {self.name!r} has no setting {name!r}{instead}\n  It has {allowed(known)}."
                )
        return self.defaults | {name: known[name].checked(value) for name, value in given.items()}

    def _instead(self, name: str, others: Iterable[str], value: object) -> str:
        """Return what to write instead of a setting that the engine lacks."""
        if able := [other.name for other in ENGINES.values() if name in other.defaults]:
            return f"; a setting of method {alternatives([repr(other) for other in able])}"
        return instead_of(name, dict.fromkeys([*self.defaults, *others]), value)

    def refused(self, model: object) -> dict[Limit, dict[str, str]]:
        """Return the limitations that exclude a MixtureModel, each with the unsupported parts and alternatives."""
        exceeded = {limit: limit.refused(model) for limit in self.limits}
        return {limit: wrong for limit, wrong in exceeded.items() if wrong}

    def require(self, model: object) -> None:
        """Check that the engine can fit a MixtureModel.

        Raises
        ------
        DeclarationError
            If it can't; the message names the engines that can.
        """
        for limit, wrong in self.refused(model).items():
            able = {
                name: engine
                for name, engine in ENGINES.items()
                if not engine.refused(model) and not (limit.of_priors and engine.ignores_priors)
            }
            instead = " and ".join(dict.fromkeys(wrong.values()))
            others = f"Methods that can: {allowed(able)}. Or declare" if able else "No method can. Declare"
            raise DeclarationError(
                f"method {self.name!r} can't take {' and '.join(wrong)}: {limit.because}.\n  {others} {instead}."
            )

    def require_parts(self, settings: Mapping[str, object], needed: str) -> None:
        """Check that the engine can read rows part by part, with these settings.

        Parameters
        ----------
        settings : dict
        needed : str
            Amount of memory that suffices for all rows, in words; empty if they can't be in memory.

        Raises
        ------
        DeclarationError
            If it can't; the message names the engines that can.
        """
        if not self.needs_rows or settings.get(self.minibatches) is not None:
            return
        able = {name: engine for name, engine in ENGINES.items() if not engine.needs_rows}
        enough = f"give memory={needed!r}, which suffices for all rows, or " if needed else ""
        few = f"give {self.minibatches}=1000, or " if self.minibatches else ""
        raise DeclarationError(
            f"method {self.name!r} can't read rows in parts: {self.needs_rows}.\n"
            f"  Methods that can: {allowed(able)}. Or {few}{enough}fit a sample: source(data).sample(100_000)."
        )


def engine_named(name: str) -> Engine:
    """Return the engine of that name.

    Raises
    ------
    UnknownName
        If there is none.

    Examples
    --------
    >>> engine_named("nuts").kind
    'sampler'
    """
    return choose(name, ENGINES, "method")


def described(engines: Mapping[str, Engine]) -> str:
    """Format a list of engines with their results and settings, for the documentation of ``fit``."""
    return "\n".join(line for engine in engines.values() for line in _entry(engine))


def quoted(names: Iterable[str]) -> str:
    """Format names for the documentation.

    Examples
    --------
    >>> quoted(["map", "mle"])
    "``'map'``, ``'mle'``"
    """
    return ", ".join(f"``{name!r}``" for name in names)


def _entry(engine: Engine) -> list[str]:
    """Format one engine as a definition in reStructuredText."""
    text = fill(f"{engine.summary[:1].upper()}{engine.summary[1:]}. {engine.description}".strip(), 110)
    settings = [f"  - ``{s.name}={s.default!r}``: {s.description}." for s in engine.settings]
    return [f"``{engine.name!r}`` ({engine.kind})", indent(text, "  "), "", *settings, ""]


ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            "nuts",
            "sampler",
            "bayesgmm.inference.nuts:fit",
            "draws from the posterior by Hamiltonian Monte Carlo (NUTS)",
            "The reference for all others. Chains start in each mode with much posterior mass.",
            ("hoffman2014",),
            (
                Setting("draws", 1000, "number of draws to keep from each chain; more if they are not enough"),
                MAX_DRAWS,
                Setting("tune", 300, "number of draws of each chain that adapt the sampler; they are discarded"),
                Setting("chains", 4, "number of chains"),
                Setting("target_accept", 0.8, "acceptance rate that the step size is tuned to, below 1", below=1.0),
                SWEEPS,
                DISAGREEMENT,
            ),
            (NEEDS_FIXED_NUMBER, NEEDS_COORDINATES, NEEDS_DISTRIBUTION),
            needs_rows=MANY_SWEEPS,
        ),
        Engine(
            "gibbs",
            "sampler",
            "bayesgmm.inference.gibbs:fit",
            "draws from the posterior by Gibbs sampling of assignments and parameters",
            "For conjugate priors. A sweep takes microseconds, so that long chains are cheap: they cross between modes "
            "where NUTS stays in one. Successive draws are correlated where components overlap.",
            ("diebolt1994",),
            (
                Setting("draws", 1000, "number of draws to keep from each chain; more if they are not enough"),
                MAX_DRAWS,
                Setting("tune", 1000, "number of sweeps of each chain before the first draw"),
                Setting("chains", 4, "number of chains"),
                Setting("thin", 10, "number of sweeps from one draw to the next"),
                Setting(
                    "tempering",
                    "none",
                    "'parallel': parallel tempering, a ladder of temperatures from the prior to the posterior for each "
                    "chain, which crosses between distant modes and estimates the log evidence",
                    ("none", "parallel"),
                ),
                DISAGREEMENT,
            ),
            (NEEDS_COORDINATES, NEEDS_DRAWN_STRUCTURE, NEEDS_CONDITIONALS),
            needs_rows=EACH_ROW,
        ),
        Engine(
            "advi",
            "approximation",
            "bayesgmm.inference.advi:fit_meanfield",
            "draws from the Gaussian with independent coordinates that is closest to the posterior (mean-field ADVI)",
            "It takes a fraction of the time of NUTS. The coordinates are whitened first, so that the correlations at "
            "the mode are kept. If the Gaussian is not close, draws are resampled by their importance ratios; tails "
            "heavier than Gaussian are underestimated.",
            ("kucukelbir2017",),
            ADVI,
            (NEEDS_FIXED_NUMBER, NEEDS_COORDINATES, NEEDS_DISTRIBUTION),
            needs_rows=MANY_SWEEPS,
            minibatches="batch_size",
        ),
        Engine(
            "fullrank_advi",
            "approximation",
            "bayesgmm.inference.advi:fit_fullrank",
            "draws from the Gaussian that is closest to the posterior (full-rank ADVI)",
            "As ``'advi'``, with correlations between the whitened coordinates.",
            ("kucukelbir2017",),
            ADVI,
            (NEEDS_FIXED_NUMBER, NEEDS_COORDINATES, NEEDS_DISTRIBUTION),
            needs_rows=MANY_SWEEPS,
            minibatches="batch_size",
        ),
        Engine(
            "vb",
            "approximation",
            "bayesgmm.inference.variational:fit",
            "draws from the closest posterior in which weights, means and assignments are independent (variational "
            "Bayes)",
            "The quickest approximation, for conjugate priors. Its intervals are too narrow where components overlap.",
            ("attias2000",),
            (
                DRAWS,
                STARTS,
                SWEEPS,
                Setting("max_iter", 1000, "maximum number of iterations; of passes over the data with minibatches"),
                Setting("tol", 1e-8, "convergence: less than this is left to gain in mean ELBO per point"),
                Setting("batch_size", None, "number of points per step; None: all"),
                Setting("delay", 10.0, "step t over a minibatch has the size (t + delay) ** -forget"),
                Setting("forget", 0.7, "exponent of the step size: more than 0.5, at most 1", above=0.5, maximum=1.0),
            ),
            (NEEDS_FIXED_NUMBER, NEEDS_COORDINATES, NEEDS_CONJUGATE_STRUCTURE, NEEDS_CONJUGATE),
        ),
        Engine(
            "map",
            "point estimate",
            "bayesgmm.inference.modes:fit",
            "the highest mode of the posterior: one estimate, no uncertainty",
            "",
            (),
            (
                SWEEPS,
                Setting("max_iter", 500, "maximum number of iterations from each start"),
                Setting("tol", 1e-8, "convergence: no slope of the log posterior per point exceeds this"),
            ),
            (NEEDS_FIXED_NUMBER, NEEDS_COORDINATES),
            takes_start=True,
        ),
        Engine(
            "mle",
            "point estimate",
            "bayesgmm.inference.mle:fit",
            "the maximum of the likelihood: one estimate, no priors, no uncertainty",
            "Accurate to the last digits; ``standard_errors`` reads it.",
            ("dempster1977",),
            (
                STARTS,
                SWEEPS,
                Setting("max_iter", 500, "maximum number of iterations from each start"),
                Setting("tol", 1e-8, "convergence: no slope of the mean log likelihood exceeds this"),
            ),
            (NEEDS_FIXED_NUMBER, NEEDS_COORDINATES, NEEDS_A_POINT),
            takes_start=True,
            ignores_priors=True,
        ),
        Engine(
            "em",
            "point estimate",
            "bayesgmm.inference.em:fit",
            "the maximum of the likelihood by expectation maximisation: one estimate, no priors, no uncertainty",
            "",
            ("dempster1977",),
            (
                STARTS,
                SWEEPS,
                Setting(
                    "init",
                    "search",
                    "initialisation: 'search' (several kinds of starts), or 'k-means++', 'kmeans', 'random' or "
                    "'random_from_data', as in scikit-learn",
                    ("search", "k-means++", "kmeans", "random", "random_from_data"),
                ),
                Setting("max_iter", 1000, "maximum number of sweeps over the data"),
                Setting("tol", 1e-8, "convergence: less than this is left to gain in mean log likelihood"),
            ),
            (NEEDS_FIXED_NUMBER,),
            takes_start=True,
            ignores_priors=True,
        ),
    )
}
"""The engines by name, in the order in which they are listed."""
