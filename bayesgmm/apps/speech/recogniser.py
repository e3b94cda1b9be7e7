"""Recognition and transcription of recordings by a trained model."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from bayesgmm.apps.speech import audio, speech_files
from bayesgmm.apps.speech.calibration import tempered
from bayesgmm.apps.speech.cepstral_features import Frames, extract_frames
from bayesgmm.apps.speech.corpora import SKIP
from bayesgmm.apps.speech.decoding import Decoder
from bayesgmm.apps.speech.rejection import NONE, Rejection, Scored
from bayesgmm.apps.speech.speech_files import SpeechModel
from bayesgmm.declared import whole
from bayesgmm.errors import DataError
from bayesgmm.estimators import arguments
from bayesgmm.keywords import checks_keywords
from bayesgmm.progress import track
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

LEAVE_OUT = "Fix them, or leave them out."


@checks_keywords
class Recogniser(ClassifierMixin, BaseEstimator):
    """Answers of a trained model: labels, probabilities, transcripts, and the mixture of a state."""

    progress: bool
    classes_: NDArray[Any]
    trained_: SpeechModel

    def _frames(
        self, X: Iterable[object], skip: bool = False, advice: str = LEAVE_OUT, skipped: list[str] | None = None
    ) -> tuple[list[str], list[Frames]]:
        """Return the name and the frames of each recording, and warn about clipped ones."""
        check_is_fitted(self)
        feature_settings, minimum = self.trained_.feature_settings, self.trained_.words.stay.shape[1]
        assert feature_settings is not None
        clipped = []

        def extract(item: object) -> tuple[str, Frames]:
            sound = audio.recording_of(item)
            frames = extract_frames(sound, feature_settings, minimum)
            clipped.extend([sound.name] * sound.clipped)
            return sound.name, frames

        items = track(audio.recording_list(X), "extracting features", arguments.flag("progress", self.progress))
        good = audio.each_recording(items, extract, skip, advice, skipped).values()
        audio.warn_of_clipping(clipped)
        return [name for name, _ in good], [frames for _, frames in good]

    def predict_log_proba(self, X: Iterable[object]) -> Array:
        """Compute log probabilities (R, n_classes) of the labels.

        Parameters
        ----------
        X : R paths, (path, start, stop) in seconds, or Recordings

        Raises
        ------
        BrokenRecording
            If recordings can't be used; all are listed.
        DataError
            If it is a single recording, or empty.

        Warns
        -----
        FitWarning
            If recordings are clipped.
        """
        _, features = self._frames(X)
        return self._log_probability(self.trained_.words.log_likelihood([one.speech for one in features]))

    def _log_probability(self, loglik: Array) -> Array:
        with np.errstate(divide="ignore"):
            return tempered(loglik, np.log(self.trained_.prior), self.trained_.exponent)

    def predict_proba(self, X: Iterable[object]) -> Array:
        """Compute probabilities (R, n_classes) of the labels; rows sum to one.

        Parameters
        ----------
        X : R paths, (path, start, stop) in seconds, or Recordings

        Raises
        ------
        BrokenRecording, DataError
            As for ``predict_log_proba``.
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Iterable[object]) -> NDArray[Any]:
        """Return the most probable label (R,) of each recording.

        Parameters
        ----------
        X : R paths, (path, start, stop) in seconds, or Recordings

        Raises
        ------
        BrokenRecording, DataError
            As for ``predict_log_proba``.
        """
        best = self.predict_log_proba(X).argmax(axis=1)
        return self.classes_[best]

    def recognise(
        self, X: Iterable[object], *, reject: float | None = None, skip_broken: bool = False
    ) -> "pd.DataFrame":
        r"""Recognise recordings: a table of answers, optionally with the answer "none" where no label fits.

        Parameters
        ----------
        X : R paths, (path, start, stop) in seconds, or Recordings
        reject : float, optional
            Share of recordings of known labels that may be rejected, for example 0.05. A recording is rejected if its
            p-value ``known`` is at most this share. Default: no recording is rejected. ``rejection_`` shows what
            happens to held-out recordings.
        skip_broken : bool
            Skip invalid recordings with a warning. By default they are listed in an error.

        Returns
        -------
        DataFrame
            One row per ``recording``, the index: the ``label``, which is 'none' for a rejected recording; with
            ``reject``, the ``closest`` label; its ``probability`` among all labels; the p-value ``known`` of the
            hypothesis that the recording has one of these labels, by a conformal test [1]_ (not for models without
            held-out recordings); and the probability of each label. ``attrs["skipped"]`` lists the skipped recordings,
            each with the reason.

        Raises
        ------
        BrokenRecording
            If recordings can't be used and are not skipped, or all are invalid; all are listed.
        DataError
            If it is a single recording, or empty, or the model has too few held-out recordings for this ``reject``.
        DeclarationError
            If ``reject`` is not between 0 and 1.

        Warns
        -----
        FitWarning
            If recordings are clipped or were skipped.

        References
        ----------
        .. [1] Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World, Springer.
        """
        import pandas as pd

        check_is_fitted(self)
        share = None if reject is None else self._rejection().require(reject)
        skipped: list[str] = []
        names, features = self._frames(X, arguments.flag("skip_broken", skip_broken), SKIP, skipped)
        scored = Scored.of(self.trained_.words, [one.speech for one in features])
        probability = np.exp(self._log_probability(scored.loglik))
        closest = self.classes_[probability.argmax(axis=1)]
        frame = pd.DataFrame({"label": closest}, index=pd.Index(names, name="recording"))
        if share is not None:
            frame["closest"] = closest
        frame["probability"] = probability.max(axis=1)
        if self.trained_.rejection is not None:
            possible = np.flatnonzero(self.trained_.prior > 0)
            frame["known"] = self.trained_.rejection.p_values(scored.only(possible).scores())
        if share is not None:
            frame["label"] = frame["label"].astype(object).where(frame["known"] > share, NONE)
        for c, label in enumerate(self.classes_):
            frame[f"probability_{label}"] = probability[:, c]
        frame.attrs["skipped"] = skipped
        return frame

    def _rejection(self) -> Rejection:
        """Return the calibration of rejection.

        Raises
        ------
        DataError
            If the model has none.
        """
        if self.trained_.rejection is None:
            raise DataError(
                "this model can't reject recordings: it was trained by an earlier version, or no recording was held out"
                "\n  Train it again, with several recordings of each label."
            )
        return self.trained_.rejection

    @property
    def rejection_(self) -> "pd.DataFrame":
        """Shares of held-out recordings that are rejected, with standard errors.

        One row per share that is ``asked`` for: the share ``rejected`` among recordings of known labels, and its
        ``error``; and ``unknown_rejected`` with ``unknown_error``, for the same recordings without the model of their
        own label. Standard errors account for the groups (speakers), and those of unknown labels for the labels too.

        Raises
        ------
        DataError
            If the model was trained by an earlier version, or no recording was held out.
        """
        check_is_fitted(self)
        return self._rejection().table()

    def transcribe(self, recording: object) -> "pd.DataFrame":
        """Transcribe a longer recording: a sequence of labels with times, by Viterbi's algorithm.

        Parameters
        ----------
        recording : path, (path, start, stop) or Recording

        Returns
        -------
        DataFrame
            One row per word or sound: ``start`` and ``end`` in seconds, ``label``, and its ``probability`` among all
            labels, given these times. Inserted or deleted words are not accounted for.

        Raises
        ------
        BrokenRecording
            If the recording can't be used.
        DataError
            If it is not a recording.

        Warns
        -----
        FitWarning
            If the recording is clipped.
        """
        check_is_fitted(self)
        trained, sound = self.trained_, audio.recording_of(recording)
        feature_settings, minimum = trained.feature_settings, trained.words.stay.shape[1]
        assert feature_settings is not None
        assert trained.silence is not None
        audio.warn_of_clipping([sound.name] * sound.clipped)
        decoder = Decoder(
            trained.labels,
            trained.words,
            trained.silence,
            trained.bigram,
            trained.prior,
            trained.exponent,
            feature_settings.step,
        )
        features = extract_frames(sound, feature_settings, minimum)
        values = features.speech if sound.is_part else features.values  # a whole recording with its silence
        return decoder.transcribe(values, sound.start, min(sound.stop, sound.seconds))

    def posterior(self, label: object, state: int = 0) -> "xr.DataTree":
        """Return the mixture of one state of a label as a fit, for ``density``, ``assignments`` and plots.

        Parameters
        ----------
        label : str or int
        state : int
            From 0 to ``n_states - 1``.

        Raises
        ------
        DataError
            If the label is unknown.
        DeclarationError
            If there is no such state.
        """
        check_is_fitted(self)
        index = np.flatnonzero(self.classes_ == label)
        if not len(index):
            raise DataError(f"label={label!r} is not one of {', '.join(map(repr, self.classes_.tolist()))}")
        whole("state", state, minimum=0, maximum=self.trained_.words.stay.shape[1] - 1)
        return speech_files.state_fit(self.trained_.words, int(index[0]), state)
