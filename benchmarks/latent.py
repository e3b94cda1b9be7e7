"""Missing values and errors of measurement: sweeps, extreme deconvolution and imputation against other packages."""

import time
import warnings

import numpy as np

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.datasets import make_mixture
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Table, fold

TITLE = "## Missing values and errors of measurement"
SWEEPS = ((100_000, 5, 5), (20_000, 20, 5))
N_POINTS, N_FEATURES, K = 5000, 5, 5
CLOSE = 1e-3  # total log likelihoods that differ by less are the same maximum
TABLES = {"iris": bg.datasets.iris, "wine": bg.datasets.wine}
SEEDS, SHARE, DRAWS = range(3), 0.1, 60


def fastest(call, repeats=15):
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def with_gaps(x, rng):
    return np.where(rng.random(x.shape) < SHARE, np.nan, x)


def sweeps():
    print("A sweep on one thread, ms; in brackets the ratio to exact points.\n")
    print("| N, D, K | exact | 10 % missing | standard errors | covariances of errors |\n|---|---|---|---|---|")
    for n, d, k in SWEEPS:
        sample, rng = make_mixture(n, d, k, overlap=0.1, seed=1), np.random.default_rng(0)
        x = (sample.X - sample.X.mean(0)) / sample.X.std(0)
        root = np.tile(3 * np.eye(d), (k, 1, 1))
        table = Table.from_parameters(np.full(k, -np.log(k)), x[:: n // k][:k], root)
        sd = rng.uniform(0.05, 0.3, size=x.shape)
        points = (
            Blocks.from_rows(x),
            LogPosterior.of(bg.MixtureModel(1), as_points(with_gaps(x, rng), gaps=True)).blocks,
            Blocks.from_rows(x, noise=sd**2),
            Blocks.from_rows(x, noise=sd[:, :, None] * sd[:, None, :] * (0.5 + 0.5 * np.eye(d))),
        )
        ms = [1e3 * fastest(lambda blocks=blocks, table=table: fold(blocks, table)) for blocks in points]
        shown = [f"{ms[0]:.1f}"] + [f"{part:.1f} ({part / ms[0]:.1f})" for part in ms[1:]]
        print(f"| {n:,}, {d}, {k} | {' | '.join(shown)} |", flush=True)


def loglik(x, covariances, weight, mean, covariance):
    """Log likelihood of measured points."""
    total = np.zeros(len(x))
    for w, m, c in zip(weight, mean, covariance, strict=True):
        both, away = c + covariances, x - m
        distance = np.einsum("ni,ni->n", away, np.linalg.solve(both, away[..., None])[..., 0])
        total += w * np.exp(-0.5 * distance) / np.sqrt(np.linalg.det(2 * np.pi * both))
    return float(np.log(total).sum())


def deconvolved():
    """Yield a name, seconds, and a mixture for each package."""
    sample, rng = make_mixture(N_POINTS, N_FEATURES, K, overlap=0.05, seed=1), np.random.default_rng(0)
    sd = 0.3 * rng.uniform(0.2, 1, size=sample.X.shape) * sample.X.std(0)
    x = sample.X + sd * rng.normal(size=sample.X.shape)
    errors = sd[:, :, None] ** 2 * np.eye(N_FEATURES)
    bg.fit(bg.MixtureModel(2), x[:100], "em", noise=sd[:100], progress=False)  # compiles
    start = time.perf_counter()
    fit = bg.fit(bg.MixtureModel(K), x, "em", noise=sd, seed=0, cores=1, progress=False)
    seconds, p = time.perf_counter() - start, fit["posterior"].isel(chain=0, draw=0)
    mixture = [p[name].values for name in ("weight", "mean", "covariance")]
    yield "bayesgmm, with its search", seconds, loglik(x, errors, *mixture)
    from astroML.density_estimation import XDGMM

    start = time.perf_counter()
    one = XDGMM(K, max_iter=200, tol=1e-6, random_state=0).fit(x, errors)
    yield "astroML, XDGMM", time.perf_counter() - start, loglik(x, errors, one.alpha, one.mu, one.V)
    import pygmmis

    two = pygmmis.GMM(K=K, D=N_FEATURES)
    start = time.perf_counter()
    pygmmis.fit(two, x, covar=errors, init_method="kmeans", tol=1e-6, maxiter=200, rng=np.random.RandomState(0))
    yield "pygmmis", time.perf_counter() - start, loglik(x, errors, two.amp, two.mean, two.covar)


def extreme_deconvolution():
    print(f"\nExtreme deconvolution: {N_POINTS:,} points, {N_FEATURES} columns, {K} components, one thread.\n")
    print("| | seconds | log likelihood | the best one | times as long |\n|---|---|---|---|---|")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(deconvolved())
    best, ours = max(value for _, _, value in found), found[0][1]
    for name, seconds, value in found:
        same = "yes" if value > best - CLOSE else f"{value - best:.2f}"
        print(f"| {name} | {seconds:.2f} | {value:.4f} | {same} | {seconds / ours:.1f} |")


def imputed(x, missing):
    """Yield a name, and means and standard deviations of the missing cells, for each method."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer

    k = int(bg.select(x, range(1, 6), "full", seed=0, progress=False)["n_components"].iloc[0])
    fit = bg.fit(bg.MixtureModel(k), x, "gibbs", seed=0, progress=False)
    answer = bg.impute(fit, draws=1)
    yield "bayesgmm", answer["mean"].values[missing], answer["sd"].values[missing]
    draws = np.array([IterativeImputer(sample_posterior=True, random_state=s).fit_transform(x) for s in range(DRAWS)])
    yield "IterativeImputer", IterativeImputer(random_state=0).fit_transform(x)[missing], draws.std(axis=0)[missing]
    yield "KNNImputer", KNNImputer().fit_transform(x)[missing], None


def imputation():
    print(
        f"\nDeleted cells ({SHARE:.0%}), {len(SEEDS)} times, in standard deviations of the columns. Log score: mean log"
    )
    print("density of a deleted value under a Gaussian with the method's mean and standard deviation.\n")
    print("| table | method | root of the mean squared error | log score |\n|---|---|---|---|")
    for name, read in TABLES.items():
        table = read().select_dtypes("number").dropna().to_numpy(float)
        table = (table - table.mean(0)) / table.std(0)
        scores: dict[str, list[tuple[float, float]]] = {}
        for seed in SEEDS:
            missing = np.random.default_rng(seed).random(table.shape) < SHARE
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for method, mean, sd in imputed(np.where(missing, np.nan, table), missing):
                    away = table[missing] - mean
                    log = np.nan if sd is None else np.mean(-0.5 * (away / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi)))
                    scores.setdefault(method, []).append((np.mean(away**2), log))
        for method, each in scores.items():
            error, log = np.mean(each, axis=0)
            print(f"| {name} | {method} | {np.sqrt(error):.3f} | {'' if np.isnan(log) else f'{log:.2f}'} |", flush=True)


def main():
    sweeps()
    extreme_deconvolution()
    imputation()
