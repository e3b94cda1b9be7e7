"""Linear algebra in one thread: further threads slow small matrices down."""

import sys
from contextlib import AbstractContextManager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def one_blas_thread(*, with_scipy: bool = False) -> AbstractContextManager[object]:
    """Limit BLAS libraries to one thread while a block runs.

    SciPy comes with a library of its own, which is loaded with ``scipy.linalg``. One that is loaded while the block
    runs is not limited, so that ``with_scipy`` loads it before.
    """
    if with_scipy:
        import scipy.linalg  # noqa: F401

    return _controller(len(sys.modules)).limit(limits=1, user_api="blas")


@lru_cache(maxsize=1)
def _controller(n_modules: int) -> ThreadpoolController:
    """Look for the libraries, which takes milliseconds, again only after further modules were imported."""
    return ThreadpoolController()
