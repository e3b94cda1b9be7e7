from .speech import SpeechClassifier

__all__ = [
    "SpeechClassifier",
]
