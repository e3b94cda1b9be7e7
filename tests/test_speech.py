"""Speech: what is heard, what is told from it, and how sure that is."""

import itertools
import json

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.apps import SpeechClassifier, audio, calibration, cepstra, chains, formants, networks, speech_files
from bayesgmm.apps import synthesis as sy
from bayesgmm.apps import word_models as wm
from bayesgmm.data import Standard

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("librosa")

FEW = ["one", "two", "six", "nine"]


@pytest.fixture(scope="session")
def listed(tmp_path_factory):
    """Four words, three speakers, four takes."""
    return sy.make_recordings(tmp_path_factory.mktemp("words"), FEW, takes=4, seed=3)


@pytest.fixture(scope="session")
def trained(listed):
    return SpeechClassifier(n_states=5, random_state=0, progress=False).fit(
        listed["path"], listed["label"], listed["speaker"]
    )


@pytest.fixture
def voice():
    samples, _ = sy.speak(sy.WORDS["six"], sy.Voice("woman"), seed=8)
    return audio.Recording(samples, 8000)


# Chains


def ways(n_frames, n_states):
    """Every way through a chain: which state each frame is in."""
    for path in itertools.product(range(n_states), repeat=n_frames):
        steps = np.diff(path)
        if path[0] == 0 and path[-1] == n_states - 1 and ((steps == 0) | (steps == 1)).all():
            yield np.array(path)


def weight_of(path, emitted, stay):
    moved = np.append(np.diff(path) == 1, True)
    return emitted[np.arange(len(path)), path].sum() + np.log(np.where(moved, 1 - stay[path], stay[path])).sum()


def test_chains_agree_with_every_way_through_them():
    rng = np.random.default_rng(0)
    parts, stay = [rng.normal(size=(t, 3)) for t in (6, 3, 4)], rng.uniform(0.1, 0.9, 3)
    padded = chains.Padded.of(parts)
    occupancy, loglik = chains.occupancies(padded, stay)
    np.testing.assert_allclose(loglik, chains.log_probability(padded, stay))
    for r, part in enumerate(parts):
        paths = list(ways(len(part), 3))
        weights = np.exp([weight_of(path, part, stay) for path in paths])
        assert loglik[r] == pytest.approx(np.log(weights.sum()))
        expected = sum(w * np.eye(3)[path] for w, path in zip(weights, paths, strict=True)) / weights.sum()
        np.testing.assert_allclose(occupancy[r, : len(part)], expected)
        assert (occupancy[r, len(part) :] == 0).all()


def test_a_recording_that_is_shorter_than_the_chain_is_impossible():
    assert np.isneginf(chains.log_probability(chains.Padded.of([np.zeros((2, 3))]), np.full(3, 0.5)))


def tiny_network(exponent):
    rng = np.random.default_rng(1)
    mean = 0.2 * rng.normal(size=(2, 2, 1, 1, 1))  # frames say little, so that transitions count
    ones = np.ones((2, 2, 1, 1))
    standard = Standard(np.zeros(1), np.ones(1))
    words = wm.Words(ones, mean, ones[..., None, None], np.array([[0.3, 0.6], [0.97, 0.2]]), standard, ("c0",))
    quiet = wm.Words(
        ones[:1, :1], np.zeros((1, 1, 1, 1, 1)), ones[:1, :1, ..., None, None], np.zeros((1, 1)), standard, ("c0",)
    )
    follows = np.array([[0.1, 0.9], [0.7, 0.3]])
    return networks.Network(np.array(["a", "b"]), words, quiet, follows, np.array([0.4, 0.6]), exponent, 0.01)


@pytest.mark.parametrize(("exponent", "seed"), list(itertools.product([1.0, 0.5, 0.3], range(10))))
def test_the_path_is_the_best_of_all_paths(exponent, seed):
    network = tiny_network(exponent)
    values = np.random.default_rng(seed).normal(size=(5, 1))
    begin, chain = network.transitions()
    log = network.log_weights(values)
    with np.errstate(divide="ignore"):
        log_begin, log_chain, log_end = np.log(begin), np.log(chain), np.log(network.ends())

    paths = np.array(list(itertools.product(range(5), repeat=5)))
    total = (
        log_begin[paths[:, 0]]
        + log[np.arange(5), paths].sum(axis=1)
        + log_chain[paths[:, :-1], paths[:, 1:]].sum(axis=1)
        + log_end[paths[:, -1]]
    )
    best = paths[total.argmax()]
    np.testing.assert_array_equal(network.path(values), best)


def test_chains_of_a_network_lead_where_they_should():
    begin, chain = tiny_network(1.0).transitions()
    assert begin.sum() == pytest.approx(1)
    np.testing.assert_allclose(chain.sum(axis=1), 1)  # with exponent 1 they are probabilities
    assert chain[0, 1] == pytest.approx(0.7)
    assert chain[1, 2] == pytest.approx(0.4 * (1 - networks.PAUSE) * 0.9)
    assert chain[2, 4] == 0
    assert tiny_network(0.3).transitions()[1][0, 1] == pytest.approx(0.7**0.3)
    assert chain[3, 4] == pytest.approx(0.8 * networks.PAUSE)
    np.testing.assert_allclose(tiny_network(0.3).ends(), [0, 0.4**0.3, 0, 0.8**0.3, 1])


# Training


def test_a_sound_is_its_mean_and_a_covariance_shrunk_to_the_common_one():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(8, 2)) * (1 + word) + word for word in (0, 0, 1, 1)]
    words = wm.train(parts, np.array([0, 0, 1, 1]), np.ones(4), wm.Shape(1, shrinkage=10.0), ("c0", "c1"))
    rows = [np.concatenate(parts[:2]), np.concatenate(parts[2:])]
    scatters = [(r - r.mean(0)).T @ (r - r.mean(0)) for r in rows]
    within = sum(scatters) / 32
    for c in (0, 1):
        np.testing.assert_allclose(words.mean[c, 0, 0, 0], rows[c].mean(0))
        np.testing.assert_allclose(words.covariance[c, 0, 0, 0], (scatters[c] + 10 * within) / (16 + 10), rtol=1e-4)
    np.testing.assert_allclose(words.stay[:, 0], 1 - 3 / 18)


