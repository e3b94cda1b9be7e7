"""The text for a paper: each of its numbers is that of an answer, nothing found is hidden, and citations resolve."""

import re
import warnings
from dataclasses import replace

import arviz as az
import numpy as np
import pytest
import xarray as xr
from markdown_it import MarkdownIt

import bayesgmm as bg
from bayesgmm.diagnosis.summary import with_interval
from bayesgmm.engines import ENGINES
from bayesgmm.errors import DeclarationError, FitFileError, UnknownName
from bayesgmm.posterior.info import annotate
from bayesgmm.posterior.notes import EngineNotes, ExtensionInfo, ReconciliationInfo
from bayesgmm.references import WORKS, Work
from bayesgmm.reports import methods
from bayesgmm.reports.markdown import escaped
from bayesgmm.reports.mathematics import number
from tests.commands import run
from tests.conftest import quick_gibbs, sampled

COLUMNS = ["petal_length", "petal_width"]
NUMBER = re.compile(r"\d[\d.,]*\d|\d")
HOSTILE = ["a | b_* [@x] $\\frac{1}{2$", "<b>`code`</b>\n# title"]


def numbers(text):
    """The numbers of a text, without those of citations and of indices in formulas."""
    plain = re.sub(r"\[@\w+\]|_\{?\w+\}?|\^\{?-?\d\}?|k = 1", " ", text.replace("\\", ""))
    return {found.replace(",", "").removesuffix(".0") for found in NUMBER.findall(plain.replace("−", "-"))}


def settings(method):
    few = {"draws": 150} if ENGINES[method].kind != "point estimate" else {}
    return few | ({"tune": 150, "chains": 2} if ENGINES[method].kind == "sampler" else {})


def paragraph(text, name):
    return re.search(rf"\*\*{name}\.\*\* (.*?)(?=\n\n\*\*[A-Z]|\n\n## |\Z)", text, re.DOTALL)[1]


def cells(table):
    """The body of the first table of a text: name -> cells."""
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines() if "|" in line]
    return {name.strip("`"): values for name, *values in rows[2:]}


@pytest.fixture(scope="module")
def data():
    return bg.datasets.iris()[COLUMNS]


@pytest.fixture(scope="module")
def fits(data):
    """A fit by each engine."""
    model = bg.MixtureModel(2, weights=bg.Dirichlet(2.0))
    return {name: sampled(model, data, method=name, seed=1, **settings(name)) for name in ENGINES}


@pytest.fixture(scope="module")
def written(fits):
    """The findings and the text of each fit."""
    found = {name: bg.diagnose(fit, progress=False) for name, fit in fits.items()}
    return {name: (found[name], bg.methods_text(fits[name], findings=found[name])) for name in fits}


def every_rhat_and_ess(fit):
    """The worst numbers, by ArviZ alone."""
    posterior = fit["posterior"].to_dataset()
    variance = posterior["covariance"].values.diagonal(axis1=-2, axis2=-1)
    draws = posterior[["weight", "mean"]].assign(sd=posterior["mean"].copy(data=np.sqrt(variance)))
    draws = draws.assign(loglik=fit["sample_stats"]["loglik"])
    return float(az.rhat(draws).to_array().max()), float(az.ess(draws).to_array().min())


EACH = pytest.mark.parametrize("method", ENGINES)


@EACH
def test_the_numbers_of_the_components_are_those_of_the_answers(method, fits, written):
    shown = cells(paragraph(written[method][1].markdown, "Components"))
    table = bg.component_table(fits[method])
    for name in ("weight", *COLUMNS):
        rows = table.xs(name, level="quantity")[["mean", "lower", "upper"]]
        assert shown[name] == [with_interval(*row) for row in rows.to_numpy()]
    sizes = bg.assignments(fits[method])["probability"].sum("point").values
    assert shown["points"] == [f"{size:.1f}" for size in sizes]


