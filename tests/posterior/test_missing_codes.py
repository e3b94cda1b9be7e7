"""Numbers that stand for missing values: a fit stores them, and they are missing in new data."""

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.posterior.missing_codes import with_missing_codes
from bayesgmm.transforms.columns import ColumnTransforms
from bayesgmm.transforms.curves import Power


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    coded = pd.DataFrame({"age": rng.uniform(20, 80, 60), "income": rng.lognormal(7, 1, 60)})
    coded.loc[::10, "age"] = -999
    return coded, coded.replace(-999, np.nan)


@pytest.mark.parametrize("transform", [None, ColumnTransforms({"age": None, "income": Power(power=0, start=0.1)})])
def test_answers_about_new_rows_take_codes_as_missing(tables, transform, tmp_path):
    coded, clean = tables
    fit = bg.fit(bg.MixtureModel(2), clean, "em", transform=transform, seed=1, progress=False)
    bg.save(with_missing_codes(fit, {"age": [-999], "income": []}), tmp_path / "fit.nc")
    stored = bg.load(tmp_path / "fit.nc")
    assert bg.info(stored).missing_codes == {"age": (-999.0,)}
    pd.testing.assert_frame_equal(bg.assignments_table(stored, coded), bg.assignments_table(fit, clean))
    np.testing.assert_array_equal(bg.density(stored, coded)["log_density"], bg.density(fit, clean)["log_density"])
    assert not np.allclose(bg.density(fit, coded)["log_density"], bg.density(fit, clean)["log_density"])


def test_a_fit_without_codes_takes_every_number_as_a_value(tables):
    coded, _ = tables
    fit = bg.fit(bg.MixtureModel(1), coded[["income"]], "em", seed=1, progress=False)
    assert with_missing_codes(fit, {}) is fit
    assert bg.info(fit).missing_codes == {}
