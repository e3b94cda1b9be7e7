"""What a newcomer sees of the package: signatures, help, completion, HTML, version, logger."""

import inspect
import logging
import pydoc
import re
from importlib.metadata import version

import pytest

import bayesgmm as bg
from bayesgmm.datasets import DATASETS
from bayesgmm.declared import Declared
from bayesgmm.notebooks import declaration_html

MODULES = {"apps", "audio", "datasets", "errors", "model", "plots", "synthesis"}  # public ones
PRIVATE = re.compile(r"Annotated|BeforeValidator|SerializeAsAny|Strict|Gt\(|PydanticUndefined|prior=|<function")


DECLARATIONS = [
    kind for kind in (getattr(bg, name) for name in bg.__all__) if inspect.isclass(kind) and issubclass(kind, Declared)
]


def test_the_signature_of_a_model_shows_types_and_defaults():
    shown = str(inspect.signature(bg.MixtureModel))
    assert shown.startswith("(n_components: int, covariance: str = 'full', weights: WeightsPrior = Dirichlet(conc")
    assert str(inspect.signature(bg.HalfNormal)) == "(sigma: float | tuple[float, ...])"


@pytest.mark.parametrize("kind", DECLARATIONS)
def test_a_declaration_is_explained_without_the_library_that_checks_it(kind):
    signature = inspect.signature(kind)
    assert not PRIVATE.search(str(signature))
    page = pydoc.render_doc(kind, renderer=pydoc.plaintext)
    assert not re.search(r"model_(dump|fields|copy|json)|Annotated|__pydantic", page)
    assert not [name for name in dir(kind) if name.startswith("model_")]
    assert next(iter(signature.parameters)) in inspect.getdoc(kind)


def test_the_signature_is_what_can_be_written():
    for kind in DECLARATIONS:
        needed = {p.name for p in inspect.signature(kind).parameters.values() if p.default is p.empty}
        assert needed == {name for name, field in kind.model_fields.items() if field.is_required()}
    model = bg.MixtureModel(2)
    assert eval(repr(model), dict(vars(bg)) | {name: getattr(bg, name) for name in bg.__all__}) == model


@pytest.mark.parametrize("name", ["model_dump", "model_copy", "model_validate"])
def test_completion_offers_no_names_of_pydantic(name):
    assert hasattr(bg.MixtureModel(1), name)
    assert name not in dir(bg.MixtureModel(1))
    assert "to_toml" in dir(bg.MixtureModel(1))


@pytest.mark.parametrize("module", [bg, bg.apps, bg.datasets, bg.plots])
def test_completion_of_a_module_offers_its_public_names_only(module):
    assert sorted(dir(module)) == sorted(module.__all__)
    assert [name for name in dir(module) if not callable(getattr(module, name)) and name not in MODULES] == []
    assert not hasattr(module, "no_such_name")


def test_every_data_set_is_public():
    assert set(DATASETS) <= set(bg.datasets.__all__)


def test_a_declaration_is_words_and_mathematics_in_a_notebook():
    shown = bg.MixtureModel(2, weights=bg.DirichletProcess(bg.Gamma(2, 4)))._repr_html_()
    assert "Mixture of Gaussians with priors" in shown
    assert r"\sum_{k=1}^K w_k" in shown
    assert "<th>n_components</th><td>2</td>" in shown
    assert "DirichletProcess" in shown
    assert "<th>alpha</th><td>2.0</td>" in shown
    assert "<th>prior</th>" not in shown


@pytest.mark.parametrize("kind", DECLARATIONS)
def test_the_words_of_a_declaration_in_a_notebook_have_no_marks_of_their_source(kind):
    shown = declaration_html(kind, {})
    assert re.findall(r":\w+:|`|\[\d\]_", shown) == []
    assert re.search(r"<p><b>\w+</b>: .+\.</p>", shown)


def test_a_card_has_html_and_texts_in_it_are_no_markup():
    card = bg.load_card(bg.model.card_path("galaxies"))
    assert "MixtureModel" in card._repr_html_()
    assert "&lt;b&gt;" in card.model_copy(update={"about": "<b>"})._repr_html_()


def test_the_version_is_that_of_the_installed_package():
    assert bg.__version__ == version("bayesgmm")


def test_fits_are_logged(caplog):
    with caplog.at_level(logging.INFO, logger="bayesgmm"):
        bg.fit(bg.MixtureModel(2, "tied"), [[0.0], [1.0], [5.0]], "em", seed=1, progress=False)
    assert "fitting 2 components to 3 rows and 1 columns by em, seed 1" in caplog.text
    assert logging.getLogger("bayesgmm").handlers  # so that nothing is printed where no program asks for it
