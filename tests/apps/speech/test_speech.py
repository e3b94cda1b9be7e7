"""Speech recognition: training, probabilities and their calibration, scikit-learn."""

import itertools

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.apps import SpeechClassifier
from bayesgmm.apps.speech import audio, calibration, cepstral_features, speech_files
from bayesgmm.apps.speech import synthesis as sy
from bayesgmm.apps.speech import word_models as wm
from tests.speaking import FEW

pytest.importorskip("soundfile")
pytest.importorskip("librosa")


# Training


def test_a_single_state_has_the_mean_and_a_shrunk_covariance():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(8, 2)) * (1 + word) + word for word in (0, 0, 1, 1)]
    words = wm.train(parts, np.array([0, 0, 1, 1]), np.ones(4), wm.WordSettings(1, shrinkage=10.0), ("c0", "c1"))
    rows = [np.concatenate(parts[:2]), np.concatenate(parts[2:])]
    scatters = [(r - r.mean(0)).T @ (r - r.mean(0)) for r in rows]
    within = sum(scatters) / 32
    for c in (0, 1):
        np.testing.assert_allclose(words.mean[c, 0, 0, 0], rows[c].mean(0))
        np.testing.assert_allclose(words.covariance[c, 0, 0, 0], (scatters[c] + 10 * within) / (16 + 10), rtol=1e-4)
    np.testing.assert_allclose(words.stay[:, 0], 1 - 3 / 18)


@pytest.mark.parametrize("normalise", cepstral_features.NORMALISATIONS)
def test_training_works_with_recordings_of_one_frame(normalise):
    rng = np.random.default_rng(0)
    clicks = [audio.Recording(rng.normal(size=100), 8000) for _ in range(4)]
    model = SpeechClassifier(1, normalise=normalise, random_state=0, progress=False).fit(clicks, ["a", "a", "b", "b"])
    np.testing.assert_allclose(model.predict_proba(clicks).sum(axis=1), 1)


@pytest.mark.parametrize("n_components", [1, 2])
def test_training_finds_the_states_of_a_word(n_components):
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 15, size=(30, 3))
    parts = [np.repeat([0.0, 3.0, 6.0], n)[:, None] + 0.3 * rng.normal(size=(n.sum(), 1)) for n in lengths]
    other = [-part for part in parts]
    word = np.repeat([0, 1], 30)
    shape = wm.WordSettings(3, n_components, shrinkage=5.0)
    words = wm.train(parts + other, word, np.ones(60), shape, ("c0",))
    mean = (words.weight[..., None] * words.mean).sum(axis=3)[:, :, 0, 0]
    np.testing.assert_allclose(mean, [[0, 3, 6], [0, -3, -6]], atol=0.15)
    expected = 1 - (30 + 1) / (lengths.sum(axis=0) + 2)
    np.testing.assert_allclose(words.stay[0], expected, atol=0.02)
    assert (words.log_likelihood(parts + other).argmax(axis=1) == word).all()


def test_iterations_raise_the_likelihood(monkeypatch):
    rng = np.random.default_rng(0)
    parts = [np.repeat([0.0, 3.0], rng.integers(2, 20, 2))[:, None] for _ in range(10)]
    parts = [part + rng.normal(size=part.shape) for part in parts]
    word, totals = np.repeat([0, 1], 5), []
    for most in (1, 3, 12):
        monkeypatch.setattr(wm, "MAX_ITER", most)
        words = wm.train(parts, word, np.ones(10), wm.WordSettings(2, shrinkage=5.0), ("c0",))
        totals.append(words.log_likelihood(parts)[np.arange(10), word].sum())
    assert totals[0] < totals[1] <= totals[2] + 0.1


def test_weight_two_equals_two_copies_of_a_recording():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(9, 2)) for _ in range(4)]
    word, shape = np.array([0, 0, 1, 1]), wm.WordSettings(2, shrinkage=10.0)
    weighted = wm.train(parts, word, np.array([2.0, 1, 1, 1]), shape, ("c0", "c1"))
    twice = wm.train([parts[0], *parts], np.array([0, *word]), np.ones(5), shape, ("c0", "c1"))
    np.testing.assert_allclose(weighted.mean, twice.mean, atol=1e-6)
    np.testing.assert_allclose(weighted.covariance, twice.covariance, atol=1e-6)
    np.testing.assert_allclose(weighted.stay, twice.stay)


