"""The verdict on anomalies: whether their p-values hold, and what the checks of the mixture found."""

from bayesgmm.apps.tables.cluster_words import verdict_words
from bayesgmm.apps.tables.empirical_nulls import calibration_words
from bayesgmm.apps.tables.judging import Anomalies
from bayesgmm.apps.tables.p_values import null_of, reference_of
from bayesgmm.diagnosis import diagnose
from bayesgmm.findings import Findings
from bayesgmm.posterior.subsets import without_rows
from bayesgmm.wording import plural

SHAPE = "predictive fit"  # the check of the mixture's shape: what follows from a misfit is seen in the p-values


def findings_of(found: Anomalies, progress: bool = True) -> Findings:
    """Check the fit on the rows that are not flagged: a flagged row does not fit, whatever the mixture."""
    flagged = {*found.rows.index[found.rows["anomaly"].to_numpy(bool)].tolist()}
    return diagnose(without_rows(found.fit, flagged), progress=progress)


def verdict(found: Anomalies, findings: Findings) -> list[str]:
    """Say whether the p-values hold, and what the checks of the mixture found: a list of sentences.

    Parameters
    ----------
    found : Anomalies
    findings : Findings
        From ``findings_of``.
    """
    lines = _calibration(found) if reference_of(found.fit) is None else [HELD_OUT]
    flagged = int(found.rows["anomaly"].sum())
    without = f", without the flagged {'row' if flagged == 1 else 'rows'}" if flagged else ""
    others = [finding for finding in findings if finding.check != SHAPE and finding.severity != "note"]
    lines.append(
        f"checks of the mixture{without}: {verdict_words(Findings(others, findings.passed, findings.skipped))}"
    )
    if shape := [finding for finding in findings if finding.check == SHAPE]:
        lines.append(
            f"the shape of the mixture is approximate: {shape[0].what[:1].lower()}{shape[0].what[1:]} Whether the "
            "p-values hold in spite of this is said above"
        )
    return lines


def _calibration(found: Anomalies) -> list[str]:
    """Say whether the p-values hold, and how many rows only the correction of their tail leaves unflagged."""
    judged = found.rows.dropna(subset="p_value")
    p_value, null = judged["p_value"].to_numpy(), null_of(found.fit)
    lines = [calibration_words(p_value, null)]
    count = int(found.rule.flag(null.without_tail(p_value), judged["log_density"].to_numpy())[1].sum())
    if count > judged["anomaly"].sum():
        lines.append(
            f"without the correction of p-values for heavy tails, {plural(count, 'row')} would be flagged, perhaps "
            f"regular ones among them; top={count} flags {'it' if count == 1 else 'these'}"
        )
    return lines


HELD_OUT = "p-values are ranks among held-out rows, so they hold for any mixture"
