"""Sections on reproducing and citing the fit."""

import shlex
from importlib.metadata import version

from bayesgmm.declared import Declared
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.info import Setting
from bayesgmm.references import WORKS, software
from bayesgmm.reports.blocks import Block, Code, Items, Omitted, Paragraph
from bayesgmm.reports.subject import Subject

OPTIONS = ("draws", "max_draws", "chains")  # settings for which the command has options


def in_python(value: object) -> str:
    """Return a declaration as Python code.

    Examples
    --------
    >>> from bayesgmm.priors.weights import Dirichlet
    >>> in_python(Dirichlet(2.0))
    'bg.Dirichlet(concentration=2.0)'
    """
    if not isinstance(value, Declared):
        return repr(value)
    fields = {name: getattr(value, name) for name in type(value).model_fields if name != "prior"}
    parts = [f"{name}={in_python(part)}" for name, part in fields.items() if part is not None]
    return f"bg.{type(value).__name__}({', '.join(parts)})"


def declaration(subject: Subject) -> list[Block]:
    """Show the declaration as a card and as Python, with the calls to fit it."""
    if subject.model is None:
        raise Omitted("The fit stores no model declaration, so the call that made it is unknown.")
    blocks: list[Block] = [
        Code("The model as a card; save it as model.toml", subject.model.to_toml().rstrip()),
        Code("The model in Python, with the call of fit", _call(subject, subject.model)),
    ]
    if command := _command(subject):
        blocks.append(Code("The command", command))
    return blocks


def _call(subject: Subject, model: MixtureModel) -> str:
    settings = {"method": subject.method, **subject.info.settings, "seed": subject.info.seed}
    given = [f"columns={list(subject.columns)!r}"]
    if subject.has_points:
        points = subject.points
        own = {
            "sample_weight=weights": points.weights,
            "noise=standard_errors": points.noise,
            "labels=labels": points.labels,
        }
        given += [text for text, value in own.items() if value is not None]
    given += [f"{name}={value!r}" for name, value in settings.items() if value is not None]
    lines = ["import bayesgmm as bg", "import pandas as pd", "", 'data = pd.read_csv("data.csv")']
    fields = {name: getattr(model, name) for name in type(model).model_fields}
    lines += [
        "model = bg.MixtureModel(",
        *(f"    {name}={in_python(value)}," for name, value in fields.items() if value is not None),
        ")",
    ]
    return "\n".join([*lines, f"fit = bg.fit(model, data, {', '.join(given)})"])


def _command(subject: Subject) -> str:
    """Return the command; empty if it has no option for a setting, or can't name a column."""
    settings = subject.info.settings
    usual = {} if subject.engine is None else subject.engine.defaults
    if any(usual.get(name) != value for name, value in settings.items() if name not in OPTIONS):
        return ""
    if any("," in name or name != name.strip() for name in subject.columns):
        return ""
    if subject.has_points:
        points = subject.points
        if any(part is not None for part in (points.weights, points.noise, points.labels)):
            return ""
    options: dict[str, Setting] = {
        "method": subject.method,
        "columns": ",".join(subject.columns),
        "seed": subject.info.seed,
    }
    options |= {name: settings[name] for name in OPTIONS if name in settings}
    words = " ".join(
        f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in options.items() if value is not None
    )
    return f"bayesgmm fit data.csv --model model.toml {words} -o fit.nc"


def citations(subject: Subject) -> list[Block]:
    """List the works to cite."""
    keys = ["stephens2000", "kumar2019"]
    keys += ["vehtari2021"] if subject.is_chains else []
    keys += [] if subject.is_point else ["vehtari2017", "wade2018", "dahl2022"]
    own = () if subject.engine is None else subject.engine.works
    works = (software(version("bayesgmm")), *own, *(WORKS[key] for key in keys))
    return [Paragraph("Software and methods of this fit and this report:"), Items(tuple(map(str, works)))]
