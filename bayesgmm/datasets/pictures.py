"""Data sets from pictures: handwritten digits, and the colours of a photograph."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.declared import whole
from bayesgmm.errors import choose
from bayesgmm.keywords import checks_keywords

if TYPE_CHECKING:
    import pandas as pd

PHOTOS = {name: name for name in ("china.jpg", "flower.jpg")}


@checks_keywords
def digits() -> "pd.DataFrame":
    """Load 1,797 handwritten digits of 8 x 8 pixels, from scikit-learn.

    Returns
    -------
    DataFrame
        64 columns of pixels, from 0 (white) to 16 (black), and ``digit``.

    References
    ----------
    .. [1] Alpaydin & Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.

    Examples
    --------
    >>> digits().shape
    (1797, 65)
    """
    from sklearn.datasets import load_digits

    bunch = load_digits(as_frame=True)
    return bunch.data.assign(digit=[str(digit) for digit in bunch.target])


@checks_keywords
def photo(name: str = "china.jpg", n_pixels: int = 4000, seed: int = 0) -> "pd.DataFrame":
    """Load randomly chosen pixels of one of scikit-learn's photographs.

    Parameters
    ----------
    name : {'china.jpg', 'flower.jpg'}
        The Summer Palace in Beijing; a dahlia.
    n_pixels : int
        Number of pixels, drawn without replacement.
    seed : int

    Returns
    -------
    DataFrame
        Columns ``red``, ``green`` and ``blue``, between 0 and 255.

    Raises
    ------
    DeclarationError
        When there is no such picture, or it has fewer pixels.

    Examples
    --------
    >>> photo(n_pixels=5).shape
    (5, 3)
    """
    import pandas as pd
    from sklearn.datasets import load_sample_image

    pixels = load_sample_image(choose(name, PHOTOS, "name")).reshape(-1, 3)
    count = whole("n_pixels", n_pixels, maximum=len(pixels))
    chosen = np.random.default_rng(whole("seed", seed, minimum=0)).choice(len(pixels), size=count, replace=False)
    return pd.DataFrame(pixels[chosen].astype(float), columns=["red", "green", "blue"])