@pytest.mark.parametrize("normalise", cepstra.NORMALISATIONS)
def test_recordings_of_one_frame_are_enough_to_train_from(normalise):
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
    shape = wm.Shape(3, n_components, shrinkage=5.0)
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
        words = wm.train(parts, word, np.ones(10), wm.Shape(2, shrinkage=5.0), ("c0",))
        totals.append(words.log_likelihood(parts)[np.arange(10), word].sum())
    assert totals[0] < totals[1] <= totals[2] + 0.1


def test_a_recording_of_weight_two_is_the_recording_twice():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(9, 2)) for _ in range(4)]
    word, shape = np.array([0, 0, 1, 1]), wm.Shape(2, shrinkage=10.0)
    weighted = wm.train(parts, word, np.array([2.0, 1, 1, 1]), shape, ("c0", "c1"))
    twice = wm.train([parts[0], *parts], np.array([0, *word]), np.ones(5), shape, ("c0", "c1"))
    np.testing.assert_allclose(weighted.mean, twice.mean, atol=1e-6)
    np.testing.assert_allclose(weighted.covariance, twice.covariance, atol=1e-6)
    np.testing.assert_allclose(weighted.stay, twice.stay)


def test_a_bayesian_fit_is_averaged_over_its_draws():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(40, 1)) + 5 * word for word in (0, 1)]
    shape = wm.Shape(1, shrinkage=5.0, method="vb", settings={"draws": 200})
    words = wm.train(parts, np.array([0, 1]), np.ones(2), shape, ("c0",))
    assert words.weight.shape == (2, 1, 200, 1)
    assert words.mean[0].std() == pytest.approx(1 / np.sqrt(40), rel=0.3)
    density = bg.density(speech_files.state_fit(words, 0, 0), [[0.3]])
    assert words.log_density(np.array([[0.3]]))[0, 0, 0] == pytest.approx(float(density["log_density"][0]))


