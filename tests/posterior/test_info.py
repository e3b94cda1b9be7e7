"""Facts that a fit stores: one typed value that reads all files of its schema without loss."""

import json
from dataclasses import FrozenInstanceError, asdict, fields
from pathlib import Path

import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.errors import FitFileError
from bayesgmm.posterior.info import FitInfo, annotate, read, written
from bayesgmm.posterior.notes import EngineNotes, LabelInfo

STORED = json.loads(Path(__file__).with_name("info_of_schema_1.json").read_text(encoding="utf-8"))
"""The info of real fits, as the first version of the schema wrote it."""


def as_lists(value):
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("method", STORED)
def test_every_fact_of_an_old_file_is_read(method):
    stored = STORED[method]
    found = read(json.dumps(stored))
    assert found.model.plain() == stored["model"] or as_lists(found.model.plain()) == stored["model"]
    for name in ("method", "settings", "seed", "fingerprint", "seconds", "versions", "relabelled"):
        assert getattr(found, name) == stored[name], name
    assert list(found.warnings) == stored["warnings"]
    known = {f.name for f in fields(FitInfo)}
    notes = {name: value for name, value in stored.items() if name not in known | {"schema"}}
    assert {name: as_lists(asdict(found.notes))[name] for name in notes} == notes
    labels = as_lists(asdict(found.labels))
    assert {name: labels[name] for name in stored["labels"]} == stored["labels"]
    if "truncation" in stored:
        assert asdict(found.truncation) == {"several_points": None} | stored["truncation"]
    assert found.unknown == {}


@pytest.mark.parametrize("method", STORED)
def test_what_is_written_is_read_back(method):
    found = read(json.dumps(STORED[method]))
    assert read(written(found)) == found
    kept = json.loads(written(found))
    assert {name for name, value in STORED[method].items() if value and name not in kept} == set()


def test_facts_of_a_newer_version_survive_a_relabelling(fit):
    newer = fit.copy()
    newer.attrs["bayesgmm"] = json.dumps(json.loads(fit.attrs["bayesgmm"]) | {"mood": [1, 2]})
    assert bg.info(newer).unknown == {"mood": [1, 2]}
    again = bg.relabel(newer, "pivot", progress=False)
    assert json.loads(again.attrs["bayesgmm"])["mood"] == [1, 2]
    assert bg.info(again).labels.method == "pivot"


def test_a_trace_that_stores_nothing_has_an_empty_info():
    assert bg.info(xr.DataTree()) == FitInfo()
    assert repr(FitInfo()) == "FitInfo(\n)"


@pytest.mark.parametrize("text", ["{", "[]", '{"seed": "many"}', '{"model": {"n_components": -1}}'])
def test_a_damaged_info_is_a_damaged_file(text):
    with pytest.raises(FitFileError, match="damaged"):
        bg.info(xr.DataTree(xr.Dataset(attrs={"bayesgmm": text})))


def test_a_representation_shows_what_is_known():
    shown = repr(FitInfo(method="vb", notes=EngineNotes(elbo=-3.5), labels=LabelInfo("ecr", indistinct=((0, 1),))))
    assert shown.splitlines() == [
        "FitInfo(",
        "    method='vb',",
        "    notes=EngineNotes(elbo=-3.5),",
        "    labels=LabelInfo(method='ecr', indistinct=((0, 1),)),",
        ")",
    ]


def test_an_info_is_frozen():
    with pytest.raises(FrozenInstanceError):
        FitInfo().seed = 1


def test_infinite_and_undefined_numbers_are_kept():
    tree = annotate(xr.DataTree(), FitInfo(notes=EngineNotes(pareto_khat=float("inf"))))
    assert bg.info(tree).notes.pareto_khat == float("inf")
