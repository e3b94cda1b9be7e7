"""Paragraphs on the methods of an analysis, in Markdown: data, model, number of components, priors, computation."""

from typing import TYPE_CHECKING

from bayesgmm.errors import DeclarationError
from bayesgmm.posterior.criteria import CRITERIA
from bayesgmm.reports.declared import foreign_versions, label_words
from bayesgmm.reports.descriptions import Description
from bayesgmm.reports.markdown import code, escaped, grid, typeset_powers
from bayesgmm.reports.mathematics import latex, number
from bayesgmm.reports.priors import descriptions
from bayesgmm.reports.subject import MANY, Subject, listed
from bayesgmm.wording import number_in_words, plural

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("n_components", "covariance")  # columns of a selection, beside the criterion
OF_CRITERIA = {"bic": "schwarz1978", "aic": "akaike1974", "icl": "biernacki2000", "elbo": "attias2000"}


def data(subject: Subject) -> str:
    """Describe the data."""
    transforms = subject.info.transforms
    columns = transforms.names if transforms else subject.columns
    more = f" and {len(columns) - MANY} more" if len(columns) > MANY else ""
    names = f"{plural(len(columns), 'column')}: {listed([code(name) for name in columns[:MANY]])}{more}"
    source = subject.info.source
    if subject.has_points:
        sentences = [f"We analysed {subject.rows_and_points} in {names}.", *_special(subject)]
    elif source is not None:
        sentences = [f"We analysed {plural(source.n_rows, 'row')} in {names}, which were read in parts."]
    else:
        sentences = [f"The fit does not contain its data, which have {names}."]
    if transforms and transforms.changed:
        fitted = listed([code(name) for name in transforms.changed.values()])
        sentences.append(f"The model was fitted to transformed columns: {fitted}. Its priors are on that scale.")
    return " ".join(sentences)


def _special(subject: Subject) -> list[str]:
    """Return sentences on missing values, errors of measurement and labels, if there are any."""
    points = subject.points
    sentences = []
    if points.has_gaps:
        sentences.append(f"{points.gap_words()}; values are assumed to be missing at random.")
    if points.noise is not None:
        sentences.append(f"Errors of measurement are part of the model ({points.noise_words()}).")
    if points.labels is not None:
        sentences.append(f"Some rows have a known component: {points.labels.words(subject.n_components)}.")
    return [escaped(sentence) for sentence in sentences]


def model(subject: Subject) -> str:
    """Describe the distribution of the data."""
    if subject.model is None:
        return (
            f"A mixture of {plural(subject.n_components, 'Gaussian')}. The fit stores no model declaration, because it "
            "was not made by bayesgmm, so its priors are unknown."
        )
    part = descriptions(subject.model, subject.n_features)["data"]
    return f"{part.words}\n\n{_formulas(part)}"


def _formulas(description: Description) -> str:
    return "\n\n".join(f"$$\n{latex(formula)}\n$$" for formula in description.formulas)


def number_of_components(subject: Subject, selection: "pd.DataFrame | None", criterion: str) -> str:
    """Describe how the number of components was chosen, as far as it is known.

    Raises
    ------
    DeclarationError
        When the table lacks columns.
    """
    declared, k = subject.model, subject.n_components
    if selection is not None:
        return _selected(subject, selection, criterion)
    if declared is not None and declared.weights.draws_n_components:
        return f"The number of components was estimated; its maximum is {k}."
    if declared is not None and declared.weights.is_overfitted:
        return f"{k} components are an upper bound: the prior of the weights empties those that are not needed."
    return f"The number of components, {k}, was fixed before the fit, which does not record how it was chosen."


