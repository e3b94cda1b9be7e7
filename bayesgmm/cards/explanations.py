"""Explanation of a model card: data, model, priors with reasons, expected results, plots and commands."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayesgmm.cards.card import Card, load_card
from bayesgmm.cards.data import DataCard
from bayesgmm.cards.facts import fact_named, interval_words
from bayesgmm.data.given import Given
from bayesgmm.data.points import as_points
from bayesgmm.declared import Declared
from bayesgmm.keywords import checks_keywords
from bayesgmm.reports.descriptions import Description
from bayesgmm.reports.mathematics import latex, number
from bayesgmm.reports.priors import descriptions
from bayesgmm.wording import listing

NAMES = {"weights": "Weights", "means": "Means", "covariances": "Covariances"}
FORMULAS = "text"  # language of the blocks with formulas
SHOWN = 6  # maximum number of values listed by column


@dataclass(frozen=True)
class Part:
    """Section of an explanation.

    Parameters
    ----------
    title : str
    paragraphs : tuple of str
        Markdown.
    descriptions : dict of str to Description
        Descriptions of the model's parts in this section, with formulas.
    """

    title: str
    paragraphs: tuple[str, ...]
    descriptions: dict[str, Description] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n\n".join([f"## {self.title}", *self.paragraphs])


@dataclass(frozen=True)
class Explanation:
    """Explanation of a card; ``str`` gives Markdown, and a notebook shows its formulas typeset.

    Parameters
    ----------
    name, title, about : str
        Name for commands, title, and description in one line.
    parts : tuple of Part
        Sections in order, without empty ones.
    """

    name: str
    title: str
    about: str
    parts: tuple[Part, ...]

    def __str__(self) -> str:
        return "\n\n".join([f"# {self.title}", f"*{self.about}*", *map(str, self.parts)])

    def _repr_markdown_(self) -> str:
        return typeset(str(self))


def typeset(markdown: str) -> str:
    r"""Write the formulas of an explanation in LaTeX.

    Examples
    --------
    >>> print(typeset(_code(FORMULAS, "μ_k ∼ Normal(0, 1)")))
    $$
    \mu_k \sim \mathrm{Normal}(0, 1)
    $$
    """

    def as_latex(block: re.Match[str]) -> str:
        return "\n\n".join(f"$$\n{latex(line)}\n$$" for line in block[1].splitlines())

    return re.sub(rf"```{FORMULAS}\n(.*?)\n```", as_latex, markdown, flags=re.DOTALL)


@checks_keywords
def explain_card(name: str | Path, *, data_anywhere: bool = False) -> Explanation:
    """Explain a card: its data, model, priors, expected results, and how to run it.

    The data are read or generated, because default priors depend on them. Nothing is fitted.

    Parameters
    ----------
    name : str or Path
        Name of a bundled card, or a TOML file.
    data_anywhere : bool
        Allow the card to read data outside its own folder: only for cards that you trust.

    Returns
    -------
    Explanation

    Raises
    ------
    CardError
        If the card can't be read, is invalid, or has data outside its folder.
    DataError
        If its data can't be read.
    UnknownName
        If there is no bundled card of this name, or a name in the card is unknown.

    Examples
    --------
    >>> [part.title for part in explain_card("galaxies").parts][:4]
    ['The data', 'The question', 'The model', 'The priors']
    """
    card, title = load_card(name, data_anywhere=data_anywhere), Path(name).stem
    table = card.data.read() if card.data.given else None
    parts = [
        Part("The data", _data(card, table)),
        Part("The question", _some(card.lesson.question)),
        *_declared(card, table),
        Part("What to expect", _expected(card)),
        Part("What to look at", _bullets(card.lesson.look)),
        Part("How to run it", _commands(str(name), card, table is not None)),
        Part("Try next", _bullets(card.lesson.exercises)),
        Part("References", _bullets(card.lesson.references)),
    ]
    return Explanation(title, card.title or title, card.about, tuple(part for part in parts if part.paragraphs))


def _some(*texts: str) -> tuple[str, ...]:
    return tuple(text.strip() for text in texts if text.strip())


def _bullets(items: tuple[str, ...]) -> tuple[str, ...]:
    return ("\n".join(f"- {item.strip()}" for item in items),) if items else ()


def _data(card: Card, table: Given | None) -> tuple[str, ...]:
    if table is None:
        return _some(card.lesson.data, "The card has no data of its own: give a table.")
    count, width = table.frame.shape
    columns = listing([str(name) for name in table.frame.columns]).replace("'", "`")
    what = f"{count:,} rows and {'one column' if width == 1 else f'{width} columns'}: {columns}."
    known = (
        f" The column `{card.data.truth}` holds the known class of each row and is not fitted."
        if card.data.truth
        else ""
    )
    errors = f" Their standard errors are in {listing([*card.data.noise])}." if card.data.noise else ""
    labels = f" The component of some rows is known, in `{card.data.labels}`." if card.data.labels else ""
    return _some(card.lesson.data, f"{what}{errors.replace("'", '`')}{labels}{known} {_source(card.data)}")


def _source(data: DataCard) -> str:
    """Describe the source of the data and the transforms.

    Examples
    --------
    >>> _source(DataCard(dataset="heights", parameters={"seed": 3}))
    'They are simulated by `bg.datasets.heights(seed=3)`.'
    """
    arguments = ", ".join(f"{name}={value!r}" for name, value in data.parameters.items())
    call = f"`bg.datasets.{data.dataset}({arguments})`"
    if data.path is not None:
        source = f"They are read from `{data.path}`"
    else:
        source = f"They are simulated by {call}" if data.generated else f"They are included: {call}"
    return f"{source}; {'; '.join(step.words for step in data.transforms)}." if data.transforms else f"{source}."


def _declared(card: Card, table: Given | None) -> list[Part]:
    """Explain the model and its priors."""
    why, model = card.lesson.why, card.mixture
    if table is None:
        words = f"A mixture of {model.n_components} Gaussians; {model.family.words}."
        toml = f"```toml\n{model.to_toml().strip()}\n```"
        left = "Parameters that a prior does not set are computed from the data."
        return [
            Part("The model", _some(words, why.components, why.covariance)),
            Part("The priors", _some(toml, why.weights, why.means, why.covariances, left)),
        ]
    described = descriptions(model.resolve(as_points(table.frame, gaps=True)), table.frame.shape[1])
    names = [str(name) for name in table.frame.columns]
    of_data = described.pop("data")
    if model.n_components == 1:
        described.pop("weights")
    paragraphs = [_prior(part, described[part], getattr(model, part), getattr(why, part), names) for part in described]
    return [
        Part("The model", _some(of_data.words, _formulas(of_data), why.components, why.covariance), {"data": of_data}),
        Part("The priors", tuple(paragraphs), described),
    ]


def _prior(part: str, description: Description, declared: Declared, why: str, names: list[str]) -> str:
    """Explain a prior in a paragraph of Markdown: its meaning, default parameters, reason and formulas."""
    opened = [name for name, value in declared if value is None]
    default = f" The card does not set {' and '.join(opened)}: computed from the data." if opened else ""
    reason = f" *Why?* {why.strip()}" if why.strip() else ""
    text = f"{description.words}{_columns(description, names)}{default}{reason}"
    return f"**{NAMES[part]}.** {text}\n\n{_formulas(description)}"


def _columns(description: Description, names: list[str]) -> str:
    """List the parameters that differ by column."""
    text = ""
    for symbol, values in description.columns.items():
        pairs = [f"{number(float(value))} for {name}" for name, value in zip(names, values, strict=True)]
        shown = pairs if len(pairs) <= SHOWN else [*pairs[: SHOWN - 1], f"and {len(pairs) - SHOWN + 1} more"]
        text += f" Here {symbol} is {', '.join(shown)}."
    return text


def _formulas(description: Description) -> str:
    return _code(FORMULAS, "\n".join(description.formulas))


def _expected(card: Card) -> tuple[str, ...]:
    """List the expected results: the text of the lesson, and each fact with its bounds."""
    facts = [f"{fact_named(name).words}: {_bounds(*bounds)}" for name, bounds in card.expect.items()]
    facts += [f"{interval_words(interval)} contains {number(interval.value)}" for interval in card.intervals]
    held = f"Expected results of the fit, with `method={card.fit.method!r}` and `seed={card.fit.seed}`:"
    return _some(card.lesson.expect) + ((held, *_bullets(tuple(facts))) if facts else ())


def _bounds(low: float, high: float) -> str:
    """Format two bounds.

    Examples
    --------
    >>> _bounds(3, 3), _bounds(0.8, 0.9)
    ('3', 'between 0.8 and 0.9')
    """
    return number(low) if low == high else f"between {number(low)} and {number(high)}"


def _commands(name: str, card: Card, has_data: bool) -> tuple[str, ...]:
    """Show the commands that run the card, in the shell and in Python."""
    if not has_data:
        return (_code("shell", f"bayesgmm fit data.csv --model {name} -o fit.nc"),)
    shell = _code("shell", f"bayesgmm models run {name} -o {Path(name).stem}/    # data, fit, report, expected results")
    settings: dict[str, Any] = {"method": card.fit.method, "seed": card.fit.seed, **card.fit.settings}
    arguments = ", ".join(f"{key}={value!r}" for key, value in settings.items())
    known = "".join(f"{name}=data.{name}, " for name in ("noise", "labels") if getattr(card.data, name))
    lines = (
        "import bayesgmm as bg",
        "",
        f"card = bg.load_card({name!r})",
        "data = card.data.read()",
        f"fit = bg.fit(card.mixture, data.frame, {known}{arguments})",
    )
    return (
        shell,
        _code("python", "\n".join(lines)),
        f"With data of your own: `bayesgmm fit data.csv --model {name} -o fit.nc`. "
        f"The card itself: `bayesgmm models show {name} --toml`.",
    )


def _code(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"
