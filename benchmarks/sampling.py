"""Minimum bulk ESS per second, compilation included, compared with PyMC and NumPyro.

Every package runs twice, in a process of its own: the first run fills the caches on disk. Imports are not counted. The
other packages start at the true values, bayesgmm searches for its start. In every draw of all packages the components
are sorted by their first coordinate. A run that has not ended after five minutes is stopped.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bayesgmm.datasets import make_mixture

TITLE = "## Minimum bulk ESS per second, compilation included"
LIMIT = 300
CASES = [((1_000, 2, 3), {"pymc": 100, "numpyro": 20}), ((10_000, 5, 5), {"pymc": 500, "numpyro": 500})]
DRAWS, TUNE, CHAINS = 1000, 1000, 2


def data(n_points, n_features, n_components):
    return make_mixture(n_points, n_features, n_components, overlap=0.05, seed=3)


def run_bayesgmm(sample, n_components):
    import nutpie  # noqa: F401  what fit imports where it is used
    import sklearn.cluster  # noqa: F401

    import bayesgmm as bg
    import bayesgmm.inference

    start = time.perf_counter()
    fit = bg.fit(bg.MixtureModel(n_components), sample.X, seed=1, progress=False)
    return time.perf_counter() - start, fit["posterior"]["weight"].values, fit["posterior"]["mean"].values


def run_pymc(sample, n_components):
    import nutpie
    import pymc as pm

    n_features = sample.X.shape[1]
    low, high = sample.X.min(axis=0), sample.X.max(axis=0)
    start = time.perf_counter()
    with pm.Model() as model:
        weight = pm.Dirichlet("weight", np.ones(n_components), initval=sample.weight)
        parts = []
        for k in range(n_components):
            mean = pm.Normal(f"mean_{k}", (low + high) / 2, high - low, shape=n_features, initval=sample.mean[k])
            chol, _, _ = pm.LKJCholeskyCov(f"chol_{k}", n=n_features, eta=1.0, sd_dist=pm.HalfNormal.dist(2.0))
            parts.append(pm.MvNormal.dist(mean, chol=chol))
        pm.Mixture("x", weight, parts, observed=sample.X)
    compiled = nutpie.compile_pymc_model(model)
    tree = nutpie.sample(compiled, draws=DRAWS, tune=TUNE, chains=CHAINS, cores=CHAINS, seed=1, progress_bar=False)
    taken = time.perf_counter() - start
    posterior = tree["posterior"]
    return taken, posterior["weight"].values, np.stack([posterior[f"mean_{k}"].values for k in range(n_components)], 2)


def run_numpyro(sample, n_components):
    import jax
    import numpyro

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_compilation_cache_dir", str(Path(tempfile.gettempdir()) / "bayesgmm-benchmark-jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    numpyro.set_host_device_count(CHAINS)
    import jax.numpy as jnp
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS, init_to_value

    n_features = sample.X.shape[1]
    low, high = sample.X.min(axis=0), sample.X.max(axis=0)

    def model(x):
        weight = numpyro.sample("weight", dist.Dirichlet(jnp.ones(n_components)))
        with numpyro.plate("component", n_components):
            mean = numpyro.sample("mean", dist.Normal((low + high) / 2, high - low).to_event(1))
            sd = numpyro.sample("sd", dist.HalfNormal(2.0 * jnp.ones(n_features)).to_event(1))
            corr = numpyro.sample("corr", dist.LKJCholesky(n_features, 1.0))
        parts = dist.MultivariateNormal(mean, scale_tril=sd[..., None] * corr)
        with numpyro.plate("point", len(x)):
            numpyro.sample("x", dist.MixtureSameFamily(dist.Categorical(weight), parts), obs=x)

    start = time.perf_counter()
    init = init_to_value(values={"weight": jnp.array(sample.weight), "mean": jnp.array(sample.mean)})
    mcmc = MCMC(
        NUTS(model, init_strategy=init), num_warmup=TUNE, num_samples=DRAWS, num_chains=CHAINS, progress_bar=False
    )
    mcmc.run(jax.random.PRNGKey(1), jnp.array(sample.X))
    draws = {name: np.asarray(value) for name, value in mcmc.get_samples(group_by_chain=True).items()}
    return time.perf_counter() - start, draws["weight"], draws["mean"]


SIDES = {"bayesgmm": run_bayesgmm, "pymc": run_pymc, "numpyro": run_numpyro}


def ordered(weight, mean):
    """Return weights and means (chain, draw, K, 1 + D), components sorted by their first coordinate."""
    both = np.concatenate([weight[..., None], mean], axis=-1)
    order = np.argsort(mean[..., 0], axis=-1)
    return np.take_along_axis(both, order[..., None], axis=2)


def measure(side, case):
    """Print seconds, minimum bulk ESS, posterior means and standard deviations."""
    import arviz as az

    n_points, n_features, n_components = case
    taken, weight, mean = SIDES[side](data(n_points, n_features, n_components), n_components)
    draws = ordered(weight, mean)
    flat = draws.reshape(*draws.shape[:2], -1)
    ess = min(float(az.ess(flat[:, :, i])) for i in range(flat.shape[2]))
    centre, spread = flat.mean(axis=(0, 1)), flat.std(axis=(0, 1))
    return {"seconds": taken, "ess": ess, "mean": centre.tolist(), "sd": spread.tolist()}


def in_a_process(side, case):
    """Return the measurement of the second of two runs; None if a run is stopped."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.sampling", side, json.dumps(case)]
    answer = None
    for _ in range(2):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)
        except subprocess.TimeoutExpired:
            return None
        answer = json.loads(done.stdout.splitlines()[-1])
    return answer


def check_same_answer(ours, theirs):
    """Check that means agree to half a posterior sd; the priors of the covariances differ (Wishart and LKJ)."""
    off = np.abs(np.array(ours["mean"]) - theirs["mean"]) / ours["sd"]
    assert off.max() < 0.5, off.max()


def main():
    print("| N, D, K | package | seconds | minimum ESS | ESS per second | times faster | target |")
    print("|---|---|---|---|---|---|---|")
    for case, peers in CASES:
        ours = in_a_process("bayesgmm", case)
        rate = ours["ess"] / ours["seconds"]
        name = ", ".join(f"{n:,}" for n in case)
        print(f"| {name} | bayesgmm | {ours['seconds']:.2f} | {ours['ess']:.0f} | {rate:.0f} | | |", flush=True)
        for side, wanted in peers.items():
            theirs = in_a_process(side, case)
            if theirs is None:  # as if it had one effective draw when it was stopped
                row = f"stopped at {LIMIT} | none | < {1 / LIMIT:.4f} | > {rate * LIMIT:.0f}"
            else:
                check_same_answer(ours, theirs)
                peer = theirs["ess"] / theirs["seconds"]
                row = f"{theirs['seconds']:.1f} | {theirs['ess']:.0f} | {peer:.1f} | {rate / peer:.0f}"
            print(f"| {name} | {side} | {row} | {wanted} |", flush=True)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], json.loads(sys.argv[2]))))
