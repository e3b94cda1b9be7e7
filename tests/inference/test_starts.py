"""Initialisation of EM."""

import numpy as np
import pytest
from sklearn.cluster import kmeans_plusplus

from bayesgmm.inference.starts import spread_out_centres


@pytest.mark.parametrize("seed", range(20))
def test_k_means_plus_plus_picks_the_points_that_scikit_learn_picks(seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(int(rng.integers(12, 500)), int(rng.integers(1, 6)))).round(seed % 3 + 1)
    weight = rng.integers(1, 4, size=len(rows)).astype(float)
    state = int(np.random.default_rng(seed).integers(2**31))
    theirs = kmeans_plusplus(rows, 2 + seed % 9, sample_weight=weight, random_state=state)[0]
    np.testing.assert_array_equal(spread_out_centres(rows, weight, len(theirs), np.random.default_rng(seed)), theirs)
