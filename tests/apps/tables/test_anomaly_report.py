"""Events of flagged rows, and the report of anomalies."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from bayesgmm.apps import find_anomalies, save_anomalies
from bayesgmm.apps.tables import detectors
from bayesgmm.apps.tables.anomaly_report import FILES, answer_words, columns_that_matter
from bayesgmm.apps.tables.anomaly_verdict import findings_of, verdict
from bayesgmm.cli.terminal import as_options
from bayesgmm.diagnosis import diagnose
from bayesgmm.errors import DataError, DeclarationError

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")


@pytest.fixture(scope="module")
def machine():
    """Readings of a machine, ten minutes apart, in random order; hot in two periods."""
    rng = np.random.default_rng(0)
    heat, load, speed = rng.normal(70, 2, 400), rng.normal(5, 1, 400), rng.normal(size=400)
    heat[100:112] += 40
    heat[300:305] += 40
    time = pd.date_range("2026-01-01", periods=400, freq="10min").astype(str)
    table = pd.DataFrame({"time": time, "speed": speed, "heat": heat, "load": load})
    return table.iloc[rng.permutation(400)].reset_index(drop=True)


@pytest.fixture(scope="module")
def found(machine):
    return find_anomalies(machine, n_components=1, fdr=0.001, progress=False)


def test_flagged_rows_close_in_time_are_events(found, machine):
    assert found.rows["anomaly"].sum() == 17
    assert found.time == "time"
    assert found.events["flagged"].tolist() == [12, 5]
    times = machine.loc[machine["heat"] > 100, "time"].sort_values().tolist()
    assert found.events["first"].tolist() == [times[0], times[12]]
    assert found.events["last"].tolist() == [times[11], times[16]]
    assert found.events["reason"].str.startswith("heat ").all()


def test_rows_are_ordered_by_the_column_that_is_named(machine):
    by_place = machine.assign(place=machine["time"].rank().to_numpy()).drop(columns="time")
    settings = {"n_components": 1, "fdr": 0.001, "progress": False, "columns": ["heat", "load"]}
    assert find_anomalies(by_place, time="place", **settings).events["flagged"].tolist() == [12, 5]
    assert find_anomalies(by_place, **settings).events.empty
    with pytest.raises(DataError, match="time='when' is no column of the table"):
        find_anomalies(by_place, time="when", **settings)


def test_the_answer_says_how_many_how_sure_and_which_columns(found):
    first, sure, columns, events = answer_words(found)
    assert first.startswith("17 of 400 rows are flagged")
    assert "0.017 of 17" in sure
    assert columns.startswith("columns that do not fit, with the number of flagged rows: heat (17)")
    assert events == "17 flagged rows are 2 events, the longest with 12 flagged rows"
    assert columns_that_matter(found)[0] == "heat"


def test_the_report_opens_with_the_answer(found, tmp_path):
    paths = save_anomalies(found, tmp_path, progress=False)
    assert [path.name for path in paths] == [*FILES]
    page = (tmp_path / "report.html").read_text()
    order = [page.index(text) for text in ("17 of 400 rows are flagged", "data:image", 'id="method"', 'id="table"')]
    assert order == sorted(order)
    assert len(pd.read_csv(tmp_path / "anomalies.csv")) == 17
    assert len(pd.read_csv(tmp_path / "events.csv")) == 2


def test_a_report_without_anomalies_says_so(machine, tmp_path):
    none = find_anomalies(machine[machine["heat"] < 100], n_components=1, fdr=1e-6, progress=False)
    save_anomalies(none, tmp_path, progress=False)
    assert "0 of 383 rows are flagged" in (tmp_path / "report.html").read_text()


def test_checks_leave_out_the_flagged_rows():
    """They hold points where the mixture expects none, whatever the mixture."""
    x = np.append(np.random.default_rng(0).normal(size=44), 12.0)
    found = find_anomalies(x[:, None], n_components=1, progress=False)
    assert found.flagged.index.tolist() == [44]
    assert 44 in found.fit["observed_data"]["point"]
    assert "unexplained points" in {finding.check for finding in diagnose(found.fit, progress=False)}
    findings = findings_of(found, progress=False)
    assert "unexplained points" in findings.passed
    sentences = " ".join(verdict(found, findings))
    assert "checks of the mixture, without the flagged row" in sentences
    assert "Do not trust" not in sentences


def test_every_sentence_of_the_report_is_worded_for_its_reader(found, tmp_path):
    options = {"drop": "--drop", "columns": "--columns", "transform": "--transform", "n_components": "-k"}
    save_anomalies(found, tmp_path, progress=False, wording=lambda text: as_options(text, options))
    page = (tmp_path / "report.html").read_text()
    assert "--drop speed leaves a column out" in page
    assert "drop=&#39;" not in page


def test_covariances_that_the_method_can_not_fit_are_refused_before_models_are_compared(machine, monkeypatch):
    monkeypatch.setattr(detectors, "evaluate_models", None)
    with pytest.raises(
        DeclarationError, match=r"'vb' can't take covariance='factors:1'(.|\n)*Methods that can: .*'em'"
    ):
        find_anomalies(machine, covariance="factors:1", progress=False)
