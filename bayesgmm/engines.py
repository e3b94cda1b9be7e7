"""The engines as values: what each is, takes and cites. An engine's code is imported when it first runs.

A new engine is one file in ``inference`` and one entry in ``ENGINES``. ``fit``, its documentation, the terminal's help
and completion, the report and ``compare`` read it from there.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from math import inf
from textwrap import fill, indent
from typing import Any, Literal

from bayesgmm.errors import DeclarationError, allowed, choose, did_you_mean

Kind = Literal["sampler", "approximation", "point estimate"]
Value = int | float | str | None


@dataclass(frozen=True)
class Setting:
    """A setting of an engine.

    Parameters
    ----------
    name : str
    default : int, float, str or None
        Its type is the type of the setting: a positive whole number, a positive number, or one of ``words``. A setting
        whose default is None is a positive whole number or None.
    description : str
        One line.
    words : tuple of str
        What a setting in words can be.
    above, below, most : float, optional
        Bounds of a number: it is more than ``above``, less than ``below``, at most ``most``.
    """

    name: str
    default: Value
    description: str
    words: tuple[str, ...] = ()
    above: float = 0.0
    below: float = inf
    maximum: float = inf

    def checked(self, value: Any) -> Value:
        """A value that the setting can have.

        Raises
        ------
        DeclarationError, UnknownName

        Examples
        --------
        >>> Setting("draws", 1000, "kept draws").checked(0)
        Traceback (most recent call last):
            ...
        bayesgmm.errors.DeclarationError: draws=0: must be a whole number, at least 1
        """
        from bayesgmm.declared import positive, whole

        if isinstance(self.default, str):
            choose(value, dict.fromkeys(self.words), self.name)
            return value
        if self.default is None:
            return None if value is None else whole(self.name, value)
        number: int | float
        number = whole(self.name, value) if isinstance(self.default, int) else positive(self.name, value)
        if not (self.above < number < self.below and number <= self.maximum):
            raise DeclarationError(f"{self.name}={value!r}: must be {self._range()}, for example {self.default}")
        return number

    def _range(self) -> str:
        """The bounds in words."""
        bounds = {
            f"more than {self.above:g}": self.above > 0,
            f"below {self.below:g}": self.below < inf,
            f"at most {self.maximum:g}": self.maximum < inf,
        }
        return " and ".join(words for words, given in bounds.items() if given)


@dataclass(frozen=True)
class Limit:
    """What an engine can't take.

    Parameters
    ----------
    wrong : callable or str
        Function from a MixtureModel to what of it the engine can't take, each with what to declare instead; empty when
        the engine takes it all. Or where that function is, as ``"module:name"``.
    because : str
        Why: the end of the sentence in the error.
    of_priors : bool
        Whether the limit is one of priors: an engine that ignores priors is then no way out.
    """

    wrong: Callable[[Any], dict[str, str]] | str
    because: str
    of_priors: bool = True

    def refused(self, model: Any) -> dict[str, str]:
        """What of a MixtureModel the engine can't take, each with what to declare instead."""
        return _loaded(self.wrong)(model)


