"""The shortlist: against a thorough search of every choice."""

import numpy as np
import pandas as pd

import bayesgmm as bg
from bayesgmm.model_selection import shortlists
from bayesgmm.model_selection.shortlists import shortlist

FAMILIES = ("full", "diag")


def groups(n):
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    return pd.DataFrame(centres[rng.integers(3, size=n)] + rng.normal(size=(n, 2)), columns=["a", "b"])


def test_the_shortlist_finds_the_best_choice_of_a_search_of_all():
    x = groups(240)
    found = shortlist(x, range(1, 6), FAMILIES, seed=0, progress=False)
    oracle = bg.select(x, range(1, 6), FAMILIES, seed=0, progress=False)
    assert (
        found.loc[0, ["n_components", "covariance"]].tolist() == oracle.loc[0, ["n_components", "covariance"]].tolist()
    )
    np.testing.assert_allclose(found["bic"][0], oracle["bic"][0], rtol=1e-6)
    assert len(found) == 10
    assert (found["search"] == "thorough").sum() == 5
    assert "elbo" not in found


def test_choices_that_were_compared_on_a_sample_have_no_criteria(monkeypatch):
    """Their values belong to other rows. They are no failures either: no problem is given."""
    monkeypatch.setattr(shortlists, "SAMPLE", 120)
    found = shortlist(groups(400), range(1, 6), FAMILIES, seed=0, progress=False)
    sampled = found[found["search"] == "sample"]
    assert 2 <= len(sampled) <= 5
    assert sampled["bic"].isna().all()
    assert sampled["problem"].isna().all()
    assert found["n_components"][0] == 3


def test_few_choices_are_all_searched_thoroughly():
    found = shortlist(groups(60), [1, 2, 3], ["diag"], seed=0, progress=False)
    assert (found["search"] == "thorough").all()
