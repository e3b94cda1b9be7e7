"""All exceptions of the package, and ``choose``, which looks a name up in a registry."""

import difflib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from bayesgmm.synonyms import VALUES, written_here
from bayesgmm.wording import in_short, printable


class BayesGMMError(Exception):
    """Base class of all exceptions of this package.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> try:
    ...     bg.MixtureModel(0)
    ... except bg.BayesGMMError as error:
    ...     print(type(error).__name__)
    DeclarationError
    """

    def __str__(self) -> str:
        """Return the message; control characters in it, for example of a name, are replaced."""
        return printable(super().__str__())


class DataError(BayesGMMError, ValueError):
    """The data can't be used as they are."""


class ForgottenData(DataError, AttributeError):
    """A method needs the data, which were not kept. Also an AttributeError, so that ``hasattr`` returns False."""


class DeclarationError(BayesGMMError, ValueError):
    """A model, a prior or an argument has values that are not allowed."""


class CardError(DeclarationError):
    """A model card (TOML) can't be read, or has values that are not allowed."""


class NotConjugate(DeclarationError):
    """A prior is not conjugate, so variational Bayes or Gibbs sampling has no closed-form update for it.

    Parameters
    ----------
    what : str
        Description of the prior.
    instead : str
        Alternative to declare.
    """

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"{what} has no conjugate update; declare {instead}")
        self.what, self.instead = what, instead


class UnknownName(DeclarationError):
    """A name is not in its registry."""


class UnknownArgument(UnknownName, TypeError):
    """A function has no argument of this name. Also a TypeError, as Python's own error is."""


class ComponentError(BayesGMMError, ValueError):
    """A component can't be estimated from the points that are assigned to it.

    Parameters
    ----------
    what : str
        What was observed.
    families : sequence of str
        Names of the covariance families that could hold the same component.
    """

    def __init__(self, what: str, families: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.families = tuple(families)

    def advised(self, remedies: str) -> Self:
        """Return the same error with what to try, if there is anything.

        Examples
        --------
        >>> print(EmptyComponent("component 1 holds 0.0 points.").advised("fewer components or method='map'"))
        component 1 holds 0.0 points.
          Try fewer components or method='map'.
        """
        return type(self)(f"{self}\n  Try {remedies}.", self.families) if remedies else self


class EmptyComponent(ComponentError):
    """A component holds too few points for its covariance."""


class DegenerateComponent(ComponentError):
    """A component's covariance is singular."""


class SamplingError(BayesGMMError):
    """A sampler could not start, or was stopped before its first draw."""


class PoorProposal(SamplingError):
    """A proposal is too far from the posterior for its draws to be corrected by importance weights."""


class NotAMaximum(BayesGMMError):
    """A fit is not at a maximum of the likelihood, so that it has no standard errors."""


class SingularInformation(BayesGMMError):
    """The observed information is singular: in some direction of the parameters the log likelihood is flat."""


class UnreliableEvidence(BayesGMMError):
    """The log evidence can't be estimated from the draws of a fit."""


class FitFileError(BayesGMMError):
    """A file is not a fit of this package, is damaged, or can't be written."""


class CheckpointError(FitFileError):
    """A checkpoint is in use, is damaged, or belongs to another fit."""


class ClusterError(BayesGMMError):
    """A Dask cluster can't be used: no scheduler, no workers, another version on them, or the connection was lost."""


class MissingExtra(BayesGMMError, ImportError):
    """An application needs a library that is not installed."""


class MissingImplementation(BayesGMMError, NotImplementedError):
    """A class, for example of a prior, was not registered with a function that needs an implementation for it."""


class FitWarning(UserWarning):
    """A fit finished, but its results should not be trusted as they are.

    Examples
    --------
    ``warnings.filterwarnings("error", category=bg.FitWarning)`` makes it an error.

    >>> issubclass(FitWarning, UserWarning)
    True
    """


class TableWarning(UserWarning):
    """A table was read in a way that is not evident, or holds columns that look like no measurements.

    The first is about the separator, decimal sign, encoding, titles and totals of a file, and rows in parts, which have
    another default method; the second about ids, row numbers, and codes for missing values.

    Examples
    --------
    ``warnings.filterwarnings("ignore", category=bg.TableWarning)`` hides how files were read.

    >>> issubclass(TableWarning, UserWarning)
    True
    """


class CheckpointWarning(UserWarning):
    """A fit went on from a checkpoint, or its checkpoint could not be written any more.

    Examples
    --------
    ``warnings.filterwarnings("ignore", category=bg.CheckpointWarning)`` hides what was recovered.

    >>> issubclass(CheckpointWarning, UserWarning)
    True
    """


PACKAGE = str(Path(__file__).parent)


def warn(messages: Iterable[str], kind: type[UserWarning] = FitWarning) -> None:
    """Issue a warning for each message, at the line of the user's code that called the package.

    Warns
    -----
    FitWarning, TableWarning, CheckpointWarning
    """
    for message in messages:
        warnings.warn(printable(message), kind, skip_file_prefixes=(PACKAGE,))


def choose[T](name: object, registry: Mapping[str, T], what: str) -> T:
    """Return the entry of a registry by its name.

    Parameters
    ----------
    name : str
    registry : mapping
    what : str
        Name of the argument, for the error message.

    Raises
    ------
    UnknownName
        When the registry has no such name. The message lists the names that are allowed, and the closest one.

    Examples
    --------
    >>> choose("fulll", {"diag": 1, "full": 2}, "covariance")
    Traceback (most recent call last):
        ...
    bayesgmm.errors.UnknownName: covariance='fulll' is not one of 'diag', 'full'; did you mean 'full'?
    """
    if isinstance(name, str) and name in registry:
        return registry[name]
    raise UnknownName(f"{what}={in_short(name)} is not one of {allowed(registry)}{did_you_mean(name, registry)}")


def allowed(registry: Mapping[str, object]) -> str:
    """Return the names of a registry, quoted and sorted, for an error message."""
    return ", ".join(repr(name) for name in sorted(registry))


def instead_of(name: object, registry: Mapping[str, object], value: object = None) -> str:
    """Return what to write instead of an argument that does not exist: one of equal meaning, or similar.

    The value that it has is kept where it is one of the other argument, too.

    Examples
    --------
    >>> instead_of("random_state", {"seed": 1}), instead_of("seeds", {"seed": 1}), instead_of("x", {"seed": 1})
    ('; write seed=1', "; did you mean 'seed'?", '')
    """
    here = written_here(name, registry, value)
    return f"; write {here}" if here else did_you_mean(name, registry)


def did_you_mean(name: object, registry: Mapping[str, object]) -> str:
    """Return the name of a similar spelling, or of equal meaning, if a registry or table has one.

    Examples
    --------
    >>> did_you_mean("fulll", {"full": 1}), did_you_mean("FULL", {"full": 1}), did_you_mean("x", {"full": 1})
    ("; did you mean 'full'?", "; did you mean 'full'?", '')
    """
    if (here := VALUES.get(str(name))) in registry:
        return f"; did you mean {here!r}?"
    near = difflib.get_close_matches(str(name), list(registry), n=1)
    lowered = {str(known).lower(): known for known in registry}
    near = near or [lowered[text] for text in difflib.get_close_matches(str(name).lower(), list(lowered), n=1)]
    return f"; did you mean {near[0]!r}?" if near else ""