@EACH
def test_the_assignments_are_those_of_the_answers(method, fits, written):
    top = np.sort(bg.assignments(fits[method])["probability"].values, axis=1)
    uncertain = top[np.argmin(top[:, -1])]
    said = paragraph(written[method][1].markdown, "Assignments").replace("\N{NO-BREAK SPACE}", " ")
    assert f"{(top[:, -1] > 0.9).sum()} of 150 points" in said
    assert f"probability {100 * uncertain[-1]:.1f} % for one component and {100 * uncertain[-2]:.1f} %" in said


@pytest.mark.parametrize("method", [name for name, engine in ENGINES.items() if engine.kind == "sampler"])
def test_convergence_is_that_of_arviz(method, fits, written):
    rhat, ess = every_rhat_and_ess(fits[method])
    said = paragraph(written[method][1].markdown, "Convergence")
    assert f"the largest R-hat is {rhat:.3f} and the smallest bulk effective sample size {ess:,.0f}." in said
    assert "We kept 2 chains of 150 draws." in written[method][1].markdown


@pytest.mark.parametrize("method", [name for name, engine in ENGINES.items() if engine.kind == "approximation"])
def test_an_approximation_is_called_one(method, fits, written):
    notes, text = bg.info(fits[method]).notes, written[method][1].markdown
    assert f"ELBO {notes.elbo:.1f}" in paragraph(text, "Convergence")
    assert f"Pareto k-hat {notes.pareto_khat:.2f}" in paragraph(text, "Convergence")
    assert "of an approximation to the posterior" in text
    assert "R-hat" not in text


@pytest.mark.parametrize("method", [name for name, engine in ENGINES.items() if engine.kind == "point estimate"])
def test_a_point_estimate_claims_no_intervals(method, written):
    text = written[method][1].markdown
    assert "credible" not in text
    assert not re.search(r"\[-?\d", text)
    assert "one estimate, without intervals" in text
    assert "A point estimate has no posterior" in paragraph(text, "Assignments")
    assert "R-hat" not in text
    assert ("None: the likelihood was maximised." in text) == ENGINES[method].ignores_priors


@EACH
def test_the_text_has_no_number_that_is_in_no_answer(method, fits, written):
    """A prior's numbers are those that the fit stores; numbers in findings are the findings'."""
    fit, (found, text) = fits[method], written[method]
    stored = bg.info(fit)
    model, label = stored.model, stored.labels
    own = [150, 2, 0, 1, 0.9, stored.seed, *stored.settings.values(), *stored.versions.values()]
    own += [len(found.passed), 2000, stored.notes.n_iter, "90"]  # 2000: the year of Stephens
    own += [*every_rhat_and_ess(fit)] if ENGINES[method].kind == "sampler" else []
    own += [number(v) for part in (model.means.location, model.means.scale) for v in np.ravel(part)]
    own += [number(v) for v in np.ravel(np.diag(model.covariances.scale))]
    own += [number(model.covariances.dof), number(model.covariances.dof / 2), model.weights.concentration]
    own += [number(float(v), 3) for v in model.covariances.typical_sd()]
    own += [number(label.agreement, 3)] if label and label.agreement is not None else []
    own += [*map(str, found), *stored.warnings]
    said = " ".join(paragraph(text.markdown, name) for name in ("Components", "Assignments", "Convergence"))
    assert numbers(text.markdown) - numbers(f"{said} {' '.join(map(str, own))}") == set()


@EACH
def test_everything_that_was_found_is_said(method, fits, written):
    found, text = written[method]
    said = paragraph(text.markdown, "Checks")
    assert len(found)
    for finding in found:
        assert f"- {finding.severity} ({finding.check}): {escaped(f'{finding.what} {finding.why}')}" in said
    assert all(name in said for name in (*found.passed, *found.skipped))
    assert all(escaped(warning) in said for warning in bg.info(fits[method]).warnings)


def test_a_warning_of_the_fit_that_no_check_repeats_is_said(fits):
    fit = fits["em"].copy()
    told = bg.info(fit)
    annotate(fit, replace(told, warnings=("The moon was full.",)))
    assert "- warning (warnings of the fit): The moon was full." in bg.methods_text(fit).markdown


