"""What can go wrong, as one tree; and ``choose``, the one place where a name is looked up."""

import difflib
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path


class BayesGMMError(Exception):
    """Root of all errors that this package raises on purpose."""


class DataError(BayesGMMError, ValueError):
    """The data can't be used as they are."""


class ForgottenData(DataError, AttributeError):
    """An answer needs the data, and they were not kept. An AttributeError too: to ``hasattr`` it is not there."""


class DeclarationError(BayesGMMError, ValueError):
    """A model or a prior was declared with values that make no sense."""


class CardError(DeclarationError):
    """A model card (TOML) can't be read, or declares what makes no sense."""


class NotConjugate(DeclarationError):
    """A prior has no factor that variational Bayes can update in closed form.

    Parameters
    ----------
    what : str
        The prior, in words.
    instead : str
        What to declare in its place.
    """

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"{what} has no conjugate update; declare {instead}")
        self.what, self.instead = what, instead


class UnknownName(DeclarationError):
    """A name is not in its registry."""


class ComponentError(BayesGMMError, ValueError):
    """A component can't be estimated from the points that it holds."""


class EmptyComponent(ComponentError):
    """A component holds too few points for its covariance."""


class DegenerateComponent(ComponentError):
    """A component's covariance is singular."""


class SamplingError(BayesGMMError):
    """A sampler could not start, or was stopped before it drew anything."""


class NotAMaximum(BayesGMMError):
    """A fit is not at a maximum of the likelihood, where standard errors are read off."""


class SingularInformation(BayesGMMError):
    """The data can't tell some quantities of a mixture apart: the log likelihood is flat in a direction."""


class FitFileError(BayesGMMError):
    """A file is not a fit of ours, or is damaged, or can't be written."""


class MissingExtra(BayesGMMError, ImportError):
    """An application needs a library that was not installed with it."""


class MissingImplementation(BayesGMMError, NotImplementedError):
    """A class, for example of a prior, was not registered with a function that needs an implementation for it."""


class FitWarning(UserWarning):
    """A fit finished, but should not be trusted as it is."""


PACKAGE = str(Path(__file__).parent)


def warn(messages: Iterable[str]) -> None:
    """Warn of what should not be trusted, in the name of the line of the user's that led here."""
    for message in messages:
        warnings.warn(message, FitWarning, skip_file_prefixes=(PACKAGE,))


def choose[T](name: str, registry: Mapping[str, T], what: str) -> T:
    """Look ``name`` up in ``registry``, or say what is allowed and what was probably meant.

    Examples
    --------
    >>> choose("fulll", {"diag": 1, "full": 2}, "covariance")
    Traceback (most recent call last):
        ...
    bayesgmm.errors.UnknownName: covariance='fulll' is not one of 'diag', 'full'; did you mean 'full'?
    """
    if isinstance(name, str) and name in registry:
        return registry[name]
    raise UnknownName(f"{what}={name!r} is not one of {allowed(registry)}{did_you_mean(name, registry)}")


def allowed(registry: Mapping[str, object]) -> str:
    """The names of a registry, quoted and sorted, as errors show them."""
    return ", ".join(repr(name) for name in sorted(registry))


def did_you_mean(name: object, registry: Mapping[str, object]) -> str:
    """``"; did you mean 'full'?"`` when a name is close to one that exists, else nothing."""
    close = difflib.get_close_matches(str(name), list(registry), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
