"""Reports with few panels, and without figures, which take most of the time: for tests of their text."""

from contextlib import contextmanager

import pytest

DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"

PANELS = (("quantities", "SHOWN", 2), ("checks", "SHOWN", 2), ("checks", "REPLICATED", 5))


@contextmanager
def without_drawing():
    """Replace every picture by one empty pixel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayesgmm.reports.pictures._drawn", lambda draw, vectors: (DOT, 1, 1))
        yield


@contextmanager
def without_saving():
    """Make every figure, and replace it by one empty pixel before it is laid out and saved."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayesgmm.reports.pictures._encoded", lambda figure, vectors: (DOT, 1, 1))
        yield
