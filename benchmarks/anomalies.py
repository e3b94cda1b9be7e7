"""Anomaly detectors at their defaults on public tables: ranking, and the share of anomalies that are flagged.

Tables come from scikit-learn and, where Rscript finds it, R's package mlbench (Debian: r-cran-mlbench). A folder of
files NAME.npz with arrays X (N, D) and y (N,), 1 for an anomaly, adds others. Anomalies are the rows of a rare class,
some of them left out as in the collections of Rayana (2016, ODDS) and Han et al. (2022, ADBench).
"""

import io
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets as public
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import bayesgmm as bg
from bayesgmm.apps import find_anomalies, judge
from bayesgmm.errors import BayesGMMError

TITLE = "## Anomaly detectors on public tables"
SPLITS, MAX_ROWS = 3, 3_000
TRAINING, FDR, NEIGHBOURS = 0.6, 0.1, 5
PROTOCOLS = {
    "mixed": "trained on 60 % of the rows, with the anomalies among them; tested on the others",
    "regular": "trained on the regular rows among the same 60 %; tested on the others",
}
MLBENCH = {  # anomalies, and how many of them are kept
    "Glass": ("Type", ["6"], None),
    "Ionosphere": ("Class", ["bad"], None),
    "Satellite": ("classes", ["cotton crop", "damp grey soil", "vegetation stubble"], None),
    "Shuttle": ("Class", ["Bpv.Close", "Bpv.Open", "Bypass", "Fpv.Close", "Fpv.Open"], None),
    "Vowel": ("Class", ["hid"], 45),
    "BreastCancer": ("Class", ["malignant"], None),
    "PimaIndiansDiabetes": ("diabetes", ["pos"], None),
}
LEFT_OUT = {"Id", "V1.Ionosphere", "V2.Ionosphere", "V1.Vowel"}


def tables(folder=None):
    """Yield names, points (N, D) and anomalies (N,)."""
    for name, data, rare, count in (
        ("breast cancer", public.load_breast_cancer(), 0, 10),
        ("wine", public.load_wine(), 0, 10),
    ):
        yield name, *thinned(data.data, data.target == rare, count)
    for name, (column, rare, count) in MLBENCH.items() if has_mlbench() else ():
        table = mlbench(name).dropna()
        kept = [c for c in table if c != column and not {c, f"{c}.{name}"} & LEFT_OUT]
        yield name, *thinned(table[kept].to_numpy(float), table[column].astype(str).isin(rare).to_numpy(), count)
    digits = public.load_digits()
    yield "digits", *thinned(digits.data, digits.target == 0, 50)
    for path in sorted(Path(folder).glob("*.npz")) if folder else ():
        with np.load(path) as stored:
            yield path.stem, *thinned(stored["X"].astype(float), stored["y"] > 0, None)


def has_mlbench():
    found = ["Rscript", "-e", "quit(status = !requireNamespace('mlbench', quietly = TRUE))"]
    return shutil.which("Rscript") is not None and subprocess.run(found, capture_output=True).returncode == 0


def mlbench(name):
    code = f"data({name}, package='mlbench'); write.csv({name}, row.names=FALSE)"
    return pd.read_csv(io.StringIO(subprocess.run(["Rscript", "-e", code], capture_output=True, text=True).stdout))


def thinned(x, anomaly, count):
    """Keep some of the anomalies, and at most 3,000 rows."""
    rng = np.random.default_rng(0)
    some = rng.permutation(np.flatnonzero(anomaly))[:count]
    rows = np.sort(np.concatenate([np.flatnonzero(~anomaly), some]))
    rows = np.sort(rng.permutation(rows)[:MAX_ROWS])
    return x[rows], anomaly[rows]


def splits(x, anomaly, protocol, count):
    """Yield standardised training rows, test rows, and which of these are anomalies."""
    for seed in range(count):
        order = np.random.default_rng(seed).permutation(len(x))
        train, test = np.split(order, [int(TRAINING * len(x))])
        train = train if protocol == "mixed" else train[~anomaly[train]]
        centre, sd = x[train].mean(axis=0), x[train].std(axis=0)
        z = (x[:, sd > 0] - centre[sd > 0]) / sd[sd > 0]
        yield z[train], z[test], anomaly[test]


