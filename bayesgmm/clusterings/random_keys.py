"""Keys of the compiled random generator."""

import numpy as np

from bayesgmm.declared import whole

Key = np.uint64


def key_of(seed: int) -> Key:
    """Return the key of the compiled random generator for a seed.

    Raises
    ------
    DeclarationError
        When the seed is not a whole number of at least 0.
    """
    return Key(np.random.SeedSequence(whole("seed", seed, minimum=0)).generate_state(1, np.uint64)[0])