@pytest.mark.parametrize(
    ("wrong", "said"),
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
def test_wrong_parameters_say_what_is_allowed(listed, wrong, said):
    with pytest.raises(ValueError, match=said):
        SpeechClassifier(**wrong, progress=False).fit(listed["path"][:24], listed["label"][:24])


# Hearing


@pytest.mark.parametrize(
    ("normalise", "times"), list(itertools.product(cepstra.NORMALISATIONS, [0.01, 1e-170, 1e-300, 1e170, 1e300]))
)
def test_how_loud_a_recording_is_does_not_matter(voice, normalise, times):
    hearing = cepstra.Hearing(8000, normalise=normalise)
    louder = audio.Recording(voice.samples * times, 8000)
    np.testing.assert_allclose(cepstra.frames(voice, hearing).values, cepstra.frames(louder, hearing).values, atol=1e-4)


def test_a_constant_in_a_recording_is_not_heard(voice):
    shifted = audio.Recording(0.2 * voice.samples + 0.5, 8000)
    heard, expected = (cepstra.frames(one, cepstra.Hearing(8000)).values for one in (shifted, voice))
    np.testing.assert_allclose(heard, expected, atol=1e-6)


@pytest.mark.parametrize("loud", [1e-4, 1e-2])
def test_pauses_do_not_move_the_mean_that_is_taken_off(voice, loud):
    noise = loud * np.random.default_rng(0).normal(size=16000)
    longer = audio.Recording(np.concatenate([voice.samples, noise, voice.samples]), 8000)
    alone, among = (cepstra.frames(one, cepstra.Hearing(8000)) for one in (voice, longer))
    loudest = np.flatnonzero(alone.values[:, 0] > 0)
    means = [one.values[loudest, :13].mean(axis=0) for one in (among, alone)]
    np.testing.assert_allclose(*means, atol=1.0)


def test_what_is_quiet_around_a_part_of_a_file_is_no_other_word(voice):
    both = audio.Recording(np.concatenate([voice.samples, np.zeros(1600), voice.samples]), 8000, stop=voice.seconds)
    heard = cepstra.frames(both, cepstra.Hearing(8000))
    energy = heard.quiet[:, 0] - heard.silence[0]
    assert 15 < len(heard.quiet) < 30  # 0.2 s
    assert energy.max() < heard.speech[:, 0].mean() - heard.silence[0] - 5


@pytest.mark.parametrize("rate", [8000, 11025, 22050])
def test_frames_of_a_part_are_where_it_is_in_the_file(rate):
    """At 11025 Hz no whole number of samples lasts 0.01 s."""
    samples = 1e-3 * np.random.default_rng(0).normal(size=21 * rate)
    samples[20 * rate : int(20.3 * rate)] *= 500
    heard = cepstra.frames(audio.Recording(samples, rate, start=20.0, stop=20.3), cepstra.Hearing(rate))
    loud = np.flatnonzero(heard.loud)
    assert abs(heard.first - loud[0]) <= 2
    assert abs(heard.last - loud[-1]) <= 3


def test_more_cepstra_than_bands_are_refused():
    assert (
        len(cepstra.frames(audio.Recording(np.sin(np.arange(4000.0) ** 1.1), 4000), cepstra.Hearing(4000, 12)).silence)
        == 24
    )
    with pytest.raises(bg.errors.DeclarationError, match="4000 samples a second have 12 bands.*\n.*n_cepstra=12"):
        cepstra.Hearing(4000)


def test_a_mean_that_is_taken_off_is_gone(voice):
    vowel = audio.Recording(sy.speak(["AA"])[0], 8000)
    heard = cepstra.frames(vowel, cepstra.Hearing(8000))
    np.testing.assert_allclose(heard.values[:, :13].mean(axis=0), 0, atol=1e-9)
    off, on = (cepstra.frames(voice, cepstra.Hearing(8000, normalise=name)) for name in ("none", "mean"))
    moved = off.values - on.values
    assert abs(moved[0, 0]) > 1
    np.testing.assert_allclose(moved, np.broadcast_to(np.append(moved[0, :13], np.zeros(13)), moved.shape), atol=1e-9)
    assert len(on.values) == len(voice.samples) // 80


def test_slopes_are_those_of_straight_lines():
    values = np.random.default_rng(0).normal(size=(9, 2))
    expected = np.polyfit(np.arange(-2, 3), values[2:7], 1)[0]
    np.testing.assert_allclose(cepstra.slopes(values)[4], expected)


def test_silence_at_the_ends_is_no_speech(voice):
    still = np.zeros(2400)
    longer = audio.Recording(np.concatenate([still, voice.samples, still]), 8000)
    alone, among = (cepstra.frames(one, cepstra.Hearing(8000)) for one in (voice, longer))
    assert abs(among.first - alone.first - 30) <= 1
    assert abs(len(among.speech) - len(alone.speech)) <= 2


def test_absolute_silence_is_what_it_is_said_to_look_like(voice):
    longer = audio.Recording(np.concatenate([voice.samples, np.zeros(4000)]), 8000)
    heard = cepstra.frames(longer, cepstra.Hearing(8000))
    np.testing.assert_allclose(heard.values[-20], heard.silence, atol=1e-4)


def as_file(path, samples, rate=8000, **how):
    soundfile.write(path, samples, rate, **how)
    return str(path)


FORMATS = {
    "pcm16.wav": {"subtype": "PCM_16"},
    "pcm8.wav": {"subtype": "PCM_U8"},
    "pcm24.wav": {"subtype": "PCM_24"},
    "float.wav": {"subtype": "FLOAT"},
    "mulaw.wav": {"subtype": "ULAW"},
    "sound.flac": {},
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_heard_alike(trained, voice, tmp_path, name):
    path = as_file(tmp_path / name, voice.samples, **FORMATS[name])
    assert trained.predict([path]) == ["six"]


@pytest.mark.parametrize("rate", [11025, 16000, 44100, 48000])
def test_more_samples_a_second_do_no_harm(trained, tmp_path, rate):
    samples, _ = sy.speak(sy.WORDS["nine"], sy.Voice("man"), rate=rate, seed=8)
    assert trained.predict([as_file(tmp_path / "rate.wav", samples, rate)]) == ["nine"]


def test_two_channels_are_averaged(tmp_path):
    both = np.stack([np.linspace(-0.5, 0.5, 800), np.zeros(800)], axis=1)
    heard = audio.read(as_file(tmp_path / "two.wav", both, subtype="FLOAT"))
    np.testing.assert_allclose(heard.samples, both.mean(axis=1), atol=1e-7)


def broken_files(folder):
    """Files that are no use, and what is wrong with each."""
    noise = np.random.default_rng(0).normal(size=8000) * 0.1
    files = {"missing.wav": "no such file"}
    for name, content, said in [
        ("empty.wav", b"", "empty"),
        ("text.wav", b"hello, this is no sound", "can't be read as sound"),
        ("header.wav", b"RIFF\x00\x00\x00\x00WAVEfmt ", "can't be read as sound"),
    ]:
        (folder / name).write_bytes(content)
        files[name] = said
    for name, samples, rate, said in [
        ("silent.wav", np.zeros(8000), 8000, "silent"),
        ("none.wav", np.zeros(0), 8000, "no samples"),
        ("short.wav", noise[:80], 8000, "s of speech"),
        ("slow.wav", noise, 2000, "samples a second"),
        ("nan.wav", np.append(noise, np.nan), 8000, "not numbers"),
    ]:
        as_file(folder / name, samples, rate, subtype="FLOAT")
        files[name] = said
    return files


def test_what_is_broken_says_so_and_has_its_name(trained, tmp_path):
    for name, said in broken_files(tmp_path).items():
        with pytest.raises(audio.BrokenRecording, match=said) as caught:
            trained.predict([tmp_path / name])
        assert str(caught.value).startswith(str(tmp_path / name))


def test_all_broken_files_come_in_one_error_or_are_skipped(listed, tmp_path):
    bad = broken_files(tmp_path)
    paths = [*listed["path"], *(str(tmp_path / name) for name in bad)]
    labels = [*listed["label"], *["two"] * len(bad)]
    model = SpeechClassifier(n_states=5, normalise="mean", random_state=0, progress=False)
    with pytest.raises(audio.BrokenRecording, match="can't be used") as caught:
        model.fit(paths, labels)
    assert all(name in str(caught.value) for name in bad)
    assert "--skip-broken" in str(caught.value)
    with pytest.warns(bg.FitWarning, match="skipped") as warned:
        model.set_params(skip_broken=True).fit(paths, labels)
    assert all(any(name in str(w.message) for w in warned) for name in bad)
    assert model.trained_.info["recordings"] == len(listed)


def test_clipping_is_said_and_half_of_a_file_that_broke_off_is_heard(listed, tmp_path):
    samples = np.clip(20 * audio.read(listed["path"][0]).samples, -1, 1)
    paths = [as_file(tmp_path / "loud.wav", samples), *listed["path"][1:]]
    with pytest.warns(bg.FitWarning, match=r"clipped.*loud\.wav"):
        SpeechClassifier(2, normalise="mean", progress=False).fit(paths, listed["label"])
    whole = (tmp_path / "loud.wav").read_bytes()
    (tmp_path / "half.wav").write_bytes(whole[: len(whole) // 2])
    assert 0 < len(audio.read(tmp_path / "half.wav").samples) <= len(samples)


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        ([], [], "no recordings"),
        ([3], ["a"], "is no recording"),
        ([("a.wav", "0", "1")], ["a"], "is no recording"),
        ("a.wav", ["a"], "this is one recording"),
        (["a.wav"], np.array([float("nan")], dtype=object), "missing"),
        (["a.wav"], [pytest.importorskip("pandas").NA], "missing"),
        (["a.wav", "b.wav"], ["a"], "one label for each"),
        (["a.wav"], [None], "missing"),
        (["a.wav"], [0.5], "text or whole numbers"),
    ],
)
def test_what_is_no_training_set_says_so(X, y, said):
    with pytest.raises(bg.errors.DataError, match=said):
        SpeechClassifier(progress=False).fit(X, y)


def test_one_label_is_not_enough(listed):
    with pytest.raises(bg.errors.DataError, match="two labels"):
        SpeechClassifier(progress=False).fit(listed["path"][:4], ["a"] * 4)


def test_a_recording_that_lacks_the_upper_bands_is_refused(trained, tmp_path):
    samples, _ = sy.speak(["AA"], rate=6000)
    with pytest.raises(audio.BrokenRecording, match=r"low\.wav: has 6000 samples a second, 8000 are needed"):
        trained.predict([as_file(tmp_path / "low.wav", samples, 6000)])


@pytest.mark.parametrize(
    ("rate", "said"), [(8000.5, "whole number"), (float("nan"), "whole number"), (100, "at least")]
)
def test_a_rate_that_can_not_be_is_refused(rate, said):
    with pytest.raises(audio.BrokenRecording, match=said):
        audio.checked(audio.Recording(np.sin(np.arange(9.0)), rate))


def test_one_recording_in_place_of_many_says_so(trained, listed):
    for one in (listed["path"][0], audio.read(listed["path"][0])):
        with pytest.raises(bg.errors.DataError, match="give a list"):
            trained.predict(one)


def test_what_can_not_be_recognised_is_not_told_to_be_skipped(trained, listed):
    with pytest.raises(audio.BrokenRecording, match="1 recording of 2") as caught:
        trained.predict([listed["path"][0], "none.wav"])
    assert "skip" not in str(caught.value)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "ULAW"])
