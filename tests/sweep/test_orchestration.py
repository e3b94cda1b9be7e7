"""One sweep for every use: all functions that read points agree, and call the arithmetic of a block in one place."""

import ast
from pathlib import Path

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.clusterings.label_draws import count_labels, draw_labels
from bayesgmm.data.points import as_points
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.labels.responsibilities import Responsibilities
from bayesgmm.posterior.contamination import with_background
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.schema import Posterior
from bayesgmm.predictions.densities import spread
from bayesgmm.pymc_ops.ops import _stored
from bayesgmm.sweep import row_kernels
from bayesgmm.sweep.stats import Table, draw_responsibilities, fold, log_densities, responsibilities
from tests.families.registry import CHARTED

fold_rows, score_rows = _stored(row_kernels.fold_rows), _stored(row_kernels.score_rows)
precision_roots = _stored(row_kernels.precision_roots)
ROOT = Path(__file__).parents[2] / "bayesgmm"
WEIGHTS = np.random.default_rng(1).integers(0, 4, size=70).astype(float)


class Case:
    """One mixture and 70 points, described in every way that the package knows."""

    def __init__(self, family, background, weights):
        rng = np.random.default_rng(0)
        self.x = rng.normal(size=(70, 3)) * [1.0, 2.0, 3.0] + 4
        model = bg.MixtureModel(3, family, background=bg.Background(share=0.2) if background else None)
        self.weights = np.ones(70) if weights is None else weights
        points = as_points(self.x) if weights is None else as_points(self.x).weighed(weights)
        self.density = LogPosterior.of(model, points)
        self.q = rng.normal(scale=0.5, size=self.density.size)
        self.blocks, self.log_scale = self.density.blocks, self.density.standard.log_scale
        self.table = Mixture(*self.density.mixture(self.q)).table(self.density.model.family)
        self.parameters = self.density.parameters(self.q)

    @property
    def stack(self):
        """The table as a stack of one."""
        return Table(self.table.offset[None], self.table.mean[None], self.table.root[None])

    def posterior(self):
        """One draw, without the background."""
        return Posterior(self.density.parameters(self.q[None]), ("a", "b", "c"), self.density.standard)

    def joined(self):
        """Log weights, means and precision roots in data units, with the background as the last component."""
        p, background = self.parameters, self.density.model.background
        parts = (p.weight, p.mean, p.covariance)
        weight, mean, covariance = parts if background is None else background.append_to(*parts)
        return np.log(weight), mean, precision_roots(np.ascontiguousarray(covariance))


@pytest.fixture(params=[(f, b, w) for f in CHARTED for b in (False, True) for w in (False, True)], ids=str)
def case(request):
    family, background, weights = request.param
    return Case(family, background, WEIGHTS if weights else None)


def test_all_callers_compute_the_same_log_likelihood(case):
    expected = fold(case.blocks, case.table).loglik - case.weights.sum() * case.log_scale
    native = case.density(case.q)[0] - case.density.log_prior(case.q)
    by_point = case.weights @ (log_densities(case.blocks, case.table)[0] - case.log_scale)
    by_draw = Responsibilities(case.blocks, case.stack).logliks()[0] - case.weights.sum() * case.log_scale
    op, by_row = fold_rows(case.x, case.weights, *case.joined())[0], case.weights @ score_rows(case.x, *case.joined())
    whole = with_background(case.posterior(), case.density.model.background)
    summed_up = case.weights @ spread(whole, case.x, progress=False).mean_log
    np.testing.assert_allclose([native, by_point, by_draw, op, by_row, summed_up], expected, rtol=1e-11)


def test_all_callers_compute_the_same_responsibilities(case):
    share = responsibilities(case.blocks, case.table)
    np.testing.assert_allclose(case.weights @ share, fold(case.blocks, case.table).n, rtol=1e-11)
    np.testing.assert_allclose(draw_responsibilities(case.blocks, case.stack)[0], share, rtol=1e-12, atol=1e-15)
    gradient = fold_rows(case.x, case.weights, *case.joined())[1]
    np.testing.assert_allclose(gradient[:3], case.weights @ share, rtol=1e-9)
    rest = 1 - share.sum(axis=1)
    if case.blocks.background is None:
        np.testing.assert_allclose(rest, 0.0, atol=1e-14)
    else:
        joined = Posterior.tables(with_background(case.posterior(), case.density.model.background))
        plain = case.density.standard.blocks(case.x)
        np.testing.assert_allclose(rest, responsibilities(plain, joined)[:, -1], rtol=1e-9, atol=1e-13)


def test_labels_are_drawn_from_the_responsibilities(case):
    """4,000 labels a point.  False alarm: 1e-4 (6 sd, 280 shares)."""
    one = case.posterior()
    again = np.repeat(np.arange(1), 4000)
    p = one.parameters
    draws = type(p)(p.weight[again], p.mean[again], p.covariance[again])
    many = Posterior(draws, one.columns, one.standard)
    labels, share = draw_labels(many, case.blocks), responsibilities(case.blocks, case.table)
    for k in range(3):
        sd = np.sqrt(share[:, k] * (1 - share[:, k]) / 4000)
        assert (np.abs((labels == k).mean(axis=0) - share[:, k]) <= 6 * sd + 1e-3).all()
    assert labels.max() == (2 if case.blocks.background is None else 3)
    counts = np.stack([(labels == k).sum(axis=1) for k in range(3)], axis=1)
    np.testing.assert_array_equal(count_labels(many, case.blocks), counts)


def users(names, sources):
    """Functions that read one of the names; a module whose text has none of them need not be parsed."""
    found = set()
    for module, text in sources.items():
        for node in ast.walk(ast.parse(text)) if any(name in text for name in names) else ():
            if isinstance(node, ast.FunctionDef):
                read = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
                read |= {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}
                found |= {f"{module}.{node.name}"} if read & names else set()
    return found


@pytest.fixture(scope="module")
def sources():
    return {str(path.relative_to(ROOT).with_suffix("")): path.read_text() for path in ROOT.rglob("*.py")}


def test_points_are_scored_in_one_place(sources):
    """A pattern of missing columns, an error of measurement or a known label then changes this place alone."""
    assert users({"score_full", "score_diagonal"}, sources) == {"sweep/orchestration.score_block"}
    assert users({"moments_full", "moments_diagonal"}, sources) == {"sweep/orchestration._add_centred"}


def test_the_background_is_a_row_of_the_table_in_one_place(sources):
    tempered = "inference/tempering_kernels._temper_background"  # its log density times the inverse temperature
    assert users({"LOG_REST"}, sources) == {"sweep/orchestration.score_block", tempered}
    assert users({"share"}, {"backgrounds": sources["priors/backgrounds"]}) == {
        "backgrounds.append_to",
        "backgrounds.row",
    }
    assert users({"append_to"}, sources) == {"posterior/contamination.with_background", "inference/builder.build_model"}


def test_the_check_of_places_can_fail():
    sources = {"a": "def f():\n    kernels.score_full(x)", "b": "def g(): pass", "c": "def score_full(): pass"}
    assert users({"score_full"}, sources) == {"a.f"}
