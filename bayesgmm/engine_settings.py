"""Settings of engines: names, defaults, bounds and one line each; those that several engines share."""

from dataclasses import dataclass
from math import inf

from bayesgmm.errors import DeclarationError, choose

Value = int | float | str | None


@dataclass(frozen=True)
class Setting:
    """Setting of an engine.

    Parameters
    ----------
    name : str
    default : int, float, str or None
        Its type is the type of the setting: a positive whole number, a positive number, or one of ``words``. A setting
        whose default is None is a positive whole number or None.
    description : str
        One line.
    words : tuple of str
        Allowed values of a string setting.
    above, below, maximum : float, optional
        Bounds of a number: more than ``above``, less than ``below``, at most ``maximum``.
    """

    name: str
    default: Value
    description: str
    words: tuple[str, ...] = ()
    above: float = 0.0
    below: float = inf
    maximum: float = inf

    def checked(self, value: object) -> Value:
        """Return a valid value of the setting.

        Raises
        ------
        DeclarationError, UnknownName
            If the value is not valid.

        Examples
        --------
        >>> Setting("draws", 1000, "kept draws").checked(0)
        Traceback (most recent call last):
            ...
        bayesgmm.errors.DeclarationError: draws=0: must be a whole number, at least 1
        """
        from bayesgmm.declared import positive, whole  # it imports pydantic, which help and completion need not

        if isinstance(self.default, str):
            return choose(value, {word: word for word in self.words}, self.name)
        if self.default is None:
            return None if value is None else whole(self.name, value)
        number: int | float
        number = whole(self.name, value) if isinstance(self.default, int) else positive(self.name, value)
        if not (self.above < number < self.below and number <= self.maximum):
            raise DeclarationError(f"{self.name}={value!r}: must be {self._range()}, for example {self.default}")
        return number

    def _range(self) -> str:
        """Describe the bounds in words."""
        bounds = {
            f"more than {self.above:g}": self.above > 0,
            f"below {self.below:g}": self.below < inf,
            f"at most {self.maximum:g}": self.maximum < inf,
        }
        return " and ".join(words for words, given in bounds.items() if given)


DRAWS = Setting("draws", 1000, "number of draws to keep")
STARTS = Setting("n_init", 10, "number of starts in each cycle of the search")
SWEEPS = Setting(
    "sweeps",
    4000,
    "budget of the search: maximum number of sweeps for a start; five times as many for factor analysers",
)
DISAGREEMENT = Setting(
    "disagreement",
    "reconcile",
    "what to do if the chains disagree: 'reconcile' draws from all their regions, each as often as it is probable; "
    "'report' keeps the draws and warns",
    ("reconcile", "report"),
)
MAX_DRAWS = Setting(
    "max_draws",
    None,
    "maximum number of draws of each chain: a run is extended while its effective sample size is small; None: eight "
    "times ``draws``, or ``draws`` if one takes more than 200 steps; 1: never extend",
)
ADVI = (
    DRAWS,
    Setting("samples", None, "number of fixed draws for the bound; None: by the number of coordinates"),
    Setting("max_iter", 500, "maximum number of iterations"),
    Setting("tol", 1e-2, "convergence: no slope of the bound exceeds this, in nats per standard deviation"),
    Setting("batch_size", None, "number of points per step; None: all"),
    SWEEPS,
)