def test_clipping_is_seen_in_every_format(trained, listed, tmp_path, subtype):
    whole = audio.read(listed["path"][0]).samples
    path = as_file(tmp_path / "loud.wav", np.clip(20 * whole, -1, 1), subtype=subtype)
    with pytest.warns(bg.FitWarning, match=r"clipped.*loud\.wav"):
        trained.predict([path])
    with pytest.warns(bg.FitWarning, match=r"clipped.*loud\.wav"):
        trained.transcribe(path)
    assert not audio.read(as_file(tmp_path / "good.wav", whole, subtype=subtype)).clipped


# Probabilities


def test_an_exponent_is_not_beyond_doubt_when_all_were_told_rightly():
    """Ten of ten: the rule of succession says that the next is right with probability 11/12."""
    loglik = np.tile([3000.0, 0.0], (10, 1))
    prior = np.log([0.5, 0.5])
    exponent = calibration.best_exponent(loglik, prior, np.zeros(10, int), np.ones(10))
    assert np.exp(calibration.tempered(loglik, prior, exponent))[:, 0] == pytest.approx(11 / 12, abs=1e-3)


@pytest.mark.parametrize("speakers", [True, False])
def test_probabilities_do_not_depend_on_the_order_of_files_or_on_names_of_labels(listed, speakers):
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


def test_labels_that_can_not_be_are_not_judged(listed):
    model = SpeechClassifier(2, priors=[0.5, 0.5, 0, 0], normalise="mean", random_state=0, progress=False)
    model.fit(listed["path"], listed["label"], listed["speaker"])
    assert set(model.held_out_["label"]) == {"nine", "one"}
    assert model.exponent_ > 2 * calibration.LEAST


def test_an_exponent_undoes_what_copies_of_frames_claim():
    """Each frame five times: the exponent is near 1/5.  False alarm: about 1e-4 (4 sd of 40 simulated exponents)."""
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=4000)
    x = rng.normal(size=(4000, 6)) + 0.8 * (2 * truth - 1)[:, None] / 2
    loglik = -0.5 * np.stack([((x - m) ** 2).sum(axis=1) for m in (-0.4, 0.4)], axis=1)
    found = calibration.best_exponent(5 * loglik, np.log([0.5, 0.5]), truth, np.ones(4000))
    assert found == pytest.approx(0.2, abs=0.03)
    answer = np.exp(calibration.tempered(5 * loglik, np.log([0.5, 0.5]), found))
    table = calibration.reliability(answer.max(axis=1), answer.argmax(axis=1) == truth)
    assert calibration.miscalibration(table) < 0.03
    raw = np.exp(calibration.tempered(5 * loglik, np.log([0.5, 0.5]), 1.0))
    assert calibration.miscalibration(calibration.reliability(raw.max(axis=1), raw.argmax(axis=1) == truth)) > 0.1


def test_weights_count_in_the_exponent():
    loglik = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    truth, prior = np.array([0, 1, 1]), np.log([0.5, 0.5])
    twice = [0, 0, 1, 2]
    weighted = calibration.log_loss(loglik, prior, truth, np.array([2.0, 1, 1]), 0.7)
    assert weighted == pytest.approx(calibration.log_loss(loglik[twice], prior, truth[twice], np.ones(4), 0.7))


def test_probabilities_survive_what_can_not_be():
    impossible = np.array([[-np.inf, -np.inf], [-np.inf, 0.0]])
    probability = np.exp(calibration.tempered(impossible, np.log([0.25, 0.75]), 0.1))
    np.testing.assert_allclose(probability, [[0.25, 0.75], [0, 1]], atol=1e-12)


def test_held_out_recordings_are_judged_by_models_that_have_not_heard_their_speaker(trained, listed):
    assert len(trained.held_out_) == len(listed)
    assert trained.trained_.info["accuracy"] > 0.8
    assert 0 < trained.exponent_ < 0.5  # frames are not independent
    probability = trained.predict_proba(listed["path"])
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert trained.score(listed["path"], listed["label"]) == 1


def test_the_order_of_sounds_is_heard_where_a_bag_of_frames_hears_none():
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
    heard = [cepstra.frames(one, model.trained_.hearing).speech for one in recordings]
    right = []
    for speaker in range(3):
        known = {}
        for label in orders:
            rows = [heard[i] for i in np.flatnonzero((labels == label) & (speakers != speaker))]
            known[label] = GaussianMixture(4, covariance_type="diag", reg_covar=1e-3, random_state=0).fit(
                np.concatenate(rows)
            )
        own = np.flatnonzero(speakers == speaker)
        scores = np.array([[known[label].score(heard[i]) for label in orders] for i in own])
        right += list(np.array(orders)[scores.argmax(axis=1)] == labels[own])
    assert model.trained_.info["accuracy"] > 0.9
    assert np.mean(right) < 0.75


def test_a_mean_is_not_taken_off_where_it_is_all_there_is(tmp_path):
    vowels = sy.make_recordings(tmp_path, ["IY", "AA", "UW"], takes=3)
    model = SpeechClassifier(1, random_state=0, progress=False).fit(vowels["path"], vowels["label"], vowels["speaker"])
    assert model.trained_.hearing.normalise == "none"
    assert model.trained_.info["accuracy"] > 0.9


