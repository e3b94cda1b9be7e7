"""The speech commands."""

import itertools

import numpy as np
import pytest

from tests.speaking import a_table, as_file

pytest.importorskip("soundfile")
pytest.importorskip("librosa")


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


def test_the_train_and_recognise_commands(listed, tmp_path, capsys, monkeypatch):
    import pandas as pd

    folder = listed["path"][0].rpartition("/")[0]
    model = tmp_path / "speaker.model"
    code, out, _ = run(capsys, monkeypatch, "speech", "train", folder, "-o", model, "--states", 5)
    assert code == 0
    assert "48 recordings, 4 labels, 3 speakers" in out
    assert "held-out speakers" in out
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


def test_the_train_command_reads_lists_and_folders(listed, tmp_path, capsys, monkeypatch):
    relative = listed.assign(path=[p.rpartition("/")[2] for p in listed["path"]])
    folder = listed["path"][0].rpartition("/")[0]
    table = f"{folder}/list.csv"
    relative.to_csv(table, index=False)
    code, out, _ = run(
        capsys, monkeypatch, "speech", "train", table, "-o", tmp_path / "m", "--states", 3, "--normalise", "mean"
    )
    assert code == 0
    assert "3 speakers" in out
    for wrong, message in [
        (relative.assign(start=0.0), "start and stop"),
        (relative.assign(start="now", stop=1.0), "start and stop"),
        (relative.drop(columns="label"), "no column label"),
    ]:
        wrong.to_csv(table, index=False)
        code, _, err = run(capsys, monkeypatch, "speech", "train", table, "-o", tmp_path / "m")
        assert code == 1
        assert message in err
    (tmp_path / "none").mkdir()
    (tmp_path / "deep" / "one" / "ann").mkdir(parents=True)
    as_file(tmp_path / "deep" / "one" / "ann" / "take.wav", np.sin(np.arange(800.0)))
    code, _, err = run(capsys, monkeypatch, "speech", "train", tmp_path / "deep", "-o", tmp_path / "m")
    assert code == 1
    assert "nested folders" in err
    code, _, err = run(capsys, monkeypatch, "speech", "train", folder, "-o", tmp_path / "m", "--columns", "f1")
    assert code == 1
    assert "tables of formants" in err
    code, _, err = run(capsys, monkeypatch, "speech", "train", listed["path"][0], "-o", tmp_path / "m")
    assert code == 1
    assert "one recording" in err
    code, _, err = run(capsys, monkeypatch, "speech", "train", tmp_path / "none", "-o", tmp_path / "m")
    assert code == 1
    assert "no recordings" in err


def test_the_train_command_holds_out_speakers_of_a_table(tmp_path, capsys, monkeypatch):
    a_table().to_csv(tmp_path / "f.csv", index=False)
    code, out, _ = run(
        capsys, monkeypatch, "speech", "train", tmp_path / "f.csv", "-o", tmp_path / "m", "--label", "vowel"
    )
    assert code == 0
    assert "72 rows, 2 labels, 9 speakers; features: log f1, log f2" in out
    assert "held-out speakers: 100.0% correct" in out


def test_the_speech_commands_take_tables_of_formants(tmp_path, capsys, monkeypatch):
    rows = [f"{label},{f1},{f2}" for label, f1, f2 in itertools.product("ab", (300, 320, 350), (900, 950, 1000))]
    text = "label,f1,f2\n" + "\n".join(row.replace("b,3", "b,7") for row in rows)
    (tmp_path / "f.csv").write_text(text)
    assert run(capsys, monkeypatch, "speech", "train", tmp_path / "f.csv", "-o", tmp_path / "v.model")[0] == 0
    code, _, err = run(
        capsys, monkeypatch, "speech", "train", tmp_path / "f.csv", "-o", tmp_path / "v.model", "--states", 8
    )
    assert code == 1
    assert "--states can't be used here: only for recordings" in err
    code, out, _ = run(capsys, monkeypatch, "speech", "recognise", tmp_path / "v.model", tmp_path / "f.csv")
    assert code == 0
    assert out.count(" a ") == 9


def test_the_recognise_command_skips_broken_files_and_rejects_noise(trained, listed, tmp_path, capsys, monkeypatch):
    import json

    import pandas as pd

    model = trained.save(tmp_path / "m")
    noise = as_file(tmp_path / "noise.wav", 0.1 * np.random.default_rng(0).normal(size=4000))
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    given = ["speech", "recognise", model, listed["path"][0], bad, noise]
    code, _, err = run(capsys, monkeypatch, *given)
    assert code == 1
    assert "bad.wav: can't be read as audio" in err
    assert "or skip them: --skip-broken." in err
    answers = tmp_path / "answers.csv"
    code, _, err = run(capsys, monkeypatch, *given, "--skip-broken", "--reject", "0.1", "-o", answers)
    assert code == 3
    assert "1 recording of 3 skipped" in err
    assert "bad.wav: can't be read as audio" in err
    frame = pd.read_csv(answers)
    assert frame["recording"].tolist() == [listed["path"][0], noise]
    assert frame["label"].tolist() == ["one", "none"]
    code, out, _ = run(capsys, monkeypatch, *given, "--skip-broken", "--json")
    assert code == 3
    (skipped,) = json.loads(out)["skipped"]
    assert skipped.startswith(str(bad))
    code, out, _ = run(capsys, monkeypatch, *given, "--skip-broken", "--sequence")
    assert code == 3
    assert "one" in out
    code, _, err = run(capsys, monkeypatch, *given, "--sequence", "--reject", "0.1")
    assert code == 1
    assert "--reject can't be used with --sequence" in err


def test_the_train_command_reports_misread_labels(listed, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "takes"
    folder.mkdir()
    for i, (path, label) in enumerate(zip(listed["path"], listed["label"], strict=True)):
        (folder / f"{i % 4:02d}_{label}_{i // 4}.wav").symlink_to(path)
    given = ["speech", "train", folder, "-o", tmp_path / "m", "--states", 2, "--normalise", "mean"]
    code, _, err = run(capsys, monkeypatch, *given)
    assert code == 0
    assert "not better than" in err
    assert "4 labels: '00', '01', '02', '03'" in err
    assert "--names '{take}_{label}'" in err
    (folder / "04_one_1.wav").write_text("no sound")
    code, out, err = run(capsys, monkeypatch, *given, "--names", "{take}_{label}_{more}", "--skip-broken")
    assert code == 3
    assert "not better than" not in err
    assert "48 recordings, 4 labels" in out
    assert "Held-out recordings that are rejected" in out
    (folder / "04_one.wav").touch()
    code, _, err = run(capsys, monkeypatch, *given, "--names", "{take}_{label}_{more}")
    assert code == 1
    assert "'04_one.wav' do not have the layout --names '{take}_{label}_{more}'" in err
