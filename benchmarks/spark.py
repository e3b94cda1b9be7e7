"""EM by Spark MLlib's GaussianMixture on this machine's cores, compared with the same iterations here."""

import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bayesgmm.datasets import make_mixture
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference.em_steps import Sweep, take_steps
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import fold

TITLE = "## EM, compared with Spark MLlib: 1,000,000 rows, 4 columns, K = 8"
ROWS, D, K = 1_000_000, 4, 8
ITERATIONS = 10
TARGET = 20
FAMILY = COVARIANCES["full"]


def start_of(x):
    """Return equal weights, rows as means and the overall covariance: weights, means and covariances."""
    rng = np.random.default_rng(0)
    return np.full(K, 1 / K), x[rng.choice(len(x), K, replace=False)], np.tile(np.cov(x.T), (K, 1, 1))


def root_of(covariance):
    return np.linalg.inv(np.linalg.cholesky(covariance))


def ours(x, start, threads):
    """Return the seconds of the iterations, and the mixture."""
    weight, mean, covariance = start
    blocks = Blocks.from_rows(x)
    sweep = Sweep(blocks, FAMILY, threads=threads)
    mixture = Mixture(weight, mean, root_of(covariance))
    take_steps(sweep, mixture, 1)
    began = time.perf_counter()
    for _ in range(ITERATIONS):
        _, mixture = sweep(mixture)
    return time.perf_counter() - began, mixture


def loglik(x, mixture, threads):
    return fold(Blocks.from_rows(x), mixture.table(FAMILY), threads).loglik / len(x)


def of_frames(session, folder):
    """Return the seconds of a fit by the API of data frames, which makes its own start; rows are cached before."""
    from pyspark.ml.clustering import GaussianMixture
    from pyspark.ml.feature import VectorAssembler

    table = session.read.parquet(str(folder))
    rows = VectorAssembler(inputCols=table.columns, outputCol="features").transform(table).select("features").cache()
    rows.count()
    GaussianMixture(k=K, maxIter=1, tol=0.0, seed=1).fit(rows)
    began = time.perf_counter()
    GaussianMixture(k=K, maxIter=ITERATIONS, tol=0.0, seed=1).fit(rows)
    seconds = time.perf_counter() - began
    rows.unpersist()
    return seconds


def of_arrays(session, folder, start):
    """Return the seconds of a fit by the older API, which takes a start, and its mixture."""
    from pyspark.mllib.clustering import GaussianMixture, GaussianMixtureModel
    from pyspark.mllib.linalg import DenseMatrix, DenseVector
    from pyspark.mllib.stat.distribution import MultivariateGaussian

    class Start(GaussianMixtureModel):
        def __init__(self, weight, mean, covariance):
            each = zip(mean, covariance, strict=True)
            self.given = weight, [MultivariateGaussian(DenseVector(m), DenseMatrix(D, D, c.T.ravel())) for m, c in each]

        def __del__(self):  # there is nothing to release in Java
            pass

        weights = property(lambda self: self.given[0].tolist())
        gaussians = property(lambda self: self.given[1])

    rows = session.read.parquet(str(folder)).rdd.map(lambda row: DenseVector([*row])).cache()
    rows.count()
    began = time.perf_counter()
    model = GaussianMixture.train(rows, K, convergenceTol=0.0, maxIterations=ITERATIONS, initialModel=Start(*start))
    seconds = time.perf_counter() - began
    mean = np.array([one.mu.toArray() for one in model.gaussians])
    covariance = np.array([one.sigma.toArray() for one in model.gaussians])
    return seconds, Mixture(np.array(model.weights), mean, root_of(covariance))


def main():
    if find_spec("pyspark") is None:
        print("pyspark is not installed: this part needs it, and Java.")
        return
    import pandas as pd
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    threads = os.cpu_count() or 1
    x = make_mixture(ROWS, D, K, overlap=0.1, seed=1).X
    start = start_of(x)
    build = SparkSession.builder.master(f"local[{threads}]").config("spark.ui.enabled", "false")
    build = build.config("spark.ui.showConsoleProgress", "false")
    session = build.config("spark.driver.memory", "3g").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    try:
        with TemporaryDirectory() as folder:
            for number, part in enumerate(np.array_split(x, 2 * threads)):
                columns = [f"x{j}" for j in range(D)]
                pd.DataFrame(part, columns=columns).to_parquet(Path(folder) / f"{number}.parquet")
            frames = of_frames(session, folder)
            arrays, theirs = of_arrays(session, folder, start)
        own, found = ours(x, start, threads)
        print(f"{ITERATIONS} iterations, {threads} threads; Spark {session.version}. Rows are in memory before.\n")
    finally:
        session.stop()
    here, there = loglik(x, found, threads), loglik(x, theirs, threads)
    np.testing.assert_allclose(here, there, rtol=1e-8)
    np.testing.assert_allclose(found.mean, theirs.mean, rtol=1e-5, atol=1e-5)
    print("| | seconds | times faster | target | mean log likelihood |\n|---|---|---|---|---|")
    print(f"| bayesgmm | {own:.3f} | | | {here:.9f} |")
    print(f"| Spark, data frames | {frames:.2f} | {frames / own:.0f} | {TARGET} | |")
    print(f"| Spark, arrays, from the same start | {arrays:.2f} | {arrays / own:.0f} | {TARGET} | {there:.9f} |")


if __name__ == "__main__":
    main()
