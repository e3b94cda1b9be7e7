from . import synthesis
from .speech import SpeechClassifier

__all__ = [
    "SpeechClassifier",
    "synthesis",
]
