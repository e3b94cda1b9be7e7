"""Applications of mixtures, from input files to output files."""

import lazy_loader

from bayesgmm.renamed import old_names

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = old_names(__name__, _public)