@dataclass(frozen=True)
class Engine:
    """An engine: a way to fit a mixture.

    Parameters
    ----------
    name : str
        What ``method=`` calls it.
    kind : {'sampler', 'approximation', 'point estimate'}
    function : callable or str
        ``function(density, seed, cores, progress, **settings)`` returns an ``Estimate``; or where it is, as
        ``"module:name"``, so that it is imported when it is first used.
    summary : str
        What it returns, in a few words: for help, tables and the report.
    description : str
        What a user should know before choosing it: sentences, for the documentation of ``fit``.
    cites : tuple of str
        Works that a report on its fits cites.
    settings : tuple of Setting
    limits : tuple of Limit
        Declarations that it can't take.
    takes_start : bool
        Whether it can continue from another fit: ``function`` then takes ``start``.
    ignores_priors : bool
    """

    name: str
    kind: Kind
    function: Callable[..., Any] | str
    summary: str
    description: str = ""
    cites: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    limits: tuple[Limit, ...] = ()
    takes_start: bool = False
    ignores_priors: bool = False

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Run the engine."""
        return _loaded(self.function)(*args, **settings)

    @property
    def defaults(self) -> dict[str, Value]:
        """Every setting with its default."""
        return {setting.name: setting.default for setting in self.settings}

    def checked(self, given: Mapping[str, Any]) -> dict[str, Value]:
        """Every setting: those that are given, checked, over the defaults.

        Raises
        ------
        DeclarationError, UnknownName
            For a setting that does not exist, or a value that it can't have.
        """
        known = {setting.name: setting for setting in self.settings}
        for name in given:
            if name not in known:
                raise DeclarationError(
                    f"method {self.name!r} has no setting {name!r}; it has {allowed(known)}{did_you_mean(name, known)}"
                )
        return self.defaults | {name: known[name].checked(value) for name, value in given.items()}

    def refused(self, model: Any) -> dict[Limit, dict[str, str]]:
        """The limits that a MixtureModel exceeds, each with what exceeds it and what to declare instead."""
        found = {limit: limit.refused(model) for limit in self.limits}
        return {limit: wrong for limit, wrong in found.items() if wrong}

    def require(self, model: Any) -> None:
        """Refuse a MixtureModel that the engine can't take, and name the engines that can.

        Raises
        ------
        DeclarationError
        """
        for limit, wrong in self.refused(model).items():
            able = {
                name: engine
                for name, engine in ENGINES.items()
                if not engine.refused(model) and not (limit.of_priors and engine.ignores_priors)
            }
            instead = " and ".join(dict.fromkeys(wrong.values()))
            raise DeclarationError(
                f"method {self.name!r} can't take {' and '.join(wrong)}: {limit.because}.\n"
                f"  Methods that can: {allowed(able)}. Or declare {instead}."
            )


def _loaded(function: Callable[..., Any] | str) -> Callable[..., Any]:
    """A function, imported where only its place is given."""
    if not isinstance(function, str):
        return function
    module, _, name = function.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def engine_named(name: str) -> Engine:
    """The engine that ``method=name`` asks for.

    Raises
    ------
    UnknownName

    Examples
    --------
    >>> engine_named("nuts").kind
    'sampler'
    """
    return choose(name, ENGINES, "method")


def described(engines: Mapping[str, Engine]) -> str:
    """A list of engines with what each returns and its settings, as the documentation of ``fit`` shows it."""
    return "\n".join(line for engine in engines.values() for line in _entry(engine))


def quoted(names: Iterable[str]) -> str:
    """Names as documentation lists them.

    Examples
    --------
    >>> quoted(["map", "mle"])
    "``'map'``, ``'mle'``"
    """
    return ", ".join(f"``{name!r}``" for name in names)


def _entry(engine: Engine) -> list[str]:
    """One engine of the list: a definition in reStructuredText."""
    text = fill(f"{engine.summary[:1].upper()}{engine.summary[1:]}. {engine.description}".strip(), 110)
    settings = [f"  - ``{s.name}={s.default!r}``: {s.description}." for s in engine.settings]
    return [f"``{engine.name!r}`` ({engine.kind})", indent(text, "  "), "", *settings, ""]


NEEDS_COORDINATES = Limit(
    "bayesgmm.inference.engine:without_coordinates",
    "it needs unconstrained coordinates; there are none",
    of_priors=False,
)
NEEDS_CONJUGATE = Limit("bayesgmm.inference.variational:not_conjugate", "coordinate ascent needs conjugate priors")

DRAWS = Setting("draws", 1000, "draws that are kept")
ADVI = (
    DRAWS,
    Setting("samples", None, "fixed draws of which the bound is a mean; None chooses by the number of coordinates"),
    Setting("max_iter", 500, "maximum number of iterations"),
    Setting("tol", 1e-2, "convergence: no slope of the bound exceeds this, in nats for a standard deviation"),
    Setting("batch_size", None, "points that each step sees; None is all of them"),
)
KUCUKELBIR = (
    "Kucukelbir, A., Tran, D., Ranganath, R., Gelman, A. & Blei, D. (2017). Automatic differentiation "
    "variational inference. J. Mach. Learn. Res. 18(14), 1–45."
)
DEMPSTER = (
    "Dempster, A., Laird, N. & Rubin, D. (1977). Maximum likelihood from incomplete data via the EM algorithm. "
    "J. R. Stat. Soc. B 39(1), 1–38."
)
ATTIAS = (
    "Attias, H. (2000). A variational Bayesian framework for graphical models. Adv. Neural Inf. Process. Syst. "
    "12, 209–215."
)

ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            "nuts",
            "sampler",
            "bayesgmm.inference.nuts:fit",
            "draws from the posterior by Hamiltonian Monte Carlo (NUTS)",
            "The reference for all others.",
            ("Hoffman, M. & Gelman, A. (2014). The No-U-Turn sampler. J. Mach. Learn. Res. 15, 1593–1623.",),
            (
                Setting("draws", 1000, "draws of each chain that are kept"),
                Setting("tune", 300, "draws of each chain that adapt the sampler and are discarded"),
                Setting("chains", 4, "number of chains"),
                Setting("target_accept", 0.8, "acceptance rate that the step size is tuned to, below 1", below=1.0),
            ),
            (NEEDS_COORDINATES,),
        ),
        Engine(
            "advi",
            "approximation",
            "bayesgmm.inference.advi:fit_meanfield",
            "draws from the Gaussian with independent coordinates that is closest to the posterior (mean-field ADVI)",
            "A fraction of the time of NUTS. The coordinates are whitened first, so that the correlations at the mode "
            "are kept. Draws are resampled by their importance ratios where the Gaussian is not close; heavier tails "
            "are cut short.",
            (KUCUKELBIR,),
            ADVI,
            (NEEDS_COORDINATES,),
        ),
        Engine(
            "fullrank_advi",
            "approximation",
            "bayesgmm.inference.advi:fit_fullrank",
            "draws from the Gaussian that is closest to the posterior (full-rank ADVI)",
            "As ``'advi'``, with correlations of its own.",
            (KUCUKELBIR,),
            ADVI,
            (NEEDS_COORDINATES,),
        ),
        Engine(
            "vb",
            "approximation",
            "bayesgmm.inference.variational:fit",
            "draws from the closest posterior in which weights, means and assignments are independent (variational "
            "Bayes)",
            "The quickest approximation, for conjugate priors. Its intervals are too narrow where components overlap.",
            (ATTIAS,),
            (
                DRAWS,
                Setting("n_init", 10, "number of starts"),
                Setting("max_iter", 1000, "maximum number of iterations; of passes over the data with minibatches"),
                Setting("tol", 1e-8, "convergence: an iteration gains less than this in mean ELBO per point"),
                Setting("batch_size", None, "points that each step sees; None is all of them"),
                Setting("delay", 10.0, "step t over a minibatch has the size (t + delay) ** -forget"),
                Setting("forget", 0.7, "exponent of the step size: more than 0.5, at most 1", above=0.5, maximum=1.0),
            ),
            (NEEDS_COORDINATES, NEEDS_CONJUGATE),
        ),
        Engine(
            "map",
            "point estimate",
            "bayesgmm.inference.modes:fit",
            "the highest mode of the posterior: one estimate, no uncertainty",
            "",
            (),
            (
                Setting("max_iter", 500, "maximum number of iterations of each climb"),
                Setting("tol", 1e-8, "convergence: no slope of the log posterior per point exceeds this"),
            ),
            (NEEDS_COORDINATES,),
            takes_start=True,
        ),
        Engine(
            "mle",
            "point estimate",
            "bayesgmm.inference.mle:fit",
            "the maximum of the likelihood: one estimate, no priors, no uncertainty",
            "Accurate to the last digits; ``standard_errors`` reads it.",
            (DEMPSTER,),
            (
                Setting("n_init", 10, "number of starts"),
                Setting("max_iter", 500, "maximum number of iterations of each climb"),
                Setting("tol", 1e-8, "convergence: no slope of the mean log likelihood exceeds this"),
            ),
            (NEEDS_COORDINATES,),
            takes_start=True,
            ignores_priors=True,
        ),
        Engine(
            "em",
            "point estimate",
            "bayesgmm.inference.em:fit",
            "the maximum of the likelihood by expectation maximisation: one estimate, no priors, no uncertainty",
            "",
            (DEMPSTER,),
            (
                Setting("n_init", 10, "number of starts"),
                Setting(
                    "init",
                    "k-means++",
                    "how starts are found: 'k-means++', 'kmeans', 'random' or 'random_from_data', as in scikit-learn",
                    ("k-means++", "kmeans", "random", "random_from_data"),
                ),
                Setting("max_iter", 1000, "maximum number of sweeps over the data"),
                Setting("tol", 1e-8, "convergence: less than this is left to gain in mean log likelihood"),
            ),
            takes_start=True,
            ignores_priors=True,
        ),
    )
}
"""The engines by name, in the order in which they are listed."""
