"""Every card in models/ is loaded, fitted, and held to its own facts."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import bayesgmm as bg
from bayesgmm.errors import UnknownName
from bayesgmm.mixing import convergence
from bayesgmm.model import card_path
from bayesgmm.posterior import info

CARDS = sorted(Path(__file__).parents[1].joinpath("models").glob("*.toml"))
CLASSES = {"iris": "species", "wine": "cultivar"}


def facts(fit, classes):
    """Everything that a card may expect, by name."""
    weight = fit["posterior"]["weight"].mean(("chain", "draw"))
    rhat, _ = convergence(fit)
    found = {
        "smallest_weight": float(weight.min()),
        "largest_weight": float(weight.max()),
        "largest_rhat": float(np.nanmax(rhat.to_array().max())),
        "loglik_rhat": float(rhat["loglik"]),
        "clusters": len(set(bg.assignments(fit)["label"].values)),
    }
    if "concentration" in fit["posterior"]:
        found["concentration"] = float(fit["posterior"]["concentration"].mean())
    if "truncation" in info(fit):
        found["truncated_mass"] = info(fit)["truncation"]["mass"]
    if classes is not None:
        found["adjusted_rand_index"] = adjusted_rand_score(classes, bg.assignments(fit)["label"].values)
    return found


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_a_card_keeps_its_promises(path):
    card = bg.load_card(path)
    frame = bg.datasets.DATASETS[card.data.dataset]()
    classes = frame.pop(CLASSES[card.data.dataset]) if card.data.dataset in CLASSES else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        fit = bg.fit(card.mixture, frame, columns=card.data.columns, seed=11, progress=False)
    found = facts(fit, classes)
    assert card.expect, "a card without facts promises nothing"
    for name, (low, high) in card.expect.items():
        assert low <= found[name] <= high, (name, found[name])
    assert card.title
    assert card.about


def test_cards_are_found_by_name():
    assert card_path("iris").name == "iris.toml"
    with pytest.raises(UnknownName, match="did you mean 'iris'"):
        card_path("irsi")
