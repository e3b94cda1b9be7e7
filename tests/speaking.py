"""Data for speech tests: recordings as files, a table of formants, and a decoder small enough to enumerate."""

import numpy as np
import pandas as pd

from bayesgmm.apps.speech import decoding
from bayesgmm.apps.speech import word_models as wm
from bayesgmm.data.standards import Standard

FEW = ["one", "two", "six", "nine"]


def as_file(path, samples, rate=8000, **how):
    """The path of samples, written as a file."""
    import soundfile

    soundfile.write(path, samples, rate, **how)
    return str(path)


def a_table(n_speakers=9):
    """Two vowels of speakers whose formants differ more than the vowels do."""
    rng = np.random.default_rng(0)
    rows = [
        (s, vowel, *(np.array(formants) * (1 + 0.08 * s) * np.exp(rng.normal(0, 0.02, 2))))
        for s in range(n_speakers)
        for vowel, formants in {"a": (700, 1100), "e": (500, 1800)}.items()
        for _ in range(4)
    ]
    return pd.DataFrame(rows, columns=["speaker", "vowel", "f1", "f2"])


def tiny_decoder(exponent):
    """Two words of two states, and silence."""
    rng = np.random.default_rng(1)
    mean = 0.2 * rng.normal(size=(2, 2, 1, 1, 1))  # frames say little, so that transitions count
    ones = np.ones((2, 2, 1, 1))
    standard = Standard(np.zeros(1), np.ones(1))
    words = wm.WordModels(ones, mean, ones[..., None, None], np.array([[0.3, 0.6], [0.97, 0.2]]), standard, ("c0",))
    quiet = wm.WordModels(
        ones[:1, :1], np.zeros((1, 1, 1, 1, 1)), ones[:1, :1, ..., None, None], np.zeros((1, 1)), standard, ("c0",)
    )
    bigram = np.array([[0.1, 0.9], [0.7, 0.3]])
    return decoding.Decoder(np.array(["a", "b"]), words, quiet, bigram, np.array([0.4, 0.6]), exponent, 0.01)