def neighbours(train, test):
    return NearestNeighbors(n_neighbors=NEIGHBOURS).fit(train).kneighbors(test)[0][:, -1]


DETECTORS = {
    "one Gaussian": lambda a, b: -bg.AnomalyDetector(1).fit(a).score_samples(b),
    "ten tied": lambda a, b: (
        -bg.AnomalyDetector(10, covariance_type="tied", random_state=0, settings={"n_init": 1}).fit(a).score_samples(b)
    ),
    "neighbours": neighbours,
    "forest": lambda a, b: -IsolationForest(random_state=0).fit(a).score_samples(b),
    "AnomalyDetector()": lambda a, b: -bg.AnomalyDetector().fit(a).score_samples(b),
}


def flags(train, test, anomaly):
    """Return AUC of find_anomalies, and the numbers of flagged anomalies, anomalies and flagged rows."""
    names = [f"x{j}" for j in range(train.shape[1])]
    fit = find_anomalies(pd.DataFrame(train, columns=names), progress=False).fit
    rows = judge(fit, pd.DataFrame(test, columns=names), fdr=FDR).rows
    flagged = rows["anomaly"].to_numpy(bool)
    return roc_auc_score(anomaly, -rows["log_density"]), flagged[anomaly].sum(), anomaly.sum(), flagged.sum()


def main(folder=None):
    everything = [*tables(folder)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for protocol in PROTOCOLS:
            ranking(everything, protocol)
        for protocol in PROTOCOLS:
            flagging(everything, protocol)


def auc(detect, train, test, anomaly):
    """Compute the AUC of a detector; NaN if it can't be fitted, as ten tied components where columns are constant."""
    try:
        return roc_auc_score(anomaly, detect(train, test))
    except BayesGMMError:
        return np.nan


def ranking(everything, protocol):
    print(f"AUC, {PROTOCOLS[protocol]}; {SPLITS} splits.\n")
    print(f"| table | rows | anomalies | {' | '.join(DETECTORS)} |\n|---|{'---|' * (2 + len(DETECTORS))}", flush=True)
    total = []
    for name, x, anomaly in everything:
        each = splits(x, anomaly, protocol, SPLITS)
        aucs = [[auc(detect, a, b, found) for detect in DETECTORS.values()] for a, b, found in each]
        total.append(np.mean(aucs, axis=0))
        cells = " | ".join(f"{value:.3f}" for value in total[-1])
        print(f"| {name} | {len(x):,} | {anomaly.sum():,} | {cells} |", flush=True)
    print(f"| mean | | | {' | '.join(f'{value:.3f}' for value in np.nanmean(total, axis=0))} |\n", flush=True)
    ahead = np.array(total)[:, -1] - np.array(total)[:, 0]
    print(
        f"AnomalyDetector() less one Gaussian: at worst {ahead.min():+.3f}, at best {ahead.max():+.3f}.\n", flush=True
    )


def flagging(everything, protocol):
    print(f"find_anomalies, {PROTOCOLS[protocol]}; one split, flagged at fdr={FDR}.\n")
    print("| table | AUC | anomalies flagged | anomalies among the flagged |\n|---|---|---|---|", flush=True)
    total = []
    for name, x, anomaly in everything:
        auc, right, rare, flagged = flags(*next(splits(x, anomaly, protocol, 1)))
        total.append([auc, right, rare, flagged, right / rare])
        print(f"| {name} | {auc:.3f} | {right} of {rare} | {right} of {flagged} |", flush=True)
    auc, share = np.mean(total, axis=0)[[0, -1]]
    _, right, rare, flagged, _ = np.sum(total, axis=0)
    print(f"| all | {auc:.3f} | {right:.0f} of {rare:.0f} | {right:.0f} of {flagged:.0f} |\n", flush=True)
    print(f"Share of the anomalies that are flagged, averaged over the tables: {share:.2f}.\n", flush=True)