def test_a_bayesian_fit_is_averaged_over_its_draws():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(40, 1)) + 5 * word for word in (0, 1)]
    shape = wm.WordSettings(1, shrinkage=5.0, method="vb", settings={"draws": 200})
    words = wm.train(parts, np.array([0, 1]), np.ones(2), shape, ("c0",))
    assert words.weight.shape == (2, 1, 200, 1)
    assert words.mean[0].std() == pytest.approx(1 / np.sqrt(40), rel=0.3)
    density = bg.density(speech_files.state_fit(words, 0, 0), [[0.3]])
    assert words.log_density(np.array([[0.3]]))[0, 0, 0] == pytest.approx(float(density["log_density"][0]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_states": 0}, "n_states"),
        ({"n_components": 1.5}, "n_components"),
        ({"covariance_type": "fulll"}, "did you mean 'full'"),
        ({"shrinkage": 3.0}, "must be more than"),
        ({"normalise": "means"}, "did you mean 'mean'"),
        ({"method": "emm"}, "did you mean"),
        ({"folds": 1}, "folds"),
        ({"sample_rate": 10}, "sample_rate"),
        ({"priors": [0.5, 0.5]}, "priors"),
        ({"n_cepstra": 99}, "n_cepstra"),
    ],
)
def test_invalid_parameters_are_refused(listed, wrong, message):
    with pytest.raises(ValueError, match=message):
        SpeechClassifier(**wrong, progress=False).fit(listed["path"][:24], listed["label"][:24])


# Probabilities


def test_the_exponent_is_moderate_if_all_answers_are_correct():
    """Ten of ten: by the rule of succession the next is correct with probability 11/12."""
    loglik = np.tile([3000.0, 0.0], (10, 1))
    prior = np.log([0.5, 0.5])
    exponent = calibration.best_exponent(loglik, prior, np.zeros(10, int), np.ones(10))
    assert np.exp(calibration.tempered(loglik, prior, exponent))[:, 0] == pytest.approx(11 / 12, abs=1e-3)


@pytest.mark.parametrize("speakers", [True, False])
def test_probabilities_do_not_depend_on_the_order_of_files_or_label_names(listed, speakers):
    shuffled = listed.sample(frac=1, random_state=1)
    mirrored = listed.assign(label=["zyxw"[FEW.index(label)] for label in listed["label"]])
    answers = []
    for frame in (listed, shuffled, mirrored):
        model = SpeechClassifier(3, normalise="mean", random_state=0, progress=False)
        model.fit(frame["path"], frame["label"], frame["speaker"] if speakers else None)
        answers.append(model.predict_proba(listed["path"][:5]))
        assert model.held_out_["recording"].tolist() == frame["path"].tolist()
    names = sorted(FEW, key=lambda label: "zyxw"[FEW.index(label)])
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-9)
    np.testing.assert_allclose(answers[0], answers[2][:, [names.index(label) for label in sorted(FEW)]], atol=1e-9)


def test_labels_with_prior_zero_are_not_evaluated(listed):
    model = SpeechClassifier(2, priors=[0.5, 0.5, 0, 0], normalise="mean", random_state=0, progress=False)
    model.fit(listed["path"], listed["label"], listed["speaker"])
    assert set(model.held_out_["label"]) == {"nine", "one"}
    assert model.exponent_ > 2 * calibration.MIN_EXPONENT


def test_the_exponent_corrects_for_copies_of_frames():
    """Each frame five times: the exponent is near 1/5.  False alarm: about 1e-4 (4 sd of 40 simulated exponents)."""
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=4000)
    x = rng.normal(size=(4000, 6)) + 0.8 * (2 * truth - 1)[:, None] / 2
    loglik = -0.5 * np.stack([((x - m) ** 2).sum(axis=1) for m in (-0.4, 0.4)], axis=1)
    exponent = calibration.best_exponent(5 * loglik, np.log([0.5, 0.5]), truth, np.ones(4000))
    assert exponent == pytest.approx(0.2, abs=0.03)
    answer = np.exp(calibration.tempered(5 * loglik, np.log([0.5, 0.5]), exponent))
    table = calibration.reliability(answer.max(axis=1), answer.argmax(axis=1) == truth)
    assert calibration.miscalibration(table) < 0.03
    raw = np.exp(calibration.tempered(5 * loglik, np.log([0.5, 0.5]), 1.0))
    assert calibration.miscalibration(calibration.reliability(raw.max(axis=1), raw.argmax(axis=1) == truth)) > 0.1


def test_weights_count_in_the_log_loss():
    loglik = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    truth, prior = np.array([0, 1, 1]), np.log([0.5, 0.5])
    twice = [0, 0, 1, 2]
    weighted = calibration.log_loss(loglik, prior, truth, np.array([2.0, 1, 1]), 0.7)
    assert weighted == pytest.approx(calibration.log_loss(loglik[twice], prior, truth[twice], np.ones(4), 0.7))


def test_impossible_likelihoods_give_valid_probabilities():
    impossible = np.array([[-np.inf, -np.inf], [-np.inf, 0.0]])
    probability = np.exp(calibration.tempered(impossible, np.log([0.25, 0.75]), 0.1))
    np.testing.assert_allclose(probability, [[0.25, 0.75], [0, 1]], atol=1e-12)


def test_held_out_recordings_are_predicted_without_their_speaker(trained, listed):
    assert len(trained.held_out_) == len(listed)
    assert trained.trained_.info["accuracy"] > 0.8
    assert 0 < trained.exponent_ < 0.5  # frames are not independent
    probability = trained.predict_proba(listed["path"])
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert trained.score(listed["path"], listed["label"]) == 1


