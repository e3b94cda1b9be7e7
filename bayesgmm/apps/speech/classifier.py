"""Words and sounds, recognised: a scikit-learn classifier of recordings, and transcripts of longer ones."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from bayesgmm.apps.speech import audio, speech_files
from bayesgmm.apps.speech.calibration import miscalibration, reliability, tempered
from bayesgmm.apps.speech.cepstra import NORMALISATIONS, Frames, Hearing, frames
from bayesgmm.apps.speech.corpora import Corpus, corpus_of, follows, hear
from bayesgmm.apps.speech.networks import Network, silence
from bayesgmm.apps.speech.rehearsal import HeldOut, Rehearsal, folds_of, hold_out
from bayesgmm.apps.speech.speech_files import Trained
from bayesgmm.apps.speech.word_models import Shape, train
from bayesgmm.declared import whole
from bayesgmm.errors import DataError, DeclarationError, choose, warn
from bayesgmm.estimators import arguments
from bayesgmm.progress import Count, quiet, track
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

AUTO = "auto"


class SpeechClassifier(ClassifierMixin, BaseEstimator):
    r"""Tell words, or single sounds, from recordings: a chain of Gaussian mixtures for each.

    .. math:: P(c \mid x) \propto \pi_c \, p(x \mid c)^\beta

    A recording becomes 100 frames a second of mel-frequency cepstra and their slopes; :math:`p(x \mid c)` is the
    density of a left-to-right hidden Markov model whose states are mixtures, and the exponent is learned from
    recordings that are held out, so that a probability of 0.9 is right nine times in ten: for speakers like those
    that were held out.

    Parameters
    ----------
    n_states : int
        That a word goes through, each at least a frame long; 1 for a sound that lasts, 3 for sounds of a transcript.
    n_components : int
        Of the mixture of each state.
    covariance_type : {'full', 'tied', 'diag', 'spherical'}
    shrinkage : float
        Frames that the covariance within all states counts for in each component's own: the fewer recordings, the more.
    normalise : {'auto', 'mean', 'none'}
        'mean' takes each recording's mean cepstrum off: right for words, but it takes a sound that fills its
        recording with it. 'auto' does what tells recordings that are held out better.
    n_cepstra : int
    sample_rate : int, optional
        That recordings are brought down to; unless told the lowest of the training recordings', and at most 16,000.
    priors : (n_classes,) float, optional
        Probabilities of the labels, in the order of ``classes_``; their shares among the recordings unless told.
    method : str
        'em', or any method of ``bayesgmm.fit``: predictions are then averaged over its draws.
    settings : dict, optional
        Of the method; for example ``{'draws': 50}``.
    folds : int
        Parts that are held out in turn.
    skip_broken : bool
        Train without recordings that can't be used, with a warning; else they are an error that lists them.
    progress : bool
    random_state : int, RandomState or None

    Attributes
    ----------
    classes_ : (n_classes,) labels
    priors_ : (n_classes,) float
    exponent_ : float
        How much a frame counts: 1 were frames independent.
    held_out_ : DataFrame
        What was said of each recording by a model that had not heard it: ``recording``, ``label``, ``answer`` and
        ``probability``.
    reliability_ : DataFrame
        How often held-out answers are right, by the probability that they claim; ``calibration.reliability``. One
        number, the exponent, was chosen on the same answers.
    trained_ : Trained
        The model.

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
        priors: Any = None,
        method: str = "em",
        settings: dict[str, Any] | None = None,
        folds: int = 3,
        skip_broken: bool = False,
        progress: bool = True,
        random_state: Any = None,
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

    def fit(self, X: Iterable[Any], y: Any, groups: Any = None, sample_weight: Any = None) -> Self:
        """Train, and learn from held-out recordings how sure to be.

        Parameters
        ----------
        X : R paths, (path, start, stop) in seconds, or Recordings
            WAV, FLAC, OGG or MP3. Parts of one file also teach which label follows which.
        y : (R,) labels
        groups : (R,) labels, optional
            Recordings that are held out together: their speakers, so that probabilities hold for new speakers.
        sample_weight : (R,) float, optional
            How many recordings each stands for.

        Raises
        ------
        BrokenRecording, DataError, DeclarationError
            All are ValueErrors; broken recordings come all in one.

        Warns
        -----
        FitWarning
            When recordings are clipped or were skipped, or none could be held out.

        Notes
        -----
        Without ``groups`` the recordings that are held out have speakers who were heard, and probabilities are far too
        sure for new ones. ``cross_val_score`` keeps its groups to itself unless it is told to pass them on::

            sklearn.set_config(enable_metadata_routing=True)
            classifier = SpeechClassifier().set_fit_request(groups=True)
            cross_val_score(classifier, X, y, cv=LeaveOneGroupOut(), params={"groups": speakers})
        """
        shape, rate = self._shape(), self._rate_told()
        with self._shown():
            corpus = corpus_of(audio.several(X), y, groups, sample_weight, rate)
            hearings = [Hearing(corpus.rate, self.n_cepstra, name) for name in self._normalisations()]
            corpus, heard = hear(corpus, hearings, shape.n_states, self.skip_broken)
            self.classes_, word = np.unique(corpus.labels, return_inverse=True)
            if len(self.classes_) < 2:
                only = self.classes_.tolist()[0]
                raise DataError(f"all recordings are labelled {only!r}; there must be two labels or more")
            self.priors_ = self._priors(np.bincount(word, weights=corpus.weight))
            self._learn(corpus, word, hearings, heard, shape)
        audio.warn_of_clipping(one.name for one in corpus.recordings if one.clipped)
        if not len(self.held_out_):
            warn(["no recording could be held out, so probabilities are a guess: give more recordings of each label"])
        return self

    def _shown(self) -> AbstractContextManager[None]:
        return nullcontext() if arguments.flag("progress", self.progress) else quiet()

    def _normalisations(self) -> list[str]:
        choose(self.normalise, {AUTO: "", **NORMALISATIONS}, "normalise")
        return list(NORMALISATIONS) if self.normalise == AUTO else [self.normalise]

    def _shape(self) -> Shape:
        seed = arguments.seed_of(self.random_state)
        arguments.flag("skip_broken", self.skip_broken)
        whole("folds", self.folds, least=2)
        whole("n_cepstra", self.n_cepstra, least=2, most=17)
        settings = arguments.settings_named(self.settings) if self.settings else None
        return Shape(
            self.n_states, self.n_components, self.covariance_type, self.shrinkage, self.method, settings, seed
        )

    def _rate_told(self) -> int | None:
        return None if self.sample_rate is None else whole("sample_rate", self.sample_rate, least=audio.LEAST_RATE)

    def _priors(self, count: Array) -> Array:
        if self.priors is None:
            return count / count.sum()
        priors = arguments.numbers("priors", self.priors, count.shape, "one probability a label, as classes_ has them")
        if (priors < 0).any() or abs(priors.sum() - 1) > 1e-8:
            raise DeclarationError(f"priors={self.priors!r}: must be at least 0 and sum to 1\n  Try priors / sum.")
        return priors

    def _learn(
        self, corpus: Corpus, word: NDArray[np.intp], hearings: list[Hearing], heard: list[list[Frames]], shape: Shape
    ) -> None:
        """Hold out, choose how to hear, train on all, and keep what came of it."""
        folds = folds_of(word, corpus.groups, self.folds, shape.seed)
        heard_speech = [[one.speech for one in every] for every in heard]
        with np.errstate(divide="ignore"):
            log_prior = np.log(self.priors_)
        with Count("training", len(folds) * len(hearings) + 1) as count:
            task = Rehearsal(word, corpus.weight, log_prior, folds, shape)
            tried = [hold_out(parts, task, h.columns, count) for h, parts in zip(hearings, heard_speech, strict=True)]
            best = min(range(len(tried)), key=lambda i: tried[i].loss)
            words = train(heard_speech[best], word, corpus.weight, shape, hearings[best].columns)
            count.step()
        self.exponent_ = tried[best].exponent
        self._judge(corpus, word, tried[best], log_prior)
        self.trained_ = Trained(
            self.classes_,
            words,
            self.priors_,
            self.exponent_,
            follows(corpus, word, self.priors_),
            hearings[best],
            silence([one.quiet for one in heard[best]], words, shape.shrinkage),
            self._info(len(word)),
        )

    def _judge(self, corpus: Corpus, word: NDArray[np.intp], held: HeldOut, log_prior: Array) -> None:
        """Keep what was said of the recordings that were held out."""
        import pandas as pd

        probability = np.exp(tempered(held.loglik, log_prior, held.exponent))
        answer = probability.argmax(axis=1) if len(held.rows) else np.empty(0, np.intp)
        claimed = probability.max(axis=1) if len(held.rows) else np.empty(0)
        self.held_out_ = pd.DataFrame(
            {
                "recording": [corpus.recordings[r].name for r in held.rows],
                "label": self.classes_[word[held.rows]],
                "answer": self.classes_[answer],
                "probability": claimed,
            }
        )
        self.reliability_ = reliability(claimed, answer == word[held.rows])

    def _info(self, n_recordings: int) -> dict[str, Any]:
        right = (self.held_out_["label"] == self.held_out_["answer"]).to_numpy()
        told = {name: value for name, value in self.get_params().items() if name not in {"priors", "random_state"}}
        accuracy = float(right.mean()) if len(right) else None
        return {"recordings": n_recordings, "held_out": len(right), "accuracy": accuracy, "parameters": told}

    def _frames(self, X: Iterable[Any]) -> list[Frames]:
        """What is heard of each recording; warns of those that are clipped."""
        check_is_fitted(self)
        hearing, least = self.trained_.hearing, self.trained_.words.stay.shape[1]
        assert hearing is not None
        clipped = []

        def listen(item: Any) -> Frames:
            sound = audio.recording_of(item)
            clipped.extend([sound.name] * sound.clipped)
            return frames(sound, hearing, least)

        items = track(audio.several(X), "listening", arguments.flag("progress", self.progress))
        heard = audio.each_sound(items, listen)
        audio.warn_of_clipping(clipped)
        return list(heard.values())

    def predict_log_proba(self, X: Iterable[Any]) -> Array:
        """(R, n_classes) logarithm of the probability of each label."""
        heard = self._frames(X)
        loglik = self.trained_.words.log_likelihood([one.speech for one in heard])
        with np.errstate(divide="ignore"):
            return tempered(loglik, np.log(self.trained_.prior), self.trained_.exponent)

    def predict_proba(self, X: Iterable[Any]) -> Array:
        """(R, n_classes) probability of each label; rows sum to one, whatever else may have been heard."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Iterable[Any]) -> NDArray:
        """(R,) the most probable label of each recording."""
        best = self.predict_log_proba(X).argmax(axis=1)
        return self.classes_[best]

    def transcribe(self, recording: Any) -> "pd.DataFrame":
        """What was said in a longer recording, and when, by Viterbi's algorithm over a loop of all labels.

        Parameters
        ----------
        recording : path, (path, start, stop) or Recording

        Returns
        -------
        DataFrame
            A row a word or sound: ``start`` and ``end`` in seconds of the recording, ``label``, and its
            ``probability`` among all labels, were these the times of one of them: it knows nothing of words that were
            left out or put in.
        """
        check_is_fitted(self)
        trained, sound = self.trained_, audio.recording_of(recording)
        hearing, least = trained.hearing, trained.words.stay.shape[1]
        assert hearing is not None
        assert trained.silence is not None
        audio.warn_of_clipping([sound.name] * sound.clipped)
        network = Network(
            trained.labels,
            trained.words,
            trained.silence,
            trained.follows,
            trained.prior,
            trained.exponent,
            hearing.step,
        )
        heard = frames(sound, hearing, least)
        values = heard.speech if sound.is_part else heard.values  # of a whole recording, the silence around it, too
        return network.transcribe(values, sound.start, min(sound.stop, sound.seconds))

    def posterior(self, label: Any, state: int = 0) -> "xr.DataTree":
        """The mixture of one state of a label as a fit: ``density``, ``assignments`` and the plots take it."""
        check_is_fitted(self)
        found = np.flatnonzero(self.classes_ == label)
        if not len(found):
            raise DataError(f"label={label!r} is not one of {', '.join(map(repr, self.classes_.tolist()))}")
        whole("state", state, least=0, most=self.trained_.words.stay.shape[1] - 1)
        return speech_files.state_fit(self.trained_.words, int(found[0]), state)

    @property
    def miscalibration_(self) -> float:
        """Mean distance of what held-out answers claim and how often they are right."""
        return miscalibration(self.reliability_)

    def save(self, path: str | Path) -> Path:
        """Write the model, as NetCDF whatever the name ends in.

        Raises
        ------
        FitFileError
        """
        check_is_fitted(self)
        return speech_files.save(self.trained_, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model back.

        Raises
        ------
        FitFileError
            When it is not there, damaged, or no model of recordings.
        """
        return cls.of(speech_files.load(path))

    @classmethod
    def of(cls, trained: Trained) -> Self:
        """A classifier that was trained before."""
        if trained.hearing is None:
            raise DataError("this model is of a table, not of recordings; recognise rows of a table with it")
        known = cls().get_params()
        told = trained.info.get("parameters", {})
        classifier = cls(**{name: value for name, value in told.items() if name in known})
        classifier.trained_, classifier.exponent_ = trained, trained.exponent
        classifier.classes_, classifier.priors_ = trained.labels, trained.prior
        return classifier
