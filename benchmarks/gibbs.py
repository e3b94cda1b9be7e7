"""Effective draws per second of Gibbs sampling, compared with plain numpy: same model, same conditionals.

Two chains on two cores, tuning included; code is compiled before. The numpy sampler runs one chain on one core. It
starts at the truth. In every draw of both samplers the components are sorted by their first coordinate.
"""

import time
from unittest import mock

import numpy as np
from scipy.stats import wishart

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.inference import conjugate_sweeps
from bayesgmm.inference import gibbs_chains as gibbs
from bayesgmm.posterior.log_posterior import LogPosterior
from benchmarks.problems import problems
from benchmarks.sampling import data, ordered

TITLE = "## Gibbs sampling: minimum bulk ESS per second"
CASES = [((1_000, 2, 3), 10_000, 10_000, 4_000), ((10_000, 5, 5), 1_500, 4_000, 700)]
CHAINS, TUNE = 2, 300
MIXING = (
    ("iris", 3, "full"),
    ("wine, six columns", 3, "full"),
    ("galaxies", 6, "full"),
    ("overlap 0.3", 3, "full"),
    ("sizes", 3, "full"),
)
SWEEPS, WANTED = 200_000, 20_000  # of the telescoping sampler, and sweeps per second


def run_bayesgmm(sample, n_components, draws):
    density = LogPosterior.of(bg.MixtureModel(n_components), as_points(sample.X))
    gibbs.run(density, seed=0, cores=CHAINS, draws=1, tune=1, chains=CHAINS)
    start = time.perf_counter()
    q = gibbs.run(density, seed=1, cores=CHAINS, draws=draws, tune=TUNE, chains=CHAINS)
    taken = time.perf_counter() - start
    drawn = density.parameters(q)
    return taken, drawn.weight, drawn.mean


def run_numpy(sample, n_components, draws):
    """Run a Gibbs sampler in numpy: weights, means and precisions given assignments, then assignments given these."""
    x, rng = sample.X, np.random.default_rng(1)
    d = x.shape[1]
    model = bg.MixtureModel(n_components).resolve(as_points(x))
    location, weak = np.array(model.means.location), np.diag(np.array(model.means.scale) ** -2.0)
    dof, scale = model.covariances.dof, np.array(model.covariances.scale)
    weight, mean = sample.weight.copy(), sample.mean.copy()
    precision = np.linalg.inv(sample.covariance)
    weights, means = np.empty((1, draws, n_components)), np.empty((1, draws, n_components, d))
    start = time.perf_counter()
    for i in range(-TUNE, draws):
        away = x[:, None] - mean
        score = np.log(weight) + 0.5 * np.linalg.slogdet(precision)[1]
        score = score - 0.5 * np.einsum("nki,kij,nkj->nk", away, precision, away, optimize=True)
        label = np.argmax(score + rng.gumbel(size=score.shape), axis=1)
        count = np.bincount(label, minlength=n_components)
        weight = rng.dirichlet(1.0 + count)
        for k in range(n_components):
            own = x[label == k]
            spread = np.linalg.inv(weak + count[k] * precision[k])
            centre = spread @ (weak @ location + precision[k] @ own.sum(axis=0))
            mean[k] = rng.multivariate_normal(centre, spread)
            scatter = scale + (own - mean[k]).T @ (own - mean[k])
            precision[k] = wishart.rvs(dof + count[k], np.linalg.inv(scatter), random_state=rng)
        if i >= 0:
            weights[0, i], means[0, i] = weight, mean
    return time.perf_counter() - start, weights, means