def test_a_run_that_was_changed_is_described_as_it_was(fits):
    stored = bg.info(fits["nuts"])
    assert "replaced" not in (text := bg.methods_text(fits["nuts"]).markdown)
    assert "asked for" not in text
    changed = EngineNotes(
        extended=ExtensionInfo(asked=50, draws=150),
        reconciled=ReconciliationInfo("Gibbs sampling", 1.3),
        interrupted=True,
    )
    text = bg.methods_text(annotate(fits["nuts"].copy(), replace(stored, notes=changed))).markdown
    assert "We kept 2 chains of 150 draws. That is more than the 50 draws asked for" in text
    assert "The chains of the method were replaced: these draws come from Gibbs sampling." in text
    assert "The run was interrupted." in text


@EACH
def test_each_citation_has_its_entry(method, written):
    text = written[method][1]
    cited = set(re.findall(r"@(\w+)\]", text.markdown))
    assert re.findall(r"^@\w+\{(\w+),$", text.bibtex, re.MULTILINE) == sorted(cited)
    assert {work.key for work in ENGINES[method].works} | {"bayesgmm"} <= cited
    assert text.bibtex.count("{") == text.bibtex.count("}")


def test_no_work_has_two_keys():
    assert len({str(work) for work in WORKS.values()}) == len(WORKS)
    assert all(work.year and str(work.year) in key for key, work in WORKS.items())


def test_a_work_in_words_is_kept_whole():
    work = Work.in_words("Gauß, C. (1809). Theoria motus, 3–5.")
    assert str(work) == "Gauß, C. (1809). Theoria motus, 3–5."
    assert "note = {Gauß, C. (1809). Theoria motus, 3–5.}" in work.bibtex


def test_the_choice_of_the_number_is_described(data, fits):
    table = bg.select(data, [1, 2, 3], ["full", "tied"], seed=1, progress=False)
    best, second = table.iloc[0], table.iloc[1]
    said = bg.methods_text(fits["em"], selection=table.iloc[::-1]).markdown
    assert f"with {best['n_components']} components and family {best['covariance']} has the smallest BIC" in said
    assert f"[@schwarz1978], {best['bic']:.4g}; next" in said
    assert f"with {second['bic']:.4g}." in said
    assert ("nevertheless" in said) == (best["n_components"] != 2)
    table = bg.select(data, [1, 2, 3], ["full", "tied"], criterion="elbo", seed=1, progress=False)
    by_elbo = table.iloc[0]
    said = bg.methods_text(fits["em"], selection=table, criterion="elbo").markdown
    assert f"has the largest ELBO [@attias2000], {by_elbo['elbo']:.4g}" in said
    assert "does not record how it was chosen" in bg.methods_text(fits["em"]).markdown


def test_a_choice_that_was_fitted_is_not_excused(data):
    table = bg.select(data, [1, 2], "full", seed=1, progress=False)
    fit = bg.fit(bg.MixtureModel(2), data, "em", seed=1, progress=False)
    assert "nevertheless" not in bg.methods_text(fit, selection=table).markdown


def test_what_is_no_selection_is_refused(data, fits):
    with pytest.raises(DeclarationError, match="lacks the columns n_components, covariance and bic"):
        bg.methods_text(fits["em"], selection=data)
    with pytest.raises(UnknownName, match="criterion"):
        bg.methods_text(fits["em"], criterion="bik")


def test_an_estimated_number_has_the_posterior_of_the_answer():
    fit = quick_gibbs(bg.MixtureModel(4, weights=bg.FiniteMixture(bg.Poisson(1.0))), bg.datasets.galaxies())
    text = bg.methods_text(fit).markdown
    table = bg.n_components(fit)
    assert "The number of components was estimated; its maximum is 4." in text
    assert "[@fruhwirth2021]" in text
    said = paragraph(text, "Clusters").replace("\N{NO-BREAK SPACE}", " ")
    for name in ("components", "clusters"):
        for count, probability in table[name].items():
            assert probability < 0.005 or f"{count} ({100 * probability:.1f} %)" in said
    sizes = np.bincount(bg.partition(fit, progress=False)["label"].values)
    assert f"has {len(sizes)} cluster" in said


