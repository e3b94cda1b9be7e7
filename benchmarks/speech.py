"""Ten words from 180 synthesised recordings: training time, accuracy for held-out speakers; hmmlearn, scikit-learn."""

import tempfile
import time

import numpy as np

from bayesgmm.apps import SpeechClassifier
from bayesgmm.apps.speech.audio import read
from bayesgmm.apps.speech.cepstral_features import FeatureSettings, extract_frames
from bayesgmm.apps.speech.synthesis import make_recordings

TITLE = "## Speech: ten words, 180 recordings"
STATES = 8
NOISE = 0.1  # share of full scale, added to every recording: without noise nearly all words are recognised


def bayesgmm(paths, labels, speakers):
    model = SpeechClassifier(STATES, normalise="mean", random_state=0, progress=False)
    return model.fit(paths, labels, speakers).predict


def bayesgmm_plain(heard, labels, speakers):
    """Train the models of the words alone, from frames, without calibration, as hmmlearn does."""
    from bayesgmm.apps.speech.word_models import WordSettings, train

    known, word = np.unique(labels, return_inverse=True)
    words = train(heard, word, np.ones(len(word)), WordSettings(STATES), FeatureSettings(8000).columns)
    return lambda parts: known[words.log_likelihood(parts).argmax(axis=1)]


def hmmlearn(heard, labels, speakers):
    """Train one left-to-right GMMHMM per word, with one diagonal component per state, from frames divided evenly.

    With full covariances or learned transitions, hmmlearn's fits degenerate.
    """
    from hmmlearn.hmm import GMMHMM

    models = {}
    for label in np.unique(labels):
        own = [part for part, one in zip(heard, labels, strict=True) if one == label]
        rows, state = np.concatenate(own), np.concatenate([np.arange(len(p)) * STATES // len(p) for p in own])
        model = GMMHMM(STATES, 1, covariance_type="diag", n_iter=12, init_params="w", params="mc", random_state=0)
        model.startprob_ = np.eye(STATES)[0]
        model.transmat_ = 0.8 * np.eye(STATES) + 0.2 * np.eye(STATES, k=1)
        model.transmat_[-1, -1] = 1.0
        model.means_ = np.array([[rows[state == s].mean(axis=0)] for s in range(STATES)])
        model.covars_ = np.array([[rows[state == s].var(axis=0) + 1e-2] for s in range(STATES)])
        models[label] = model.fit(rows, [len(part) for part in own])
    return lambda parts: [max(models, key=lambda label: models[label].score(part)) for part in parts]


def scikit_learn(heard, labels, speakers):
    """Train one mixture per word, with four diagonal components, regardless of the order of the frames."""
    from sklearn.mixture import GaussianMixture

    models = {}
    for label in np.unique(labels):
        own = [part for part, one in zip(heard, labels, strict=True) if one == label]
        models[label] = GaussianMixture(4, covariance_type="diag", reg_covar=1e-3, random_state=0).fit(
            np.concatenate(own)
        )
    return lambda parts: [max(models, key=lambda label: models[label].score(part)) for part in parts]


def held_out(side, inputs, labels, speakers):
    """Return the share of recordings that are recognised correctly, by a model trained without their speaker."""
    right = []
    for speaker in np.unique(speakers):
        kept, held = np.flatnonzero(speakers != speaker), np.flatnonzero(speakers == speaker)
        tell = side([inputs[i] for i in kept], labels[kept], speakers[kept])
        right += list(np.asarray(tell([inputs[i] for i in held])) == labels[held])
    return np.mean(right)


def noisy(takes):
    """Add noise to the recordings, and overwrite their files."""
    import soundfile

    rng = np.random.default_rng(0)
    for path in takes["path"]:
        samples, rate = soundfile.read(path)
        soundfile.write(path, np.clip(samples + NOISE * rng.normal(size=len(samples)), -1, 1), rate)


def main():
    import logging

    logging.getLogger("hmmlearn").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        takes = make_recordings(folder, speakers=3, takes=6)
        noisy(takes)
        paths, labels, speakers = (takes[name].to_numpy() for name in ("path", "label", "speaker"))
        heard = [extract_frames(read(path), FeatureSettings(8000), STATES).speech for path in paths]
        sides = {
            "bayesgmm, from files, calibrated": (bayesgmm, list(paths)),
            "bayesgmm, chains of mixtures": (bayesgmm_plain, heard),
            "hmmlearn, GMMHMM": (hmmlearn, heard),
            "scikit-learn, GaussianMixture": (scikit_learn, heard),
        }
        print("| | training, s | correct, held-out speakers |\n|---|---|---|")
        for name, (side, inputs) in sides.items():
            side(inputs[::6], labels[::6], speakers[::6])  # compiles
            start = time.perf_counter()
            side(inputs, labels, speakers)
            taken = time.perf_counter() - start
            print(f"| {name} | {taken:.2f} | {held_out(side, inputs, labels, speakers):.1%} |", flush=True)
