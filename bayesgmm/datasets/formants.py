"""Formants of vowels: published means, and speakers simulated around them."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.declared import whole
from bayesgmm.errors import choose
from bayesgmm.keywords import checks_keywords

if TYPE_CHECKING:
    import pandas as pd

TALKERS = ("man", "woman", "child")
FORMANTS = {  # pitch, f1, f2, f3 in Hz of men, women and children
    "IY": ((136, 270, 2290, 3010), (235, 310, 2790, 3310), (272, 370, 3200, 3730)),
    "IH": ((135, 390, 1990, 2550), (232, 430, 2480, 3070), (269, 530, 2730, 3600)),
    "EH": ((130, 530, 1840, 2480), (223, 610, 2330, 2990), (260, 690, 2610, 3570)),
    "AE": ((127, 660, 1720, 2410), (210, 860, 2050, 2850), (251, 1010, 2320, 3320)),
    "AA": ((124, 730, 1090, 2440), (212, 850, 1220, 2810), (256, 1030, 1370, 3170)),
    "AO": ((129, 570, 840, 2410), (216, 590, 920, 2710), (263, 680, 1060, 3180)),
    "UH": ((137, 440, 1020, 2240), (232, 470, 1160, 2680), (276, 560, 1410, 3310)),
    "UW": ((141, 300, 870, 2240), (231, 370, 950, 2670), (274, 430, 1170, 3260)),
    "AH": ((130, 640, 1190, 2390), (221, 760, 1400, 2780), (261, 850, 1590, 3360)),
    "ER": ((133, 490, 1350, 1690), (218, 500, 1640, 1960), (261, 560, 1820, 2160)),
}
BETWEEN, WITHIN = 0.05, 0.08  # standard deviations of log formants: between speakers, within a speaker


@checks_keywords
def vowels(talker: str = "man", n_speakers: int = 60, seed: int = 0) -> "pd.DataFrame":
    """Simulate ten vowels, each spoken once by every speaker.

    The mean formants of each vowel are those of Peterson & Barney. A random factor for the length of the vocal tract
    scales all formants of a speaker; a smaller random factor scales each formant of each vowel.

    Parameters
    ----------
    talker : {'man', 'woman', 'child'}
    n_speakers : int
        Number of speakers.
    seed : int

    Returns
    -------
    DataFrame
        Columns ``f1`` and ``f2`` in Hz, and ``vowel``; 10 rows for each speaker.

    Raises
    ------
    DeclarationError
        When an argument has a value that is not allowed.

    References
    ----------
    .. [1] Peterson & Barney (1952), J. Acoust. Soc. Am. 24, 175-184.

    Examples
    --------
    >>> vowels(n_speakers=3).shape
    (30, 3)
    """
    import pandas as pd

    place = choose(talker, {name: i for i, name in enumerate(TALKERS)}, "talker")
    count = whole("n_speakers", n_speakers)
    rng = np.random.default_rng(whole("seed", seed, minimum=0))
    tract = rng.normal(0.0, BETWEEN, size=(count, 1, 1))
    own = rng.normal(0.0, WITHIN, size=(count, len(FORMANTS), 2))
    means = np.log([FORMANTS[vowel][place][1:3] for vowel in FORMANTS])
    values = np.exp(means + tract + own).reshape(-1, 2)
    return pd.DataFrame(values.round(), columns=["f1", "f2"]).assign(vowel=list(FORMANTS) * count)
