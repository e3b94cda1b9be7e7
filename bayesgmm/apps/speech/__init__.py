"""Speech recognition: words and sounds in recordings."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["audio", "synthesis"])
