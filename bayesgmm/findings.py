"""Findings of checks: what was observed, how severe it is, what it means for the results, and what to try."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, overload

from bayesgmm.errors import choose
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd

SEVERITIES = ("problem", "warning", "note")  # the results are wrong; may be wrong; information only
WIDTH = 100
NAMED = 3  # checks that a verdict names


@dataclass(frozen=True)
class Finding:
    """One result of a check of a fit.

    Parameters
    ----------
    severity : str
        ``'problem'``: the results are wrong; ``'warning'``: some of them may be wrong; ``'note'``: information only.
    check : str
        Name of the check that found it.
    what : str
        What was observed, with its numbers and the data's own names.
    why : str
        What it means for the results.
    advice : str
        What to try.
    evidence : dict
        The numbers on which it is based.

    Examples
    --------
    >>> print(Finding("warning", "energy", "BFMI is 0.2.", "Intervals may be too narrow.", "Use more draws."))
    BFMI is 0.2. Intervals may be too narrow. Use more draws.
    """

    severity: str
    check: str
    what: str
    why: str
    advice: str
    evidence: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.advice) if part)


class Findings(Sequence[Finding]):
    """All findings of the checks, the most severe first: a text when printed, a list in a notebook.

    Parameters
    ----------
    found : iterable of Finding
    passed : iterable of str
        Names of the checks that found no problem.
    skipped : mapping of str to str
        Checks that do not apply to this fit, and why.

    Examples
    --------
    >>> low = Finding("warning", "energy", "BFMI is 0.2.", "Intervals may be too narrow.", "Use more draws.")
    >>> print(Findings([low], passed=["mixing"]).verdict)
    Use these results with care: BFMI is 0.2. Use more draws. The other check found no problem.
    """

    def __init__(
        self, found: Sequence[Finding] = (), passed: Sequence[str] = (), skipped: Mapping[str, str] | None = None
    ) -> None:
        self._found = tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))
        self.passed = tuple(passed)
        self.skipped = dict(skipped or {})

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, at: int) -> Finding: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, at: int | slice) -> Finding | tuple[Finding, ...]:
        return self._found[at]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found)

    def of(self, severity: str) -> tuple[Finding, ...]:
        """Return the findings of one severity.

        Raises
        ------
        UnknownName
            When there is no such severity.
        """
        choose(severity, dict.fromkeys(SEVERITIES), "severity")
        return tuple(finding for finding in self if finding.severity == severity)

    @property
    def worst(self) -> str | None:
        """Highest severity of the findings, None when there are none."""
        return self[0].severity if self else None

    @property
    def verdict(self) -> str:
        """Summary of the findings, in about three sentences, that says if the results can be trusted."""
        if not self.passed and not self:
            return "Nothing was checked: no check is possible for this fit."
        if not self or self.worst == "note":
            notes = f" {plural(len(self), 'note')} below." if self else ""
            passed = f"{plural(len(self.passed), 'check')} found no problem" if self.passed else "No problem was found"
            return f"{passed}.{notes}"
        opening = "Do not trust these results yet" if self.worst == "problem" else "Use these results with care"
        worst = self.of(str(self.worst))
        details = " ".join(part for part in (_lower(worst[0].what), worst[0].advice, self._others(worst)) if part)
        return f"{opening}: {details}"

    def _others(self, worst: tuple[Finding, ...]) -> str:
        """Return the sentence of a verdict about the findings that it does not describe."""
        rest = [f for f in self if f.check != worst[0].check and f.severity != "note"]
        if rest:
            names = [*dict.fromkeys(finding.check for finding in rest)]
            shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
            return f"See also: {shown}."
        if not self.passed:
            return ""
        if notes := self.of("note"):
            return f"The other checks found only {plural(len(notes), 'note')}."
        alone = len(self.passed) == 1
        return "The other check found no problem." if alone else "The other checks found no problem."

    @property
    def table(self) -> "pd.DataFrame":
        """Findings as a table, one row each: ``severity``, ``check``, ``what``, ``why``, ``advice``."""
        import pandas as pd

        columns = ["severity", "check", "what", "why", "advice"]
        return pd.DataFrame([[getattr(finding, name) for name in columns] for finding in self], columns=columns)

    def __str__(self) -> str:
        parts = [_wrapped(self.verdict, "")]
        parts += [_as_text(finding) for finding in self]
        if self.passed:
            parts.append(_wrapped(f"No findings from: {', '.join(self.passed)}.", ""))
        if self.skipped:
            parts.append("\n".join(["Not checked:"] + [f"  {name}: {why}" for name, why in self.skipped.items()]))
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        counts = ", ".join(plural(len(self.of(name)), name) for name in SEVERITIES if self.of(name))
        return f"<Findings: {counts or 'nothing'} ({len(self.passed)} passed, {len(self.skipped)} skipped)>"

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li><b>{finding.severity}</b>: {escape(finding.what)} <i>{escape(finding.why)}</i> "
            f"{escape(finding.advice)}</li>"
            for finding in self
        )
        skipped = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in self.skipped.items())
        more = f"<details><summary>Not checked</summary><ul>{skipped}</ul></details>" if skipped else ""
        return f"<p>{escape(self.verdict)}</p><ul>{items}</ul>{more}"


def _lower(sentence: str) -> str:
    """Return a sentence with a small first letter, to follow a colon; names such as BFMI stay as they are."""
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _as_text(finding: Finding) -> str:
    head = _wrapped(f"{finding.severity.upper()} ({finding.check}): {finding.what}", "")
    rest = [_wrapped(part, "    ") for part in (finding.why, finding.advice) if part]
    return "\n".join([head, *rest])