def _selected(subject: Subject, selection: "pd.DataFrame", criterion: str) -> str:
    """Describe a choice by ``select``, also if another number was fitted in the end."""
    if missing := [name for name in (*NEEDED, criterion) if name not in selection]:
        raise DeclarationError(f"selection lacks the columns {listed(missing)}: give the table of select")
    known = selection.dropna(subset=[criterion])
    ranked = known.iloc[(CRITERIA[criterion] * known[criterion]).argsort(kind="stable")]
    counts = known["n_components"]
    families = listed([*dict.fromkeys(map(str, known["covariance"]))])
    better = "smallest" if CRITERIA[criterion] > 0 else "largest"
    best = ranked.iloc[0]
    text = (
        f"Of mixtures with {counts.min()} to {counts.max()} components and the covariance families {families}, fitted "
        f"by EM, {_choice(best)} has the {better} {criterion.upper()} [@{OF_CRITERIA[criterion]}], "
        f"{number_in_words(best[criterion])}"
    )
    text += f"; next is {_choice(ranked.iloc[1])}, with {number_in_words(ranked.iloc[1][criterion])}." * (
        len(ranked) > 1
    )
    own = (subject.n_components, None if subject.model is None else subject.model.covariance)
    if (best["n_components"], best["covariance"]) != own:
        text += f" We fitted {own[0]} components with the covariance family {own[1]} nevertheless."
    return text


def _choice(row: "pd.Series") -> str:
    return f"the one with {plural(int(row['n_components']), 'component')} and family {row['covariance']}"


def priors(subject: Subject) -> str:
    """Describe each prior, with its numbers."""
    if subject.model is None:
        return ""
    if subject.engine is not None and subject.engine.ignores_priors:
        return "None: the likelihood was maximised."
    parts = descriptions(subject.model, subject.n_features)
    parts.pop("data")
    if subject.n_components == 1:
        parts.pop("weights")
    texts = [
        f"{typeset_powers(part.words)}{_cited(getattr(subject.model, name).cites)}\n\n{_formulas(part)}"
        for name, part in parts.items()
    ]
    differing = {symbol: values for part in parts.values() for symbol, values in part.columns.items()}
    if differing:
        rows = [
            [code(name), *(typeset_powers(number(float(v[j]))) for v in differing.values())]
            for j, name in enumerate(subject.columns)
        ]
        texts.append(grid(("column j", *differing), rows))
    return "\n\n".join(texts)


def _cited(key: str) -> str:
    return f" [@{key}]" if key else ""


def computation(subject: Subject) -> str:
    """Describe the engine, its settings, the treatment of label switching, and the versions."""
    stored = subject.info
    sentences = [_engine(subject), _draws(subject)]
    if stored.settings:
        settings = listed([code(f"{name}={value}") for name, value in stored.settings.items()])
        sentences.append(f"The settings are {settings}.")
    if stored.seed is not None:
        sentences.append(f"The seed is {stored.seed}.")
    if not subject.is_point and subject.n_components > 1:
        stephens = " [@stephens2000]" if stored.relabelled in (None, "stephens") else ""
        sentences.append(f"Label switching was {escaped(label_words(stored))}{stephens}.")
    if versions := stored.versions or foreign_versions(subject):
        sentences.append(f"Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}.")
    return " ".join(sentences)


def _engine(subject: Subject) -> str:
    engine = subject.engine
    if engine is None:
        return f"The draws were made by {code(subject.method)}, and analysed with bayesgmm [@bayesgmm]."
    works = "".join(f" [@{work.key}]" for work in engine.works)
    return f"We used bayesgmm [@bayesgmm], method {code(engine.name)}: {engine.summary}{works}."


def _draws(subject: Subject) -> str:
    if subject.is_point:
        return "The result is one estimate, without intervals."
    draws = plural(subject.n_draws, "draw")
    if subject.is_approximation:
        return f"We kept {draws} of an approximation to the posterior."
    return f"We kept {plural(subject.n_chains, 'chain')} of {draws}.{_changed(subject)}"


def _changed(subject: Subject) -> str:
    """Describe how a run differs from the one that its settings ask for."""
    notes, text = subject.info.notes, ""
    if notes.extended is not None:
        asked = notes.extended.asked
        text += f" That is more than the {asked:,} draws asked for, because their effective sample size was small."
    if notes.reconciled is not None:
        text += f" {notes.reconciled.sentence}"
    if notes.interrupted:
        text += " The run was interrupted."
    return text
