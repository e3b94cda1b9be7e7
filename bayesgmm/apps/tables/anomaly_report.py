"""The report of ``anomalies``: a folder with the flagged rows, events, a picture and an HTML report."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.apps.tables.anomaly_verdict import findings_of, verdict
from bayesgmm.apps.tables.columns import beside
from bayesgmm.apps.tables.events import event_words
from bayesgmm.apps.tables.judging import Anomalies
from bayesgmm.apps.tables.table_section import table_section
from bayesgmm.files import made_folder, write_csv, write_picture
from bayesgmm.findings import Findings
from bayesgmm.keywords import checks_keywords
from bayesgmm.plots.flagged_rows import flagged_rows
from bayesgmm.predictions.reasons import explain_anomalies
from bayesgmm.reports.blocks import Block, Grid, Items, Paragraph
from bayesgmm.reports.pages import Filled
from bayesgmm.reports.pictures import picture
from bayesgmm.wording import number_in_words, plural

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FILES = ("anomalies.csv", "events.csv", "anomalies.png", "report.html")
SECTIONS = ("findings", "fitted", "again", "cite", "terms")
SHOWN = 40  # flagged rows in the table of the report
EXPLAINED = 500  # flagged rows whose suspect columns are counted
COLUMNS_SHOWN = 5


@checks_keywords
def save_anomalies(
    found: Anomalies,
    folder: str | Path,
    progress: bool = True,
    *,
    wording: Callable[[str], str] = str,
    findings: Findings | None = None,
) -> list[Path]:
    """Write the flagged rows, events, a picture and a report into a folder; return the paths.

    Parameters
    ----------
    found : Anomalies
        From ``find_anomalies`` or ``judge``.
    folder : str or Path
        Created if it does not exist.
    progress : bool
        Show a progress bar after two seconds.
    wording : callable
        Applied to each sentence of the report: the command writes arguments as its options.
    findings : Findings, optional
        Of the checks of the fit, without the flagged rows. Default: computed here.

    Returns
    -------
    list of Path
        ``anomalies.csv``, ``events.csv``, ``anomalies.png`` and ``report.html``.

    Raises
    ------
    FitFileError
        If the folder can't be written.

    Examples
    --------
    >>> import tempfile
    >>> from bayesgmm.apps.tables.anomalies import find_anomalies
    >>> x = np.append(np.random.default_rng(0).normal(size=99), 40.0)
    >>> found = find_anomalies(x[:, None], n_components=1, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in save_anomalies(found, folder, progress=False)]
    ['anomalies.csv', 'events.csv', 'anomalies.png', 'report.html']
    """
    import matplotlib.pyplot as plt

    from bayesgmm.reports import report

    folder = made_folder(Path(folder), FILES)
    write_csv(found.flagged, folder / "anomalies.csv")
    write_csv(found.events, folder / "events.csv", index=False)
    columns = columns_that_matter(found)
    figure = _drawn(found, columns)
    write_picture(figure, folder / "anomalies.png")
    plt.close(figure)
    findings = findings_of(found, progress) if findings is None else findings
    opening = [
        _answer_section(found, columns, [_sentence(wording(line)) for line in verdict(found, findings)], wording),
        *(
            [Filled("method", "How they were found", [Items(tuple(map(wording, found.method)))])]
            if found.method
            else []
        ),
        *([table_section(found.table.check, wording)] if found.table.check is not None else []),
    ]
    title = f"{plural(int(found.rows['anomaly'].sum()), 'anomaly', 'anomalies')} in {plural(len(found.rows), 'row')}"
    path = folder / "report.html"
    report(found.fit, path, title=title, opening=opening, sections=SECTIONS, findings=findings, progress=progress)
    return [folder / name for name in FILES]


def answer_words(found: Anomalies) -> list[str]:
    """Say how many rows are flagged, how many of them may be regular, in which columns, and the events."""
    flagged, judged = int(found.rows["anomaly"].sum()), int(found.table.known.sum())
    lines = [f"{flagged:,} of {plural(judged, 'row')} {'is' if flagged == 1 else 'are'} flagged ({found.rule})"]
    lines.append(_sure(found, flagged))
    if flagged:
        suspect = _suspect_counts(found)
        most = [f"{name} ({count:,})" for name, count in suspect[suspect > 0].head(COLUMNS_SHOWN).items()]
        lines.append(f"columns that do not fit, with the number of flagged rows: {', '.join(most)}" if most else "")
    lines.append(event_words(found.events, flagged))
    return [line for line in lines if line]


def _sure(found: Anomalies, flagged: int) -> str:
    """Say how many of the flagged rows may be regular, or why none is flagged."""
    p_value = found.rows["p_value"].dropna().to_numpy(np.float64)
    if found.rule.fdr is not None and not flagged:
        lowest = f"the smallest p-value is {p_value.min():.2g}; " if p_value.size else ""
        return f"{lowest}no row is so improbable that at most {100 * found.rule.fdr:g} % of such rows would be regular"
    if found.rule.fdr is not None:
        return (
            f"of the flagged rows at most about {100 * found.rule.fdr:g} % are expected to be regular, "
            f"{number_in_words(found.rule.fdr * flagged)} of {flagged:,}"
        )
    if found.rule.alpha is not None:
        expected = number_in_words(found.rule.alpha * p_value.size)
        return f"of {plural(p_value.size, 'regular row')} {expected} are expected to have so small a p-value"
    called_p = found.rows["p_value"][found.rows["anomaly"]]
    lowest = f" ({called_p.min():.2g} to {called_p.max():.2g})" if flagged else ""
    return f"a fixed number of rows is flagged, so regular ones may be among them: see their p-values{lowest}"


def _flagged_rows(found: Anomalies) -> "pd.DataFrame":
    return found.table.rows[found.rows["anomaly"].to_numpy(bool)[found.table.known]]


def _suspect_counts(found: Anomalies) -> "pd.Series":
    """Number of flagged rows, of at most 500, in which each column is suspect; the largest number first."""
    import pandas as pd

    answer = explain_anomalies(found.fit, _flagged_rows(found).head(EXPLAINED))
    counts = answer["suspect"].values.sum(axis=0)
    strength = np.nan_to_num(np.abs(answer["rest_z"].values)).mean(axis=0)
    order = np.lexsort([-strength, -counts])
    return pd.Series(counts[order], index=[str(answer["feature"].values[j]) for j in order])


def columns_that_matter(found: Anomalies) -> list[str]:
    """Return the one or two columns that are suspect in most of the flagged rows."""
    if not found.rows["anomaly"].any():
        return [str(name) for name in found.table.columns[:2]]
    counts = _suspect_counts(found)
    return [str(name) for name in counts.index[:2]]


def _drawn(found: Anomalies, columns: list[str]) -> "Figure":
    rows, judged = found.table.rows, found.rows[found.table.known]
    order = np.argsort(judged["p_value"].to_numpy(np.float64), kind="stable")
    names = {str(name): name for name in rows.columns}
    return flagged_rows(rows.iloc[order], judged["anomaly"].to_numpy(bool)[order], [names[name] for name in columns])


def _answer_section(found: Anomalies, columns: list[str], checks: list[str], wording: Callable[[str], str]) -> Filled:
    first, *rest = [_sentence(wording(line)) for line in answer_words(found)]
    blocks: list[Block] = [Paragraph(f"{first} {' '.join(rest[:1])}", "lead"), Paragraph(" ".join(checks), "lead")]
    shown = " and ".join(columns)
    count = plural(int(found.rows["anomaly"].sum()), "row")
    blocks.append(
        picture(
            lambda: _drawn(found, columns),
            title=f"The flagged rows in {shown}",
            alt=f"{count} flagged, in {shown}.",
            reading="Diamonds are flagged rows, the most anomalous with their labels. These are the columns that do "
            "not fit in most of them; a row can be anomalous in other columns, which its reason names.",
            verdict=_sentence(first.rstrip(".")),
            vectors=False,
        )
    )
    blocks += [_table(found), *([_events(found)] if len(found.events) else [])]
    return Filled("answer", "The anomalies", [*blocks, *([Items(tuple(rest[1:]))] if rest[1:] else [])])


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def _table(found: Anomalies) -> Grid:
    rows = found.flagged.head(SHOWN)
    answers = beside(found.table.written, found.rows).columns[-len(found.rows.columns) :]
    p_value, reason = (answers[list(found.rows.columns).index(name)] for name in ("p_value", "reason"))
    cells = [
        (str(label), f"{p:.2g}", str(why))
        for label, p, why in zip(rows.index, rows[p_value], rows[reason], strict=True)
    ]
    count = int(found.rows["anomaly"].sum())
    more = f"The first {SHOWN} of {count:,}. " if count > SHOWN else ""
    return Grid(
        "The flagged rows, the smallest p-value first, with reasons.",
        ("row", "p-value", "reason"),
        tuple(cells),
        note=f"{more}All columns are in anomalies.csv. The p-value is the probability that a regular row is as "
        "improbable. A reason names the smallest set of cells without which the row is ordinary, with their distances "
        "from what the rest of the row leads one to expect, in standard deviations (sd).",
        ends_in_words=True,
    )


def _events(found: Anomalies) -> Grid:
    listed = found.events.head(SHOWN)
    cells = [
        (str(first), str(last), f"{rows:,}", f"{flagged:,}", f"{p:.2g}", str(why))
        for first, last, rows, flagged, p, why in listed.itertuples(index=False)
    ]
    return Grid(
        f"Events: flagged rows close together in {found.time}.",
        ("first", "last", "rows", "flagged", "p-value", "reason of the most anomalous row"),
        tuple(cells),
        note="Between two consecutive flagged rows of an event lie fewer than 1 % of all rows.",
        ends_in_words=True,
    )
