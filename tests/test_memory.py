"""Results that do not fit into memory are refused, with their size, before they are computed."""

import pytest

import bayesgmm as bg
from bayesgmm.errors import DeclarationError


@pytest.mark.parametrize("method", ["nuts", "gibbs"])
@pytest.mark.parametrize("settings", [{"draws": 10**12}, {"chains": 10**12}])
def test_more_draws_than_the_memory_holds_are_refused(method, settings):
    (name,) = settings
    with pytest.raises(DeclarationError, match=rf"{name}=1,000,000,000,000.* would need [\d,]+ GiB of memory"):
        bg.fit(bg.MixtureModel(1), [0.0, 1.0, 3.0], method, progress=False, **settings)
