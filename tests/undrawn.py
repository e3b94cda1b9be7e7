"""Reports whose figures are made and not drawn, which is half of their time: for tests of what they say."""

from contextlib import contextmanager

import pytest

DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


@contextmanager
def without_drawing():
    """Every picture is one empty dot."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayesgmm.reports.pictures._encoded", lambda figure, vectors: (DOT, 1, 1))
        yield