def test_priors_move_answers(trained, listed):
    sure = SpeechClassifier(5, priors=[1.0, 0, 0, 0], normalise="mean", progress=False)
    sure.fit(listed["path"], listed["label"], listed["speaker"])
    np.testing.assert_allclose(sure.predict_proba(listed["path"][:3])[:, 0], 1)


def test_one_recording_a_label_is_a_guess(listed):
    chosen = [FEW.index(label) * 4 for label in FEW]
    with pytest.warns(bg.FitWarning, match="guess"):
        model = SpeechClassifier(3, normalise="mean", progress=False).fit(
            listed["path"][chosen], listed["label"][chosen]
        )
    assert len(model.reliability_) == 0


# scikit-learn


def test_it_is_a_classifier_of_lists_of_paths(listed):
    from sklearn.base import clone
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_score

    model = SpeechClassifier(4, normalise="mean", random_state=0, progress=False)
    assert clone(model).get_params() == model.get_params()
    paths, labels, speakers = (listed[name].tolist() for name in ("path", "label", "speaker"))
    scores = cross_val_score(model, paths, labels, groups=speakers, cv=LeaveOneGroupOut())
    assert len(scores) == 3
    assert scores.mean() > 0.7


def test_cross_validation_passes_speakers_on_when_it_is_told_to(listed):
    import sklearn
    from sklearn.base import clone
    from sklearn.model_selection import LeaveOneGroupOut, cross_validate

    paths, labels, speakers = (listed[name].tolist() for name in ("path", "label", "speaker"))
    with sklearn.config_context(enable_metadata_routing=True):
        model = SpeechClassifier(2, normalise="mean", random_state=0, progress=False).set_fit_request(groups=True)
        found = cross_validate(
            model, paths, labels, cv=LeaveOneGroupOut(), params={"groups": speakers}, return_estimator=True
        )
    kept = [path for path, speaker in zip(paths, speakers, strict=True) if speaker != "speaker0"]
    said = [label for label, speaker in zip(labels, speakers, strict=True) if speaker != "speaker0"]
    told = clone(model).fit(kept, said, [speaker for speaker in speakers if speaker != "speaker0"])
    assert found["estimator"][0].exponent_ == told.exponent_
    assert model.fit(kept, said).exponent_ != told.exponent_


def test_the_same_seed_gives_the_same_model(listed):
    models = [
        SpeechClassifier(3, 2, normalise="mean", random_state=4, progress=False).fit(listed["path"], listed["label"])
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*(m.trained_.words.mean for m in models))
    assert models[0].exponent_ == models[1].exponent_


def test_a_state_is_a_fit_that_answers_read(trained):
    fit = trained.posterior("six", state=1)
    frames = np.zeros((2, 26))
    expected = trained.trained_.words.log_density(frames)[:, list(trained.classes_).index("six"), 1]
    np.testing.assert_allclose(bg.density(fit, frames)["log_density"], expected)
    with pytest.raises(bg.errors.DataError, match="'seven' is not one of"):
        trained.posterior("seven")


# Transcripts


def test_words_are_found_in_their_order_and_place(trained):
    voice, rng = sy.Voice("woman"), np.random.default_rng(0)
    said = ["two", "nine", "six"]
    parts, starts, time = [], [], 0.0
    for i, word in enumerate(said):
        samples, _ = sy.speak(sy.WORDS[word], voice, seed=i)
        starts.append(time)
        parts += [samples, 0.003 * rng.normal(size=1600)]
        time += len(samples) / 8000 + 0.2
    answer = trained.transcribe(audio.Recording(np.concatenate(parts), 8000))
    assert answer["label"].tolist() == said
    np.testing.assert_allclose(answer["start"], starts, atol=0.08)
    assert ((answer["probability"] > 0.5) & (answer["probability"] <= 1)).all()


def test_parts_of_files_teach_sounds_and_what_follows_what(tmp_path):
    items, labels = [], []
    for i in range(6):
        samples, segments = sy.speak(["S", "IY", "S", "AA"] * 2, sy.Voice(sy.TALKERS[i % 3]), seed=i)
        path = as_file(tmp_path / f"{i}.wav", samples)
        items += [(path, row.start, row.stop) for row in segments.itertuples()]
        labels += segments["label"].tolist()
    model = SpeechClassifier(3, random_state=0, progress=False).fit(items, labels)
    after = dict(zip(model.classes_, model.trained_.follows, strict=True))
    assert after["IY"][2] > 0.9  # IY is followed by S
    np.testing.assert_allclose(model.trained_.follows.sum(axis=1), 1)
    samples, segments = sy.speak(["AA", "S", "IY", "S"], sy.Voice("man"), seed=50)
    answer = model.transcribe(audio.Recording(samples, 8000))
    assert answer["label"].tolist() == segments["label"].tolist()
    np.testing.assert_allclose(answer["end"], segments["stop"], atol=0.06)


def sentence_of(words, gap, noise):
    """Words of a woman with pauses between them, in a room with noise, and when they begin."""
    voice, rng = sy.Voice("woman"), np.random.default_rng(0)
    parts, starts, time = [], [], 0.0
    for i, word in enumerate(words):
        samples, _ = sy.speak(sy.WORDS[word], voice, noise=0, seed=i)
        starts.append(time)
        parts += [samples, np.zeros(round(gap * 8000))]
        time += len(samples) / 8000 + gap
    samples = np.concatenate(parts)
    return audio.Recording(samples + noise * rng.normal(size=len(samples)), 8000), starts


def test_long_pauses_in_a_noisy_room_are_no_words(trained):
    said = ["two", "nine", "six", "two", "one"]
    for noise in (0.0005, 0.02):
        recording, starts = sentence_of(said, 1.0, noise)
        answer = trained.transcribe(recording)
        assert answer["label"].tolist() == said
        np.testing.assert_allclose(answer["start"], starts, atol=0.1)


