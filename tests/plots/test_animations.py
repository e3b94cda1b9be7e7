"""Animations: their frames, and the files that they write."""

import numpy as np
import pytest
from PIL import Image

import bayesgmm as bg
from bayesgmm.errors import DeclarationError
from bayesgmm.plots import animation_data

X = np.random.default_rng(0).normal(size=(60, 3)) + np.repeat([[0.0], [6.0]], 30, axis=0)


@pytest.fixture(scope="module")
def drawn():
    return bg.fit(bg.MixtureModel(2, "diag"), X, "gibbs", draws=50, chains=2, seed=1, progress=False)


def test_steps_of_em_never_lower_the_likelihood(drawn):
    assert (np.diff(animation_data(drawn, "em")["loglik"]) > -1e-9).all()


def test_both_views_of_relabelling_show_the_same_components(drawn):
    data = animation_data(drawn, "relabelling", frames=10)
    before, after = np.sort(data["mean"].values, axis=-1).swapaxes(0, 1)
    np.testing.assert_array_equal(before, after)


def test_a_gif_has_all_frames_and_html_needs_no_network(drawn, tmp_path):
    film = bg.plots.animate(drawn, frames=4)
    with Image.open(film.save(tmp_path / "a.gif")) as image:
        assert image.n_frames == len(film) == 4
    page = film.save(tmp_path / "a.html").read_text()
    assert "http" not in page
    assert "fa fa-" not in page


def test_a_point_estimate_has_no_draws_to_animate():
    fit = bg.fit(bg.MixtureModel(2, "diag"), X, "em", progress=False)
    with pytest.raises(DeclarationError, match="of='em'"):
        bg.plots.animate(fit)
