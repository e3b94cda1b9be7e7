"""posteriordb's ``low_dim_gauss_mix``: a declaration with its priors, compared with the published posterior."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayesgmm as bg
from bayesgmm.posterior.schema import unpack
from evidence.errors import estimate

DATA = Path(__file__).parent / "data" / "low_dim_gauss_mix.txt"
PUBLISHED = {
    "mu[1]": (-2.73351447, 0.00041644, 0.042029),
    "mu[2]": (2.86983189, 0.00055964, 0.054133),
    "sigma[1]": (1.02807388, 0.00031586, 0.031371),
    "sigma[2]": (1.02382154, 0.00041463, 0.040492),
    "theta": (0.62154934, 0.00015438, 0.015368),
}
"""Parameter -> posterior mean and its Monte Carlo error (posteriordb), posterior sd (stat_comp_benchmarks)."""
MODEL = bg.MixtureModel(
    2,
    weights=bg.Dirichlet(5.0),
    means=bg.NormalMeans(0.0, 2.0, ordered=True),
    covariances=bg.LKJCovariance(sd=bg.HalfNormal(2.0)),
)
ENGINES = ("nuts", "advi", "fullrank_advi")
FEW = 3  # with fewer fits, they are shorter, and of one engine


def moments(method: str, seed: int, draws: int) -> NDArray[np.float64]:
    """Fit the data; return the posterior means and standard deviations (2, 5) of the parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        fit = bg.fit(MODEL, np.loadtxt(DATA).reshape(-1, 1), method, draws=draws, seed=seed, progress=False)
    drawn = unpack(fit).parameters
    order = drawn.mean[..., 0].argsort(axis=1)
    mean, sd, weight = (
        np.take_along_axis(values, order, axis=1)
        for values in (drawn.mean[..., 0], np.sqrt(drawn.covariance[..., 0, 0]), drawn.weight)
    )
    values = np.column_stack([mean, sd, weight[:, 0]])
    return np.stack([values.mean(axis=0), values.std(axis=0)])


def low_dim_gauss_mix(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Compare posterior means and standard deviations; a replicate is a fit."""
    rows, worst = [], {}
    for method in ENGINES[: None if replicates >= FEW else 1]:
        draws = 1000 if replicates >= FEW else 100
        found = np.array([moments(method, seed + i, draws) for i in range(replicates)])
        error = found.std(axis=0, ddof=1) / np.sqrt(replicates)
        (mean, sd), (mean_error, sd_error) = found.mean(axis=0), error
        scores = []
        for j, (name, (published, published_error, published_sd)) in enumerate(PUBLISHED.items()):
            scores.append((mean[j] - published) / np.hypot(mean_error[j], published_error))
            rows.append(
                {
                    "engine": method,
                    "parameter": name,
                    "published mean": estimate(published, published_error, 4),
                    "mean": estimate(mean[j], mean_error[j], 4),
                    "difference / error": round(scores[-1], 1),
                    "published sd": published_sd,
                    "sd": estimate(sd[j], sd_error[j], 4),
                }
            )
        worst[method] = max(map(abs, scores))
    largest = ", ".join(f"{value:.1f} for `{method}`" for method, value in worst.items())
    text = f"""A mixture of two normal distributions, 1,000 points
        ([posteriordb](https://github.com/stan-dev/posteriordb), `low_dim_gauss_mix`). The priors can be declared as
        they stand: ordered means with Normal(0, 2), standard deviations with HalfNormal(2), weights with Beta(5, 5).
        The published means are those of 10,000 draws of Stan in posteriordb, with their Monte Carlo errors; the
        published standard deviations are those of a million draws
        ([stat_comp_benchmarks](https://github.com/stan-dev/stat_comp_benchmarks)). The data are rounded to 3 decimals.
        Errors are from the spread over the fits. The largest differences of means, in standard errors: {largest}.
        `gibbs` and `vb` can't take a prior of standard deviations that is not conjugate."""
    return text, pd.DataFrame(rows)
