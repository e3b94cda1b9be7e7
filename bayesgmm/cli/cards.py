"""Commands for model cards: list, explain and run them."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.application import App
from bayesgmm.cli.completion import card_names
from bayesgmm.cli.options import DataAnywhere
from bayesgmm.cli.printed_tables import console, literal, show, show_table
from bayesgmm.cli.terminal import record, remark, say, session, unread, wrote
from bayesgmm.wording import number_in_words, printable

if TYPE_CHECKING:
    from bayesgmm.cards.explanations import Explanation
    from bayesgmm.cards.facts import ExpectedResult

CardArgument = Annotated[
    Path,
    typer.Argument(
        help="A name from 'bayesgmm models', or a TOML file.", show_default=False, autocompletion=card_names
    ),
]

models = App(help="Model cards: complete analyses with data.", invoke_without_command=True)


@models.callback()
def list_models(context: typer.Context) -> None:
    """List the bundled model cards, with a description of each."""
    if context.invoked_subcommand is not None:
        return
    from rich.table import Table

    from bayesgmm.bundled import cards
    from bayesgmm.cards.card import load_card

    table, listed = Table(box=None, padding=(0, 2, 0, 0), show_header=False), []
    table.add_column(no_wrap=True)
    for name, path in cards().items():
        card = load_card(path)
        table.add_row(literal(name), literal(card.about))
        listed.append({"name": name, "title": card.title, "about": card.about, "path": str(path)})
    record(models=listed)
    show_table(table)
    remark("\nbayesgmm models show NAME explains a card; bayesgmm models run NAME -o folder/ fits its data;")
    remark("bayesgmm fit data.csv --model NAME fits your data.")


@models.command("show")
def show_card(
    name: CardArgument,
    toml: Annotated[bool, typer.Option("--toml", help="Print the TOML file, to save and change it.")] = False,
    data_anywhere: DataAnywhere = False,
) -> None:
    """Explain a card: data, model, priors with reasons, expected results, plots and commands."""
    from bayesgmm.cards.card import card_file, load_card

    path = card_file(name)
    record(name=path.stem, path=path, card=load_card(path).plain())
    if toml:
        text = path.read_text(encoding="utf-8").rstrip()
        if not session().json:
            say(text)
        return
    from bayesgmm.cards.explanations import explain_card

    _explain(explain_card(name, data_anywhere=data_anywhere))


def _explain(explanation: "Explanation") -> None:
    """Print Markdown, formatted for a terminal and unformatted for a pipe."""
    if session().json:
        record(
            explanation=[{name: value for name, value in asdict(part).items() if value} for part in explanation.parts]
        )
        return
    screen = console()
    if screen.is_terminal:
        from rich.markdown import Markdown
        from rich.theme import Theme

        screen.push_theme(Theme({"markdown.code": "cyan"}))  # Rich's default has a black background
        with unread():
            screen.print(Markdown(printable(str(explanation)), code_theme="ansi_dark"))
    else:
        say(str(explanation))


@models.command("run")
def run_models(
    name: CardArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="Output folder.", show_default=False)],
    data_anywhere: DataAnywhere = False,
) -> None:
    """Fit a card's own data, write data, fit and report, and compare the fit with the expected results."""
    import matplotlib as mpl

    from bayesgmm.cards.runs import WRITTEN, run_card
    from bayesgmm.diagnosis.summary import component_table, component_words, convergence_line

    mpl.use("Agg")
    run = run_card(name, output, data_anywhere=data_anywhere)
    title, words = component_words(run.fit)
    show(words, title, name="components", values=component_table(run.fit), saved=True, end_after=("weight",))
    remark(convergence_line(run.fit) + "\n")
    _show_expected(run.expected)
    for written in WRITTEN:
        wrote(output / written)


def _show_expected(expected: "list[ExpectedResult]") -> None:
    from rich.box import SIMPLE
    from rich.table import Table

    facts: list[dict[str, object]] = [asdict(result) | {"met": result.met} for result in expected]
    record(expected=facts)
    table = Table(title="Expected results of the card", title_justify="left", box=SIMPLE, padding=(0, 0, 0, 1))
    table.add_column("")
    for column in ("lower", "upper", "value"):
        table.add_column(column, justify="right")
    for result in expected:
        table.add_row(
            literal(result.words), *(f"{number_in_words(value)}" for value in (result.low, result.high, result.value))
        )
    if expected:
        show_table(table)
    for result in expected:
        if not result.met:
            say(
                f"warning: {result.words} is {number_in_words(result.value)}, expected "
                f"{number_in_words(result.low)} to {number_in_words(result.high)}",
                err=True,
            )
