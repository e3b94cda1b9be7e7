"""Speech at the terminal: train a model from recordings, and recognise others."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayesgmm.cli.application import App
from bayesgmm.cli.terminal import check_other, check_table, names_of, refuse, remark, say, show, tell, write, wrote

if TYPE_CHECKING:
    import pandas as pd

    from bayesgmm.apps.speech.speech_files import Trained
    from bayesgmm.sweep.stats import Array

speech = App(help="Words and sounds: train on labelled recordings, recognise others.", no_args_is_help=True)
SHOWN = 40  # rows
OF_RECORDINGS = {"states", "shrinkage", "normalise", "rate", "skip_broken"}  # options


@speech.command()
def train(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder (LABEL/*.wav, or LABEL_SPEAKER_TAKE.wav); a CSV file with columns path and label (and "
            "speaker, start, stop); or a table of formants with a column label.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the model.", show_default=False)],
    states: Annotated[int, typer.Option(help="States of a word; 1 for a lasting sound, 3 for sounds in words.")] = 8,
    components: Annotated[int, typer.Option("-k", "--components", help="Components of each state's mixture.")] = 1,
    covariance: Annotated[str, typer.Option(help="full, tied, diag or spherical.")] = "full",
    shrinkage: Annotated[float, typer.Option(help="Frames that the common covariance counts for.")] = 100.0,
    normalise: Annotated[str, typer.Option(help="mean, none, or auto: by recordings that are held out.")] = "auto",
    rate: Annotated[
        int | None, typer.Option(help="Samples a second. (default: the lowest there is, at most 16000)")
    ] = None,
    method: Annotated[str, typer.Option(help="em, or any method of 'bayesgmm fit'.")] = "em",
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Train without files that can't be used.")] = False,
    label: Annotated[str, typer.Option(help="Column of the labels, in a table of formants.")] = "label",
    columns: Annotated[str | None, typer.Option(help="Formants to use. (default: all numeric columns)")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 0,
) -> None:
    """Train a model, and say how well it tells what it has not heard.

    A table of formants may have a column speaker, too: it is held out by, and is no formant.
    """
    from bayesgmm.apps.speech.classifier import SpeechClassifier
    from bayesgmm.apps.speech.listings import Listing, listed
    from bayesgmm.files import writable

    writable(output)
    check_other(output, source)
    found = listed(source)
    if not isinstance(found, Listing):
        refuse(OF_RECORDINGS, f"can't be used here: for recordings, and {source} is a table of formants")
        options = {"n_components": components, "covariance_type": covariance, "method": method, "random_state": seed}
        _train_table(found, label, names_of(columns) if columns else None, output, options)
        return
    refuse({"columns", "label"}, f"can't be used here: for tables of formants, and {source} lists recordings")
    classifier = SpeechClassifier(
        states,
        components,
        covariance_type=covariance,
        shrinkage=shrinkage,
        normalise=normalise,
        sample_rate=rate,
        method=method,
        skip_broken=skip_broken,
        random_state=seed,
    )
    classifier.fit(found.recordings, found.labels, found.speakers)
    n_speakers = len(set(found.speakers or []))
    by = f", {n_speakers} speakers" if n_speakers else ""
    say(f"{classifier.trained_.info['recordings']} recordings, {len(classifier.classes_)} labels{by}")
    tell(exponent=classifier.exponent_)
    _show_held_out(classifier.held_out_, classifier.reliability_, "recordings", n_speakers)
    if len(classifier.held_out_):
        say(f"a frame counts {classifier.exponent_:.3g} of an independent one")
    classifier.save(output)
    wrote(output)


def _train_table(
    frame: "pd.DataFrame", label: str, columns: list[str] | None, output: Path, options: dict[str, Any]
) -> None:
    from bayesgmm.apps.speech import speech_files
    from bayesgmm.apps.speech.calibration import reliability
    from bayesgmm.apps.speech.formants import SPEAKER, rehearse_table, tokens_of, train_table

    tokens = tokens_of(frame, label, columns)
    trained, _ = train_table(tokens, **options)
    n_speakers = len(set(tokens.groups)) if SPEAKER in frame else 0
    by = f", {n_speakers} speakers" if n_speakers else ""
    what = ", ".join(f"log {name}" if tokens.log else name for name in tokens.columns)
    say(f"{len(frame)} rows, {len(trained.labels)} labels{by}; by {what}")
    held = rehearse_table(tokens, **options)
    right = (held["label"] == held["answer"]).to_numpy()
    _show_held_out(held, reliability(held["probability"].to_numpy(), right), "rows", n_speakers)
    speech_files.save(trained, output)
    wrote(output)


def _show_held_out(held: "pd.DataFrame", reliability: "pd.DataFrame", what: str, n_speakers: int) -> None:
    """How often answers were right that a model gave to what it had not heard, and how sure it was."""
    tell(accuracy=float((held["label"] == held["answer"]).mean()) if len(held) else None)
    if not len(held):
        return
    table = reliability.copy()
    for name in ("probability", "right", "error"):
        table[name] = table[name].map("{:.2f}".format)
    values = reliability.set_index("answers")
    show(table.astype(str).set_index("answers"), f"{what.capitalize()} held out", name="reliability", values=values)
    who = "speakers" if n_speakers > 1 else what
    say(f"{who} held out: {(held['label'] == held['answer']).mean():.1%} right")


@speech.command()
def recognise(
    model: Annotated[Path, typer.Argument(help="What 'speech train' wrote.", show_default=False)],
    recordings: Annotated[
        list[Path], typer.Argument(help="Recordings; for a model of formants, one table.", show_default=False)
    ],
    sequence: Annotated[bool, typer.Option("--sequence", help="All that is said, with times.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to write (.csv or .parquet).")] = None,
) -> None:
    """Say what is in recordings: a label with its probability, or a sequence with times."""
    from bayesgmm.apps.speech import speech_files

    if output is not None:
        check_table(output, model, *recordings)
    trained = speech_files.load(model)
    frame = _answers(trained, recordings, sequence)
    if output is not None:
        write(frame, output, "answers")
        return
    shown = frame[[name for name in frame.columns if not name.startswith("probability_")]].head(SHOWN).copy()
    for name, places in {"start": 2, "end": 2, "probability": 3}.items():
        if name in shown:
            shown[name] = shown[name].map(f"{{:.{places}f}}".format)
    show(shown.astype(str), "What was said", name="answers", values=frame)
    if len(frame) > SHOWN:
        remark(f"and {len(frame) - SHOWN} more: -o writes all of them")


def _answers(trained: "Trained", recordings: list[Path], sequence: bool) -> "pd.DataFrame":
    """A row a recording, a row of the table, or a word of a sequence; the index is the recording or the row."""
    import pandas as pd

    from bayesgmm.apps.speech.classifier import SpeechClassifier
    from bayesgmm.apps.speech.formants import recognise_table
    from bayesgmm.data.tables import read_frame
    from bayesgmm.errors import DataError

    if trained.hearing is None:
        if sequence or len(recordings) != 1:
            raise DataError("this model is of a table of formants; give one table, and no --sequence")
        frame = read_frame(recordings[0])
        return _as_frame(trained, recognise_table(trained, frame), pd.Index(frame.index, name="row"))
    classifier = SpeechClassifier.of(trained)
    names = pd.Index([str(path) for path in recordings], name="recording")
    if not sequence:
        return _as_frame(trained, classifier.predict_proba(recordings), names)
    parts = [classifier.transcribe(path).assign(recording=str(path)) for path in recordings]
    return pd.concat(parts).set_index("recording")


def _as_frame(trained: "Trained", probability: "Array", index: "pd.Index") -> "pd.DataFrame":
    import pandas as pd

    best = probability.argmax(axis=1)
    frame = pd.DataFrame({"label": trained.labels[best], "probability": probability.max(axis=1)}, index=index)
    for c, label in enumerate(trained.labels):
        frame[f"probability_{label}"] = probability[:, c]
    return frame
