"""Training of a speech recogniser: a scikit-learn classifier of recordings."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from bayesgmm.apps.speech import audio, speech_files
from bayesgmm.apps.speech.calibration import miscalibration, reliability, tempered
from bayesgmm.apps.speech.cepstral_features import NORMALISATIONS, FeatureSettings, Frames
from bayesgmm.apps.speech.corpora import Corpus, bigram, corpus_of, extract_features
from bayesgmm.apps.speech.decoding import silence
from bayesgmm.apps.speech.held_out import EvaluationTask, HeldOutResult, evaluate_held_out, folds_of
from bayesgmm.apps.speech.label_checks import warn_of_guessing, warn_of_own_labels
from bayesgmm.apps.speech.recogniser import Recogniser
from bayesgmm.apps.speech.rejection import calibrate
from bayesgmm.apps.speech.speech_files import SpeechModel
from bayesgmm.apps.speech.word_models import WordSettings, train
from bayesgmm.declared import whole
from bayesgmm.errors import DataError, DeclarationError, choose, warn
from bayesgmm.estimators import arguments
from bayesgmm.estimators.arguments import RandomState
from bayesgmm.keywords import checks_keywords
from bayesgmm.progress import Count, quiet
from bayesgmm.sweep.stats import Array

AUTO = "auto"


@checks_keywords
class SpeechClassifier(Recogniser):
    r"""Classifier of recorded words or sounds, by hidden Markov models with Gaussian mixtures.

    .. math:: P(c \mid x) \propto \pi_c \, p(x \mid c)^\beta

    A recording is converted to 100 frames per second of mel-frequency cepstral coefficients and their slopes;
    :math:`p(x \mid c)` is the density of a left-to-right hidden Markov model [1]_ whose states are mixtures. The
    exponent is estimated on held-out recordings, so that probabilities are calibrated for speakers like those held out.

    Parameters
    ----------
    n_states : int
        Number of states of a word, each at least one frame long; 1 for a sustained sound, 3 for sounds in words.
    n_components : int
        Number of components of each state's mixture.
    covariance_type : {'full', 'tied', 'diag', 'spherical'}
    shrinkage : float
        Weight, in frames, of the covariance within all states in each component's covariance; larger for fewer
        recordings.
    normalise : {'auto', 'mean', 'none'}
        'mean' subtracts the mean cepstrum of each recording. This helps for words, but removes the information of a
        single sustained sound. 'auto' uses what is better on held-out recordings.
    n_cepstra : int
        Number of cepstral coefficients.
    sample_rate : int, optional
        Sampling rate in Hz to which recordings are reduced; default the lowest among the training recordings, and at
        most 16,000.
    priors : (n_classes,) float, optional
        Probabilities of the labels, in the order of ``classes_``; default their frequencies in the training data.
    method : str
        'em', or any method of ``bayesgmm.fit``; predictions are then averaged over its draws.
    settings : dict, optional
        Settings of the method; for example ``{'draws': 50}``.
    folds : int
        Number of folds of the held-out evaluation.
    skip_broken : bool
        Skip invalid training recordings with a warning. By default they are listed in an error.
    progress : bool
        Show progress bars.
    random_state : int, RandomState or None

    Attributes
    ----------
    classes_ : (n_classes,) labels
    priors_ : (n_classes,) float
    exponent_ : float
        Exponent of the likelihood; 1 if frames were independent.
    held_out_ : DataFrame
        Prediction for each recording by a model trained without it: ``recording``, ``label``, ``answer`` and
        ``probability``.
    reliability_ : DataFrame
        Fraction of correct held-out answers by predicted probability. The exponent was estimated on the same answers.
    skipped_ : list of str
        Training recordings that were skipped, each with the reason.
    trained_ : SpeechModel
        The trained model.

    References
    ----------
    .. [1] Rabiner (1989), Proc. IEEE 77(2), 257-286.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> def beep(hertz):
    ...     time = np.arange(2400) / 8000
    ...     return audio.Recording(np.sin(2 * np.pi * hertz * time) + 0.01 * rng.normal(size=2400), 8000)
    >>> beeps = [beep(hertz) for hertz in [500, 510, 490, 1500, 1510, 1490]]
    >>> classifier = SpeechClassifier(n_states=1).fit(beeps, ["low", "low", "low", "high", "high", "high"])
    >>> classifier.predict([beep(505), beep(1505)])
    array(['low', 'high'], dtype='<U4')
    """

    def __init__(
        self,
        n_states: int = 8,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        shrinkage: float = 100.0,
        normalise: str = AUTO,
        n_cepstra: int = 13,
        sample_rate: int | None = None,
        priors: ArrayLike | None = None,
        method: str = "em",
        settings: dict[str, Any] | None = None,
        folds: int = 3,
        skip_broken: bool = False,
        progress: bool = True,
        random_state: RandomState = None,
    ) -> None:
        self.n_states = n_states
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.shrinkage = shrinkage
        self.normalise = normalise
        self.n_cepstra = n_cepstra
        self.sample_rate = sample_rate
        self.priors = priors
        self.method = method
        self.settings = settings
        self.folds = folds
        self.skip_broken = skip_broken
        self.progress = progress
        self.random_state = random_state

    def fit(
        self, X: Iterable[object], y: ArrayLike, groups: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train, and calibrate the probabilities on held-out recordings.

        Parameters
        ----------
        X : R paths, (path, start, stop) in seconds, or Recordings
            WAV, FLAC, OGG or MP3. Consecutive parts of one file are also used to estimate which label follows which.
        y : (R,) str or int
            Labels.
        groups : (R,) str or int, optional
            Recordings with the same group are held out together. Give the speakers, so that probabilities are
            calibrated for new speakers.
        sample_weight : (R,) float, optional
            Weight of each recording, as a number of copies.

        Raises
        ------
        BrokenRecording
            If recordings can't be used; all are listed.
        DataError
            If labels, groups or weights do not match the recordings, or there is only one label.
        DeclarationError
            If a parameter is invalid.

        Warns
        -----
        FitWarning
            If recordings are clipped or were skipped, none could be held out, nearly every recording has a label of its
            own, or held-out answers are not better than guessing the most frequent label (binomial test, level 5 %).

        Notes
        -----
        Without ``groups``, the speakers of held-out recordings also occur in the training data, and the probabilities
        are overconfident for new speakers. ``cross_val_score`` passes groups on only if metadata routing is enabled::

            sklearn.set_config(enable_metadata_routing=True)
            classifier = SpeechClassifier().set_fit_request(groups=True)
            cross_val_score(classifier, X, y, cv=LeaveOneGroupOut(), params={"groups": speakers})
        """
        shape, rate = self._word_settings(), self._requested_rate()
        with self._progress_shown():
            corpus = corpus_of(audio.recording_list(X), y, groups, sample_weight, rate)
            candidates = [FeatureSettings(corpus.rate, self.n_cepstra, name) for name in self._normalisations()]
            warn_of_own_labels(corpus.labels)
            self.skipped_: list[str] = []
            corpus, features = extract_features(corpus, candidates, shape.n_states, self.skip_broken, self.skipped_)
            self.classes_, word = np.unique(corpus.labels, return_inverse=True)
            if len(self.classes_) < 2:
                only = self.classes_.tolist()[0]
                raise DataError(f"all recordings have the label {only!r}; give at least two labels")
            self.priors_ = self._priors(np.bincount(word, weights=corpus.weight))
            self._train(corpus, word, candidates, features, shape)
        audio.warn_of_clipping(one.name for one in corpus.recordings if one.clipped)
        if not len(self.held_out_):
            warn(["no recording could be held out, so probabilities are not calibrated: give more for each label"])
        warn_of_guessing(self.held_out_["label"], self.held_out_["answer"])
        return self

    def _progress_shown(self) -> AbstractContextManager[None]:
        return nullcontext() if arguments.flag("progress", self.progress) else quiet()

    def _normalisations(self) -> list[str]:
        choose(self.normalise, {AUTO: "", **NORMALISATIONS}, "normalise")
        return list(NORMALISATIONS) if self.normalise == AUTO else [self.normalise]

    def _word_settings(self) -> WordSettings:
        seed = arguments.seed_of(self.random_state)
        arguments.flag("skip_broken", self.skip_broken)
        whole("folds", self.folds, minimum=2)
        whole("n_cepstra", self.n_cepstra, minimum=2, maximum=17)
        settings = arguments.settings_named(self.settings) if self.settings else None
        return WordSettings(
            self.n_states, self.n_components, self.covariance_type, self.shrinkage, self.method, settings, seed
        )

    def _requested_rate(self) -> int | None:
        return None if self.sample_rate is None else whole("sample_rate", self.sample_rate, minimum=audio.MIN_RATE)

    def _priors(self, count: Array) -> Array:
        """Return the given priors, or the frequencies of the labels.

        Raises
        ------
        DeclarationError
            If the priors are negative or do not sum to 1.
        """
        if self.priors is None:
            return count / count.sum()
        priors = arguments.numbers(
            "priors", self.priors, count.shape, "one probability for each label, in the order of classes_"
        )
        if (priors < 0).any() or abs(priors.sum() - 1) > 1e-8:
            raise DeclarationError(f"priors={self.priors!r}: must be at least 0 and sum to 1\n  Try priors / sum.")
        return priors

    def _train(
        self,
        corpus: Corpus,
        word: NDArray[np.intp],
        candidates: list[FeatureSettings],
        features: list[list[Frames]],
        shape: WordSettings,
    ) -> None:
        """Evaluate each feature setting on held-out recordings, then train on all with the best one."""
        folds = folds_of(word, corpus.groups, self.folds, shape.seed)
        speech = [[one.speech for one in recordings] for recordings in features]
        with np.errstate(divide="ignore"):
            log_prior = np.log(self.priors_)
        with Count("training", len(folds) * len(candidates) + 1) as count:
            task = EvaluationTask(word, corpus.weight, log_prior, folds, shape)
            tried = [
                evaluate_held_out(parts, task, settings.columns, count)
                for settings, parts in zip(candidates, speech, strict=True)
            ]
            best = min(range(len(tried)), key=lambda i: tried[i].loss)
            words = train(speech[best], word, corpus.weight, shape, candidates[best].columns)
            count.step()
        self.exponent_ = tried[best].exponent
        self._store_held_out(corpus, word, tried[best], log_prior)
        held = tried[best]
        rows = held.rows
        calibrated = calibrate(held.known, held.unknown, word[rows], corpus.groups[rows], held.fold)
        self.trained_ = SpeechModel(
            self.classes_,
            words,
            self.priors_,
            self.exponent_,
            bigram(corpus, word, self.priors_),
            candidates[best],
            silence([one.quiet for one in features[best]], words, shape.shrinkage),
            self._info(len(word)),
            calibrated if len(rows) else None,
        )

    def _store_held_out(self, corpus: Corpus, word: NDArray[np.intp], held: HeldOutResult, log_prior: Array) -> None:
        """Store the predictions for held-out recordings, and their reliability."""
        import pandas as pd

        probability = np.exp(tempered(held.loglik, log_prior, held.exponent))
        answer = probability.argmax(axis=1) if len(held.rows) else np.empty(0, np.intp)
        confidence = probability.max(axis=1) if len(held.rows) else np.empty(0)
        self.held_out_ = pd.DataFrame(
            {
                "recording": [corpus.recordings[r].name for r in held.rows],
                "label": self.classes_[word[held.rows]],
                "answer": self.classes_[answer],
                "probability": confidence,
            }
        )
        self.reliability_ = reliability(confidence, answer == word[held.rows])

    def _info(self, n_recordings: int) -> dict[str, object]:
        right = (self.held_out_["label"] == self.held_out_["answer"]).to_numpy()
        parameters = {
            name: value for name, value in self.get_params().items() if name not in {"priors", "random_state"}
        }
        accuracy = float(right.mean()) if len(right) else None
        return {"recordings": n_recordings, "held_out": len(right), "accuracy": accuracy, "parameters": parameters}

    @property
    def miscalibration_(self) -> float:
        """Expected calibration error of the held-out answers."""
        return miscalibration(self.reliability_)

    def save(self, path: str | Path) -> Path:
        """Write the model as NetCDF, whatever the file name extension; return the path.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        FitFileError
            If the file can't be written.
        """
        check_is_fitted(self)
        return speech_files.save(self.trained_, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a saved model.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        FitFileError
            If the file does not exist, is damaged, or is not a speech model.
        DataError
            If it is a model of a table of formants.
        """
        return cls.of(speech_files.load(path))

    @classmethod
    def of(cls, trained: SpeechModel) -> Self:
        """Make a classifier from a trained model.

        Parameters
        ----------
        trained : SpeechModel

        Raises
        ------
        DataError
            If it is a model of a table of formants.
        """
        if trained.feature_settings is None:
            raise DataError("this is a model of a table, not of recordings; use it with a table")
        known = cls().get_params()
        parameters = trained.info.get("parameters", {})
        classifier = cls(**{name: value for name, value in parameters.items() if name in known})
        classifier.trained_, classifier.exponent_ = trained, trained.exponent
        classifier.classes_, classifier.priors_ = trained.labels, trained.prior
        return classifier
