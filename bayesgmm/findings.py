"""A finding: what a check saw, how bad it is, why it matters, and what to try."""

from dataclasses import dataclass, field
from typing import Any

SEVERITIES = ("problem", "doubt", "note")  # the answers are wrong; may be wrong; good to know


@dataclass(frozen=True)
class Finding:
    """What a check has to say about a fit.

    Parameters
    ----------
    severity : str
        ``'problem'``: answers are wrong until it is mended; ``'doubt'``: some may be; ``'note'``: good to know.
    check : str
        Name of the check that found it.
    what : str
        What was seen, with its numbers and the data's own names.
    why : str
        What it means for the answers.
    advice : str
        What to try.
    evidence : dict
        The numbers behind it.

    Examples
    --------
    >>> print(Finding("doubt", "divergences", "3 of 4000 draws diverged.", "Parts may be missing.", "Draw slower."))
    3 of 4000 draws diverged. Parts may be missing. Draw slower.
    """

    severity: str
    check: str
    what: str
    why: str
    advice: str
    evidence: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.advice) if part)
