"""Coresets of several sizes: what they cost, their error, and how good a fit of them is; random samples beside them."""

import time
import warnings

import numpy as np

import bayesgmm as bg
from bayesgmm.datasets import make_mixture

TITLE = "## Coresets: 1,000,000 rows, 4 columns, K = 8"
ROWS, D, K = 1_000_000, 4, 8
SIZES = (1_000, 10_000, 100_000)
SETTINGS = {"method": "em", "seed": 1, "progress": False}


def loss(fit, x, best):
    """Return by how much the log likelihood of all rows is below its maximum, in nats."""
    return best - bg.density(fit, x, progress=False)["log_density"].values.sum()


def main(rows=ROWS):
    warnings.simplefilter("ignore")
    x, model = make_mixture(rows, D, K, overlap=0.1, seed=1).X, bg.MixtureModel(K)
    whole = bg.fit(model, x, **SETTINGS)
    best = bg.density(whole, x, progress=False)["log_density"].values.sum()
    bg.coreset(x, K, 100, progress=False)
    rng = np.random.default_rng(0)
    print(
        "| rows | processor time, s | largest error of a row, nats | width | below the maximum, nats | random sample |"
    )
    print("|---|---|---|---|---|---|")
    for size in SIZES:
        start = time.process_time()
        some = bg.coreset(x, K, size, seed=1, progress=False)
        seconds = time.process_time() - start
        fit = bg.fit(model, some.points, sample_weight=some.weight, **SETTINGS)
        sample = bg.fit(model, x[rng.choice(rows, size, replace=False)], **SETTINGS)
        print(
            f"| {size:,} | {seconds:.2f} | {some.max_error:.4f} | {some.width:.3g} | {loss(fit, x, best):,.0f} "
            f"| {loss(sample, x, best):,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