def test_a_recording_says_what_its_own_silence_sounds_like():
    network = tiny_network(0.5)
    known = network.silence
    values = np.append(np.full(6, -9.0), np.linspace(3, 5, 50))[:, None]
    at = np.array([[-9.0], [0.0], [4.0]])
    both = np.logaddexp(known.log_density(at), known.log_density(at + 9)) - np.log(2)
    own = networks.silence_in(values, known)
    np.testing.assert_allclose(own.log_density(at), both)
    np.testing.assert_allclose(network.log_weights(values)[:, -1], 0.5 * own.log_density(values)[:, 0, 0])


def test_a_part_of_a_recording_is_transcribed_alone(trained):
    from dataclasses import replace

    recording, starts = sentence_of(["two", "nine", "six", "one"], 0.2, 0.003)
    answer = trained.transcribe(replace(recording, start=starts[1] - 0.05, stop=starts[3] - 0.05))
    assert answer["label"].tolist() == ["nine", "six"]
    np.testing.assert_allclose(answer["start"], starts[1:3], atol=0.1)
    assert (answer["end"] <= starts[3]).all()


def test_what_follows_what_is_counted_within_one_sound_by_weight():
    from bayesgmm.apps.corpora import corpus_of, follows

    one, other = (np.random.default_rng(i).normal(size=8000) for i in (0, 1))
    parts = [audio.Recording(one, 8000, start=0, stop=0.5), audio.Recording(one, 8000, start=0.5, stop=1)]
    parts += [audio.Recording(other, 8000, start=0.5, stop=1)]  # another sound of the same name
    corpus = corpus_of(parts, ["a", "b", "a"], None, [3.0, 3, 1], None)
    expected = [[0.5 / 4, 3.5 / 4], [0.5, 0.5]]
    np.testing.assert_allclose(follows(corpus, np.array([0, 1, 0]), np.array([0.5, 0.5])), expected)


def test_a_part_that_is_not_in_its_file_is_refused(listed):
    with pytest.raises(audio.BrokenRecording, match="is not in its"):
        audio.recording_of((listed["path"][0], 50, 60))


# Files


def test_a_model_is_the_same_when_it_is_read_back(trained, listed, tmp_path):
    again = SpeechClassifier.load(trained.save(tmp_path / "speaker.model"))
    np.testing.assert_array_equal(again.predict_log_proba(listed["path"]), trained.predict_log_proba(listed["path"]))
    assert again.predict(listed["path"][:1]).dtype == trained.predict(listed["path"][:1]).dtype
    assert again.get_params()["n_states"] == 5
    assert again.transcribe(listed["path"][0]).equals(trained.transcribe(listed["path"][0]))
    assert [p.name for p in tmp_path.iterdir()] == ["speaker.model"]


def test_numpy_numbers_are_parameters_too(listed, tmp_path):
    model = SpeechClassifier(np.int64(2), 1.0, settings={"n_init": np.int64(3)}, normalise="mean", progress=False)
    model.fit(listed["path"], listed["label"])
    again = SpeechClassifier.load(model.save(tmp_path / "m"))
    assert again.get_params()["n_states"] == 2
    assert again.get_params()["settings"] == {"n_init": 3}


@pytest.mark.parametrize("dtype", [int, object])
def test_whole_numbers_stay_labels(listed, tmp_path, dtype):
    numbers = listed["label"].map(FEW.index).astype(dtype)
    model = SpeechClassifier(2, normalise="mean", progress=False).fit(listed["path"], numbers)
    again = SpeechClassifier.load(model.save(tmp_path / "m"))
    assert again.classes_.tolist() == [0, 1, 2, 3]
    assert again.classes_.dtype == model.classes_.dtype


