"""Commands for speech: train a model on recordings, and recognise others."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayesgmm.cli.application import App
from bayesgmm.cli.completion import FAMILIES, METHODS, either, one_of
from bayesgmm.cli.data import check_table, write
from bayesgmm.cli.options import COUNT
from bayesgmm.cli.printed_tables import show
from bayesgmm.cli.terminal import check_other, names_of, record, refuse, remark, say, wrote

if TYPE_CHECKING:
    import pandas as pd

    from bayesgmm.apps.speech.speech_files import SpeechModel
    from bayesgmm.sweep.stats import Array

speech = App(help="Speech recognition: train on labelled recordings, recognise others.", no_args_is_help=True)
SHOWN = 40  # rows to print
RECORDING_OPTIONS = {"states", "shrinkage", "normalise", "rate", "skip_broken"}
SKIPPED = 3  # exit code: inputs were skipped


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
    output: Annotated[Path, typer.Option("-o", "--output", help="Output file for the model.", show_default=False)],
    names: Annotated[
        str | None,
        typer.Option(
            help="Layout of the names in a folder, without extension: {label}, perhaps {speaker}, other fields; for "
            "example '{take}_{label}' or '{speaker}/{label}_{take}'. (default: as above)"
        ),
    ] = None,
    states: Annotated[
        int, typer.Option(help="Number of states of each word; 1 for a sustained sound, 3 for sounds in words.")
    ] = 8,
    components: Annotated[
        int, typer.Option("-k", "--components", **COUNT, help="Components of each state's mixture.")
    ] = 1,
    covariance: Annotated[str, typer.Option(help=f"Covariance: {either(FAMILIES)}.")] = "full",
    shrinkage: Annotated[
        float,
        typer.Option(help="Shrinkage of each covariance to the common one, in frames: larger values shrink more."),
    ] = 100.0,
    normalise: Annotated[
        str,
        typer.Option(help="Subtract the mean of each recording: mean, none, or auto (chosen on held-out recordings)."),
    ] = "auto",
    rate: Annotated[
        int | None, typer.Option(help="Sampling rate in Hz. (default: the lowest of all recordings, at most 16000)")
    ] = None,
    method: Annotated[str, typer.Option(help=f"Inference: {either(METHODS)}.", autocompletion=one_of(*METHODS))] = "em",
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Skip files that can't be used; the exit code is then 3.")
    ] = False,
    label: Annotated[str, typer.Option(help="Column of labels in a table of formants.")] = "label",
    columns: Annotated[str | None, typer.Option(help="Formants to use. (default: all numeric columns)")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 0,
) -> None:
    """Train a model, and report its accuracy on held-out recordings.

    In a table of formants, a column speaker defines the rows that are held out together.
    """
    from bayesgmm.apps.speech.classifier import SpeechClassifier
    from bayesgmm.apps.speech.recording_lists import RecordingList, read_recordings
    from bayesgmm.files import writable

    writable(output)
    check_other(output, source)
    training = read_recordings(source, names)
    if not isinstance(training, RecordingList):
        refuse(RECORDING_OPTIONS, f"can't be used here: only for recordings, and {source} is a table of formants")
        options = {"n_components": components, "covariance_type": covariance, "method": method, "random_state": seed}
        _train_table(training, label, names_of(columns) if columns else None, output, options)
        return
    refuse({"columns", "label"}, f"can't be used here: only for tables of formants, and {source} lists recordings")
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
    classifier.fit(training.recordings, training.labels, training.speakers)
    n_speakers = len(set(training.speakers or []))
    by = f", {n_speakers} speakers" if n_speakers else ""
    say(f"{classifier.trained_.info['recordings']} recordings, {len(classifier.classes_)} labels{by}")
    record(exponent=classifier.exponent_)
    _show_held_out(classifier.held_out_, classifier.reliability_, "recordings", n_speakers)
    if len(classifier.held_out_):
        say(f"exponent of the likelihood: {classifier.exponent_:.3g} (1 if frames were independent)")
        _show_rejection(classifier.rejection_)
    classifier.save(output)
    wrote(output)
    _end(classifier.skipped_)


def _show_rejection(rates: "pd.DataFrame") -> None:
    """Show how often held-out recordings are rejected, by the share that is asked for."""
    if not len(rates):
        return
    import pandas as pd

    shares = {
        "known": (rates["rejected"], rates["error"]),
        "unknown": (rates["unknown_rejected"], rates["unknown_error"]),
    }
    columns = {
        name: [f"{share:.1%} ± {error:.1%}" for share, error in zip(*both, strict=True)]
        for name, both in shares.items()
    }
    asked = pd.Index([f"{share:g}" for share in rates["asked"]], name="--reject")
    show(pd.DataFrame(columns, index=asked), "Held-out recordings that are rejected", name="rejection", values=rates)
    say("known: of these labels; unknown: of a label that was left out (speech recognise --reject)")


def _end(skipped: list[str]) -> None:
    """Exit with a code of its own if inputs were skipped; the JSON document lists them."""
    if skipped:
        record(skipped=skipped)
        raise typer.Exit(SKIPPED)


def _train_table(
    frame: "pd.DataFrame", label: str, columns: list[str] | None, output: Path, options: dict[str, Any]
) -> None:
    from bayesgmm.apps.speech import speech_files
    from bayesgmm.apps.speech.calibration import reliability
    from bayesgmm.apps.speech.formants import SPEAKER, evaluate_table, read_tokens, train_table
    from bayesgmm.apps.speech.label_checks import warn_of_guessing, warn_of_own_labels

    tokens = read_tokens(frame, label, columns)
    advice = f"Is the column of labels right (label={label!r})?"
    warn_of_own_labels(tokens.labels, "row", advice)
    trained, _ = train_table(tokens, **options)
    n_speakers = len(set(tokens.groups)) if SPEAKER in frame else 0
    by = f", {n_speakers} speakers" if n_speakers else ""
    what = ", ".join(f"log {name}" if tokens.log else name for name in tokens.columns)
    say(f"{len(frame)} rows, {len(trained.labels)} labels{by}; features: {what}")
    held = evaluate_table(tokens, **options)
    warn_of_guessing(held["label"], held["answer"], advice)
    right = (held["label"] == held["answer"]).to_numpy()
    _show_held_out(held, reliability(held["probability"].to_numpy(), right), "rows", n_speakers)
    speech_files.save(trained, output)
    wrote(output)


def _show_held_out(held: "pd.DataFrame", reliability: "pd.DataFrame", what: str, n_speakers: int) -> None:
    """Show accuracy and reliability of held-out predictions."""
    record(accuracy=float((held["label"] == held["answer"]).mean()) if len(held) else None)
    if not len(held):
        return
    table = reliability.copy()
    for name in ("probability", "right", "error"):
        table[name] = table[name].map("{:.2f}".format)
    values = reliability.set_index("answers")
    show(table.astype(str).set_index("answers"), f"Held-out {what}", name="reliability", values=values)
    who = "speakers" if n_speakers > 1 else what
    say(f"held-out {who}: {(held['label'] == held['answer']).mean():.1%} correct")


@speech.command()
def recognise(
    model: Annotated[Path, typer.Argument(help="Model from 'speech train'.", show_default=False)],
    recordings: Annotated[
        list[Path], typer.Argument(help="Recordings, or one table for a model of formants.", show_default=False)
    ],
    sequence: Annotated[bool, typer.Option("--sequence", help="Transcribe: a sequence of labels with times.")] = False,
    reject: Annotated[
        float | None,
        typer.Option(
            help="Answer 'none' where a recording fits no label; the share of recordings of known labels that may be "
            "rejected, for example 0.05. (default: never)"
        ),
    ] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Skip files that can't be used; the exit code is then 3.")
    ] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Output file (.csv or .parquet).")] = None,
) -> None:
    """Recognise recordings: a label with its probability, or a sequence with times.

    The column known is a p-value: small if a recording fits no label.
    """
    from bayesgmm.apps.speech import speech_files

    if output is not None:
        check_table(output, model, *recordings)
    if sequence:
        refuse({"reject"}, "can't be used with --sequence")
    trained = speech_files.load(model)
    if trained.feature_settings is None:
        refuse({"reject", "skip_broken"}, "can't be used here: only for recordings, and this is a model of a table")
    frame = _answers(trained, recordings, sequence, reject, skip_broken)
    if output is not None:
        write(frame, output, "answers")
        _end(frame.attrs.get("skipped", []))
        return
    shown = frame[[name for name in frame.columns if not name.startswith("probability_")]].head(SHOWN).copy()
    for name, places in {"start": 2, "end": 2, "probability": 3, "known": 3}.items():
        if name in shown:
            shown[name] = shown[name].map(f"{{:.{places}f}}".format)
    show(shown.astype(str), "Recognised", name="answers", values=frame)
    if len(frame) > SHOWN:
        remark(f"and {len(frame) - SHOWN} more; -o writes all of them")
    _end(frame.attrs.get("skipped", []))


def _answers(
    trained: "SpeechModel", recordings: list[Path], sequence: bool, reject: float | None, skip_broken: bool
) -> "pd.DataFrame":
    """Recognise recordings, rows of a table, or sequences; one row each, indexed by the recording or row.

    Raises
    ------
    DataError
        If a model of formants gets more than one table, or a sequence is requested from it.
    """
    import pandas as pd

    from bayesgmm.apps.speech import audio
    from bayesgmm.apps.speech.classifier import SpeechClassifier
    from bayesgmm.apps.speech.corpora import SKIP
    from bayesgmm.apps.speech.formants import recognise_table
    from bayesgmm.data.tables import read_frame
    from bayesgmm.errors import DataError

    if trained.feature_settings is None:
        if sequence or len(recordings) != 1:
            raise DataError("this is a model of a table of formants; give one table, without --sequence")
        frame = read_frame(recordings[0])
        return _as_frame(trained, recognise_table(trained, frame), pd.Index(frame.index, name="row"))
    classifier = SpeechClassifier.of(trained)
    if not sequence:
        return classifier.recognise(recordings, reject=reject, skip_broken=skip_broken)
    skipped: list[str] = []
    parts = audio.each_recording(recordings, classifier.transcribe, skip_broken, SKIP, skipped)
    found = pd.concat([part.assign(recording=str(recordings[r])) for r, part in parts.items()]).set_index("recording")
    found.attrs["skipped"] = skipped
    return found


def _as_frame(trained: "SpeechModel", probability: "Array", index: "pd.Index") -> "pd.DataFrame":
    import pandas as pd

    best = probability.argmax(axis=1)
    frame = pd.DataFrame({"label": trained.labels[best], "probability": probability.max(axis=1)}, index=index)
    for c, label in enumerate(trained.labels):
        frame[f"probability_{label}"] = probability[:, c]
    return frame