def telescoping():
    """Measure sweeps per second of processor time with an unknown number of components: the galaxies, up to 30."""
    x = bg.datasets.galaxies().to_numpy(float) / 1000
    scale = bg.Gamma(0.2, 5 / float(np.ptp(x)) ** 2)
    weights = bg.FiniteMixture(bg.Uniform(1, 30))
    model = bg.MixtureModel(30, "diag", weights, covariances=bg.WishartPrecision(4.0, scale))
    density = LogPosterior.of(model, as_points(x))
    settings = {"tune": 1_000, "chains": 1, "thin": 10}
    gibbs.run(density, seed=0, cores=1, draws=1, **settings)
    start = time.process_time()
    gibbs.run(density, seed=1, cores=1, draws=SWEEPS // 10, **settings)
    return SWEEPS / (time.process_time() - start)


def summary(taken, weight, mean):
    """Return the minimum bulk ESS and its rate, posterior means, and their Monte Carlo errors."""
    import arviz as az

    draws = ordered(weight, mean)
    flat = draws.reshape(*draws.shape[:2], -1)
    ess = np.array([float(az.ess(flat[:, :, i])) for i in range(flat.shape[2])])
    return ess.min(), ess.min() / taken, flat.mean(axis=(0, 1)), flat.std(axis=(0, 1)) / np.sqrt(ess)


def temper():
    """Measure parallel tempering of the galaxies: agreement of seeds, and ESS per second of label-free quantities."""
    from bayesgmm.inference import tempering
    from bayesgmm.inference.agreement import agreement, label_free
    from bayesgmm.inference.engine import Silent

    print("\n### Parallel tempering of the galaxies, four chains, three seeds")
    print("| K | temperatures | round trips | seconds | minimum ESS | R-hat | log evidence | standard error |")
    print("|---|---|---|---|---|---|---|---|")
    points = as_points(bg.datasets.galaxies())
    for n_components in range(1, 7):
        density, found = LogPosterior.of(bg.MixtureModel(n_components), points), []
        for seed in range(3):
            start = time.perf_counter()
            drawn = tempering.sample(density, seed, CHAINS, Silent(), draws=1500, tune=1000, chains=4, thin=20)
            taken = time.perf_counter() - start
            mixed = agreement(label_free(density, drawn.q, drawn.loglik))
            info = drawn.info
            found.append((info.log_evidence, info.log_evidence_se))
            print(
                f"| {n_components} | {len(info.inverse_temperatures)} | {info.round_trips} | {taken:.1f} | "
                f"{mixed.ess:,.0f} | {mixed.rhat:.3f} | {info.log_evidence:.2f} | {info.log_evidence_se:.2f} |",
                flush=True,
            )
        values, errors = np.array(found).T
        assert np.ptp(values) < 5 * np.hypot(errors.max(), errors.max())  # the seeds agree


def moves():
    """Measure mixing with and without split-merge moves, for a fixed number of components."""
    from bayesgmm.inference.agreement import agreement, monitored
    from bayesgmm.inference.gibbs_judge import log_densities

    print("\n### Split-merge moves in each fifth sweep: four chains of 20,000 sweeps, label-free quantities, one core")
    print("| data | moves | seconds | minimum ESS | ESS per second | R-hat |")
    print("|---|---|---|---|---|---|")
    for problem in problems():
        if (problem.name, problem.n_components, problem.covariance) not in MIXING:
            continue
        density = LogPosterior.of(bg.MixtureModel(problem.n_components), as_points(problem.x))
        for period in (conjugate_sweeps.split_merge_period(density), 0):
            with mock.patch.object(conjugate_sweeps, "split_merge_period", lambda _, period=period: period):
                gibbs.run(density, seed=0, cores=1, draws=1, tune=1, chains=4)
                start = time.process_time()
                q = gibbs.run(density, seed=0, cores=1, draws=4000, tune=500, chains=4, thin=5)
                taken = time.process_time() - start
            mixed = agreement(monitored(density, q, log_densities(density, q, 1)))
            print(
                f"| {problem.name}, K = {problem.n_components} | {'yes' if period else 'no'} | {taken:.1f} | "
                f"{mixed.ess:,.0f} | {mixed.ess / taken:,.0f} | {mixed.rhat:.3f} |",
                flush=True,
            )


def main():
    print("| N, D, K | sampler | sweeps | seconds | minimum ESS | ESS per second | times faster | target |")
    print("|---|---|---|---|---|---|---|---|")
    for case, wanted, draws, plain_draws in CASES:
        sample, name = data(*case), ", ".join(f"{n:,}" for n in case)
        results = {}
        for side, run, count in (("bayesgmm", run_bayesgmm, draws), ("numpy", run_numpy, plain_draws)):
            taken, weight, mean = run(sample, case[2], count)
            results[side] = (weight.shape[0] * (TUNE + count), taken, *summary(taken, weight, mean))
        ours, plain = results["bayesgmm"], results["numpy"]
        off = np.abs(ours[4] - plain[4]) / np.hypot(ours[5], plain[5])
        assert off.max() < 5, off.max()  # the same answer
        for side, (sweeps, taken, ess, rate, *_) in results.items():
            last = f"{ours[3] / plain[3]:.0f} | {wanted:,} ESS per second" if side == "bayesgmm" else " | "
            print(f"| {name} | {side} | {sweeps:,} | {taken:.2f} | {ess:.0f} | {rate:,.0f} | {last} |", flush=True)
    moves()
    temper()
    print("\n| unknown number of components | sweeps per second, one core | target |\n|---|---|---|")
    print(f"| galaxies, up to 30 components | {telescoping():,.0f} | {WANTED:,} |", flush=True)