def test_an_upper_bound_is_called_one(data):
    model = bg.MixtureModel(4, weights=bg.DirichletProcess(1.0))
    text = bg.methods_text(sampled(model, data, method="vb", seed=1, draws=200)).markdown
    assert "4 components are an upper bound" in text
    assert "The posterior of the number of components that hold points:" in text
    assert "[@ishwaran2001]" in text


@pytest.mark.parametrize("with_data", [True, False])
def test_a_trace_of_another_program_has_a_text(fits, with_data):
    groups = {"posterior": fits["nuts"]["posterior"].to_dataset()}
    groups |= {"observed_data": fits["nuts"]["observed_data"].to_dataset()} if with_data else {}
    text = bg.methods_text(xr.DataTree.from_dict(groups)).markdown
    assert "its priors are unknown" in text
    assert ("We analysed 150 points" in text) == with_data
    assert set(cells(paragraph(text, "Components"))) == {"weight", *COLUMNS} | ({"points"} if with_data else set())


def test_transformed_columns_are_named_in_data_units_and_in_their_own(data):
    transforms = bg.choose_transforms(data, "log", seed=1)
    text = bg.methods_text(
        bg.fit(bg.MixtureModel(2), data, "map", transform=transforms, seed=1, progress=False)
    ).markdown
    assert "in 2 columns: `petal_length` and `petal_width`. The model was fitted to transformed columns: " in text
    assert "`log(petal_length)` and `log(petal_width)`. Its priors are on that scale." in text
    assert {"points", "weight", *COLUMNS} == set(cells(paragraph(text, "Components")))


def test_rows_that_were_read_in_parts_are_counted(tmp_path, data):
    path = tmp_path / "rows.npy"
    np.save(path, data.to_numpy())
    fit = bg.fit(bg.MixtureModel(2), path, "em", seed=1, memory="2MiB", progress=False)
    assert "We analysed 150 rows in 2 columns" in bg.methods_text(fit).markdown


def test_no_name_of_a_column_breaks_the_text(data):
    named = data.set_axis(HOSTILE, axis=1)
    fit = bg.fit(bg.MixtureModel(2), named, "map", seed=1, progress=False)
    tokens = MarkdownIt("commonmark").enable("table").parse(bg.methods_text(fit).markdown)
    assert sum(token.type == "table_open" for token in tokens) == 2
    headings = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings == ["Methods", "Results"]
    inline = [child for token in tokens for child in token.children or () if child.type == "code_inline"]
    assert {"a | b_* [@x] $\\frac{1}{2$", "<b>'code'</b> # title"} <= {
        child.content.replace("\\|", "|") for child in inline
    }
    assert not [child for token in tokens for child in token.children or () if child.type == "html_inline"]


def test_the_command_writes_the_text_and_the_citations(tmp_path, fits, data):
    bg.save(fits["em"], tmp_path / "fit.nc")
    data.to_csv(tmp_path / "data.csv", index=False)
    run("select", "data.csv", "-k", "1-3", "-o", "choices.csv", cwd=tmp_path)
    done = run("report", "fit.nc", "--methods", "-o", "text.md", "--selection", "choices.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "wrote text.md" in done.stdout + done.stderr
    text = (tmp_path / "text.md").read_text()
    assert "fitted by EM" in text
    assert "[@schwarz1978]" in text
    assert "@article{schwarz1978," in (tmp_path / "text.bib").read_text()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--methods", "-o", "text.html"], "must end in .md"),
        (["--methods", "--quick", "-o", "text.md"], "--quick can't be used with --methods"),
        (["--criterion", "aic", "-o", "page.html"], "can be used only with --methods"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, fits, words, why):
    bg.save(fits["em"], tmp_path / "fit.nc")
    done = run("report", "fit.nc", *words, cwd=tmp_path)
    assert done.returncode != 0
    assert why in " ".join(done.stderr.split())


def test_a_place_that_cannot_be_written_is_one_error(fits, tmp_path):
    text = methods.MethodsText("a", "b")
    with pytest.raises(FitFileError, match="no folder"):
        text.save(tmp_path / "nowhere" / "text.md")


def test_it_warns_of_nothing(fits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bg.methods_text(fits["map"])
