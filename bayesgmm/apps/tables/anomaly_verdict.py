"""The verdict on anomalies: whether their p-values hold, and what the checks of the mixture found."""

from bayesgmm.apps.tables.cluster_words import verdict_words
from bayesgmm.apps.tables.empirical_nulls import calibration_words
from bayesgmm.apps.tables.judging import Anomalies
from bayesgmm.apps.tables.p_values import null_of, reference_of
from bayesgmm.diagnosis import diagnose
from bayesgmm.findings import Findings
from bayesgmm.posterior.subsets import without_rows

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
    p_value = found.rows["p_value"].dropna().to_numpy()
    lines = [calibration_words(p_value, null_of(found.fit))] if reference_of(found.fit) is None else [HELD_OUT]
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


HELD_OUT = "p-values are ranks among held-out rows, so they hold for any mixture"