def test_the_order_of_sounds_is_recognised_where_a_bag_of_frames_fails():
    """Six orders of three vowels, against scikit-learn's mixtures of the same frames; speakers held out."""
    from sklearn.mixture import GaussianMixture

    orders = ["-".join(order) for order in itertools.permutations(["IY", "AA", "UW"])]
    recordings, labels, speakers = [], [], []
    for (seed, speaker), label in itertools.product(enumerate([0, 0, 1, 1, 2, 2]), orders):
        samples, _ = sy.speak(label.split("-"), sy.Voice(sy.TALKERS[speaker]), seed=seed)
        recordings.append(audio.Recording(samples, 8000))
        labels.append(label)
        speakers.append(speaker)
    labels, speakers = np.array(labels), np.array(speakers)
    model = SpeechClassifier(3, normalise="mean", random_state=0, progress=False).fit(recordings, labels, speakers)
    features = [cepstral_features.extract_frames(one, model.trained_.feature_settings).speech for one in recordings]
    right = []
    for speaker in range(3):
        known = {}
        for label in orders:
            rows = [features[i] for i in np.flatnonzero((labels == label) & (speakers != speaker))]
            known[label] = GaussianMixture(4, covariance_type="diag", reg_covar=1e-3, random_state=0).fit(
                np.concatenate(rows)
            )
        own = np.flatnonzero(speakers == speaker)
        scores = np.array([[known[label].score(features[i]) for label in orders] for i in own])
        right += list(np.array(orders)[scores.argmax(axis=1)] == labels[own])
    assert model.trained_.info["accuracy"] > 0.9
    assert np.mean(right) < 0.75


def test_the_mean_is_kept_if_it_carries_the_information(tmp_path):
    vowels = sy.make_recordings(tmp_path, ["IY", "AA", "UW"], takes=3)
    model = SpeechClassifier(1, random_state=0, progress=False).fit(vowels["path"], vowels["label"], vowels["speaker"])
    assert model.trained_.feature_settings.normalise == "none"
    assert model.trained_.info["accuracy"] > 0.9


def test_priors_change_predictions(trained, listed):
    certain = SpeechClassifier(5, priors=[1.0, 0, 0, 0], normalise="mean", progress=False)
    certain.fit(listed["path"], listed["label"], listed["speaker"])
    np.testing.assert_allclose(certain.predict_proba(listed["path"][:3])[:, 0], 1)


def test_one_recording_per_label_gives_a_warning(listed):
    chosen = [FEW.index(label) * 4 for label in FEW]
    with pytest.warns(bg.FitWarning, match="not calibrated"):
        model = SpeechClassifier(3, normalise="mean", progress=False).fit(
            listed["path"][chosen], listed["label"][chosen]
        )
    assert len(model.reliability_) == 0


# scikit-learn


def test_cross_validation_works_with_lists_of_paths(listed):
    from sklearn.base import clone
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_score

    model = SpeechClassifier(4, normalise="mean", random_state=0, progress=False)
    assert clone(model).get_params() == model.get_params()
    paths, labels, speakers = (listed[name].tolist() for name in ("path", "label", "speaker"))
    scores = cross_val_score(model, paths, labels, groups=speakers, cv=LeaveOneGroupOut())
    assert len(scores) == 3
    assert scores.mean() > 0.7


def test_cross_validation_passes_speakers_on_with_metadata_routing(listed):
    import sklearn
    from sklearn.base import clone
    from sklearn.model_selection import LeaveOneGroupOut, cross_validate

    paths, labels, speakers = (listed[name].tolist() for name in ("path", "label", "speaker"))
    with sklearn.config_context(enable_metadata_routing=True):
        model = SpeechClassifier(2, normalise="mean", random_state=0, progress=False).set_fit_request(groups=True)
        result = cross_validate(
            model, paths, labels, cv=LeaveOneGroupOut(), params={"groups": speakers}, return_estimator=True
        )
    kept = [path for path, speaker in zip(paths, speakers, strict=True) if speaker != "speaker0"]
    kept_labels = [label for label, speaker in zip(labels, speakers, strict=True) if speaker != "speaker0"]
    direct = clone(model).fit(kept, kept_labels, [speaker for speaker in speakers if speaker != "speaker0"])
    assert result["estimator"][0].exponent_ == direct.exponent_
    assert model.fit(kept, kept_labels).exponent_ != direct.exponent_


def test_the_same_seed_gives_the_same_model(listed):
    models = [
        SpeechClassifier(3, 2, normalise="mean", random_state=4, progress=False).fit(listed["path"], listed["label"])
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*(m.trained_.words.mean for m in models))
    assert models[0].exponent_ == models[1].exponent_


def test_a_state_is_a_fit_with_a_density(trained):
    fit = trained.posterior("six", state=1)
    frames = np.zeros((2, 26))
    expected = trained.trained_.words.log_density(frames)[:, list(trained.classes_).index("six"), 1]
    np.testing.assert_allclose(bg.density(fit, frames)["log_density"], expected)
    with pytest.raises(bg.errors.DataError, match="'seven' is not one of"):
        trained.posterior("seven")