def test_what_is_no_model_says_what_it_is(trained, iris, tmp_path):
    one = bg.fit(bg.MixtureModel(2), iris.drop(columns="species"), "em", seed=0, progress=False)
    bg.save(one, tmp_path / "fit.nc")
    with pytest.raises(bg.errors.FitFileError, match="a fit of one mixture"):
        SpeechClassifier.load(tmp_path / "fit.nc")
    path = trained.save(tmp_path / "good.nc")
    with pytest.raises(bg.errors.FitFileError, match="is not a fit"):
        bg.load(path)
    for cut in (0, 100, path.stat().st_size // 2):
        (tmp_path / "cut").write_bytes(path.read_bytes()[:cut])
        with pytest.raises(bg.errors.FitFileError, match="damaged"):
            SpeechClassifier.load(tmp_path / "cut")
    with pytest.raises(bg.errors.FitFileError, match="no file"):
        SpeechClassifier.load(tmp_path / "absent")
    with pytest.raises(bg.errors.FitFileError, match="no folder"):
        trained.save(tmp_path / "absent" / "m")


def test_a_later_version_and_a_lost_variable_are_refused(trained, tmp_path):
    tree = speech_files.to_tree(trained.trained_)
    told = json.loads(tree.attrs["bayesgmm"])
    tree.attrs["bayesgmm"] = json.dumps(told | {"schema": 99})
    tree.to_netcdf(tmp_path / "later", engine="h5netcdf")
    with pytest.raises(bg.errors.FitFileError, match="upgrade"):
        SpeechClassifier.load(tmp_path / "later")
    tree.attrs["bayesgmm"] = json.dumps(told)
    tree["posterior"] = tree["posterior"].to_dataset().drop_vars("stay")
    tree.to_netcdf(tmp_path / "lost", engine="h5netcdf")
    with pytest.raises(bg.errors.FitFileError, match="damaged speech model"):
        SpeechClassifier.load(tmp_path / "lost")


@pytest.mark.parametrize(
    "told",
    [
        {"schema": "2"},
        {"info": None},
        {"exponent": float("nan")},
        {"exponent": None},
        {"hearing": {"rate": 8000, "n_cepstra": 5}},
        {"hearing": {"rate": 8000, "ears": 2}},
    ],
)
def test_a_model_that_says_what_can_not_be_is_damaged(trained, tmp_path, told):
    tree = speech_files.to_tree(trained.trained_)
    tree.attrs["bayesgmm"] = json.dumps(json.loads(tree.attrs["bayesgmm"]) | told)
    tree.to_netcdf(tmp_path / "odd", engine="h5netcdf")
    with pytest.raises(bg.errors.FitFileError, match="damaged speech model"):
        SpeechClassifier.load(tmp_path / "odd")


def test_a_model_with_values_that_are_no_numbers_is_damaged(trained, tmp_path):
    tree = speech_files.to_tree(trained.trained_)
    tree["posterior"] = tree["posterior"].to_dataset().map(lambda values: values.where(values.name != "mean"))
    tree.to_netcdf(tmp_path / "odd", engine="h5netcdf")
    with pytest.raises(bg.errors.FitFileError, match="mean holds values that are not numbers"):
        SpeechClassifier.load(tmp_path / "odd")


def test_a_model_that_knows_parameters_that_we_lack_is_read(trained, listed, tmp_path):
    tree = speech_files.to_tree(trained.trained_)
    told = json.loads(tree.attrs["bayesgmm"])
    told["info"]["parameters"]["of_later"] = 1
    tree.attrs["bayesgmm"] = json.dumps(told)
    tree.to_netcdf(tmp_path / "later", engine="h5netcdf")
    assert SpeechClassifier.load(tmp_path / "later").predict(listed["path"][:1]) == ["one"]


# Formants


def a_table(n_speakers=9):
    """Two vowels of speakers whose formants differ more than the vowels do."""
    import pandas as pd

    rng = np.random.default_rng(0)
    rows = [
        (s, vowel, *(np.array(formants) * (1 + 0.08 * s) * np.exp(rng.normal(0, 0.02, 2))))
        for s in range(n_speakers)
        for vowel, formants in {"a": (700, 1100), "e": (500, 1800)}.items()
        for _ in range(4)
    ]
    return pd.DataFrame(rows, columns=["speaker", "vowel", "f1", "f2"])


def test_speakers_of_a_table_are_held_out_and_are_no_formant():
    frame = a_table()
    tokens = formants.tokens_of(frame, "vowel")
    assert tokens.columns == ("f1", "f2")
    np.testing.assert_allclose(tokens.values, np.log(frame[["f1", "f2"]]))
    assert formants.tokens_of(frame, "vowel", ["speaker", "f1"]).columns == ("speaker", "f1")
    held = formants.rehearse_table(tokens, random_state=0)
    assert held.index.tolist() == list(range(len(frame)))
    one_each = tokens_with(tokens, labels=np.array([f"{s}" for s in frame["speaker"]]))
    assert not len(formants.rehearse_table(one_each, random_state=0))  # nobody else says it
    assert (held["label"] == held["answer"]).mean() > 0.9
    kept = tokens_with(tokens, values=tokens.values[8:], labels=tokens.labels[8:], groups=tokens.groups[8:])
    few = tokens_with(tokens, groups=np.where(frame["speaker"] == 0, "new", "old"))
    _, classifier = formants.train_table(kept, random_state=0)
    expected = classifier.predict_proba(tokens.values[:8]).max(axis=1)
    np.testing.assert_allclose(formants.rehearse_table(few, random_state=0)["probability"][:8], expected)


def tokens_with(tokens, **changes):
    from dataclasses import replace

    return replace(tokens, **changes)


def test_a_table_that_can_not_be_used_says_so():
    frame = a_table(2)
    for column in ("vowel", "speaker"):
        with pytest.raises(bg.errors.DataError, match=f"rows without '{column}'"):
            formants.tokens_of(frame.assign(**{column: frame[column].where(frame.index > 0)}), "vowel")
    with pytest.raises(bg.errors.DataError, match="all rows are labelled 'a'"):
        formants.train_table(formants.tokens_of(frame[frame["vowel"] == "a"], "vowel"))


def test_a_table_of_formants_is_told_as_the_classifier_tells_it(tmp_path):
    import pandas as pd

    rng = np.random.default_rng(0)
    rows = [
        (name, *(np.array(means[1:]) * np.exp(rng.normal(0, 0.08, 3))))
        for name, talkers in sy.VOWELS.items()
        for means in talkers
        for _ in range(24 if name == "IY" else 6)
    ]
    frame = pd.DataFrame(rows, columns=["vowel", "f1", "f2", "f3"])
    model, classifier = formants.train_table(formants.tokens_of(frame, "vowel"), n_components=2, random_state=0)
    again = speech_files.load(speech_files.save(model, tmp_path / "vowels.model"))
    expected = classifier.predict_proba(np.log(frame[["f1", "f2", "f3"]].to_numpy()))
    np.testing.assert_allclose(formants.recognise_table(again, frame), expected, atol=1e-9)
    assert (expected.argmax(axis=1) == np.searchsorted(model.labels, frame["vowel"])).mean() > 0.7
    with pytest.raises(bg.errors.DataError, match="lacks 'f3'"):
        formants.recognise_table(again, frame[["f1", "f2"]])
    with pytest.raises(bg.errors.DataError, match="did you mean 'vowel'"):
        formants.tokens_of(frame, "vowels")
    with pytest.raises(bg.errors.DataError, match="of a table"):
        SpeechClassifier.load(tmp_path / "vowels.model")


# The synthesiser


@pytest.mark.parametrize("vowel", ["IY", "AA", "UW"])
def test_vowels_have_the_formants_that_they_are_given(vowel):
    """Peaks of a linear prediction of the sound lie at the first two formants: within 15 %."""
    from scipy.linalg import solve_toeplitz

    samples, _ = sy.speak([vowel] * 3, sy.Voice("man"), noise=1e-4, seed=1)
    sharp = np.append(samples[0], samples[1:] - 0.9 * samples[:-1]) * np.hamming(len(samples))
    r = np.correlate(sharp, sharp, "full")[len(sharp) - 1 : len(sharp) + 10]
    poles = np.roots(np.append(1.0, -solve_toeplitz(r[:-1], r[1:])))
    narrow = poles[(poles.imag > 0) & (np.abs(poles) > 0.85)]
    peaks = np.angle(narrow) * 8000 / (2 * np.pi)
    for formant in sy.Voice("man").formants(vowel)[1:3]:
        assert np.abs(peaks / formant - 1).min() < 0.15


def test_the_same_seed_says_the_same():
    np.testing.assert_array_equal(sy.speak(["S", "AA"], seed=1)[0], sy.speak(["S", "AA"], seed=1)[0])
    samples, segments = sy.speak(["S", "T"], seed=1)
    assert np.abs(samples).max() <= 1
    assert segments["stop"].iloc[-1] == pytest.approx(len(samples) / 8000, abs=0.01)
    with pytest.raises(bg.errors.UnknownName, match="sound='AAA'"):
        sy.speak(["AAA"])


@pytest.mark.parametrize("rate", [11025, 22050])
def test_synthesised_sounds_last_as_long_as_they_are_said_to(rate):
    samples, segments = sy.speak(["AA", "IY"] * 60, rate=rate)
    assert len(samples) / rate == pytest.approx(segments["stop"].iloc[-1], abs=0.006)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: sy.speak([]), "at least one"),
        (lambda: sy.speak(["S"], rate=0), "rate=0"),
        (lambda: sy.Voice("boy"), "talker='boy'"),
        (lambda: sy.make_recordings("nowhere", ["onne"]), "did you mean 'one'"),
        (lambda: sy.make_recordings("nowhere", speakers=0), "speakers=0"),
    ],
)
def test_what_can_not_be_said_says_so(wrong, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(bg.errors.DeclarationError, match=said):
        wrong()
    assert not list(tmp_path.iterdir())


def test_hisses_are_made_at_low_rates_too():
    for sound in (*sy.NOISES, *sy.STOPS):
        assert np.isfinite(sy.speak([sound], rate=4000)[0]).all()


# The terminal


def run(capsys, monkeypatch, *words):
    from bayesgmm.cli import main

    monkeypatch.setattr("sys.argv", ["bayesgmm", *map(str, words)])
    code = 0
    try:
        main()
    except SystemExit as stopped:
        code = stopped.code or 0
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_train_and_recognise_at_the_terminal(listed, tmp_path, capsys, monkeypatch):
    import pandas as pd

    folder = listed["path"][0].rpartition("/")[0]
    model = tmp_path / "speaker.model"
    code, out, _ = run(capsys, monkeypatch, "speech", "train", folder, "-o", model, "--states", 5)
    assert code == 0
    assert "48 recordings, 4 labels, 3 speakers" in out
    assert "speakers held out" in out
    code, out, _ = run(capsys, monkeypatch, "speech", "recognise", model, listed["path"][0])
    assert code == 0
    assert "one" in out
    answers = tmp_path / "answers.csv"
    assert run(capsys, monkeypatch, "speech", "recognise", model, *listed["path"][:6], "-o", answers)[0] == 0
    frame = pd.read_csv(answers)
    assert (frame["label"] == listed["label"][:6]).all()
    np.testing.assert_allclose(frame.filter(like="probability_").sum(axis=1), 1)
    code, out, _ = run(
        capsys, monkeypatch, "speech", "recognise", model, listed["path"][0], "--sequence", "-o", answers
    )
    assert code == 0
    assert pd.read_csv(answers).columns.tolist() == ["recording", "start", "end", "label", "probability"]
    code, _, err = run(capsys, monkeypatch, "speech", "recognise", tmp_path / "none.model", listed["path"][0])
    assert code == 1
    assert "there is no file" in err


def test_lists_of_recordings_at_the_terminal(listed, tmp_path, capsys, monkeypatch):
    relative = listed.assign(path=[p.rpartition("/")[2] for p in listed["path"]])
    folder = listed["path"][0].rpartition("/")[0]
    table = f"{folder}/list.csv"
    relative.to_csv(table, index=False)
    code, out, _ = run(
        capsys, monkeypatch, "speech", "train", table, "-o", tmp_path / "m", "--states", 3, "--normalise", "mean"
    )
    assert code == 0
    assert "3 speakers" in out
    for wrong, said in [
        (relative.assign(start=0.0), "start and stop"),
        (relative.assign(start="now", stop=1.0), "start and stop"),
        (relative.drop(columns="label"), "no column label"),
    ]:
        wrong.to_csv(table, index=False)
        code, _, err = run(capsys, monkeypatch, "speech", "train", table, "-o", tmp_path / "m")
        assert code == 1
        assert said in err
    (tmp_path / "none").mkdir()
    (tmp_path / "deep" / "one" / "ann").mkdir(parents=True)
    as_file(tmp_path / "deep" / "one" / "ann" / "take.wav", np.sin(np.arange(800.0)))
    code, _, err = run(capsys, monkeypatch, "speech", "train", tmp_path / "deep", "-o", tmp_path / "m")
    assert code == 1
    assert "folders in folders" in err
    code, _, err = run(capsys, monkeypatch, "speech", "train", folder, "-o", tmp_path / "m", "--columns", "f1")
    assert code == 1
    assert "tables of formants" in err
    code, _, err = run(capsys, monkeypatch, "speech", "train", listed["path"][0], "-o", tmp_path / "m")
    assert code == 1
    assert "one recording" in err
    code, _, err = run(capsys, monkeypatch, "speech", "train", tmp_path / "none", "-o", tmp_path / "m")
    assert code == 1
    assert "no recordings" in err


def test_a_table_with_speakers_at_the_terminal(tmp_path, capsys, monkeypatch):
    a_table().to_csv(tmp_path / "f.csv", index=False)
    code, out, _ = run(
        capsys, monkeypatch, "speech", "train", tmp_path / "f.csv", "-o", tmp_path / "m", "--label", "vowel"
    )
    assert code == 0
    assert "72 rows, 2 labels, 9 speakers; by log f1, log f2" in out
    assert "speakers held out: 100.0% right" in out


def test_formants_at_the_terminal(tmp_path, capsys, monkeypatch):
    rows = [f"{label},{f1},{f2}" for label, f1, f2 in itertools.product("ab", (300, 320, 350), (900, 950, 1000))]
    text = "label,f1,f2\n" + "\n".join(row.replace("b,3", "b,7") for row in rows)
    (tmp_path / "f.csv").write_text(text)
    assert run(capsys, monkeypatch, "speech", "train", tmp_path / "f.csv", "-o", tmp_path / "v.model")[0] == 0
    code, _, err = run(
        capsys, monkeypatch, "speech", "train", tmp_path / "f.csv", "-o", tmp_path / "v.model", "--states", 8
    )
    assert code == 1
    assert "--states can't be used here: for recordings" in err
    code, out, _ = run(capsys, monkeypatch, "speech", "recognise", tmp_path / "v.model", tmp_path / "f.csv")
    assert code == 0
    assert out.count(" a ") == 9
