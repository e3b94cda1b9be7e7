"""The commonest slips of newcomers: each message is short and says what to write instead."""

import inspect

import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.engines import ENGINES
from bayesgmm.families.structures import family_named
from bayesgmm.synonyms import SYNONYMS, VALUES
from tests.commands import run

X = bg.datasets.iris().drop(columns="species")
MODEL = bg.MixtureModel(2)
FIT = bg.fit(MODEL, X, "em", n_init=1, seed=1, progress=False)
SLIPS = {
    "covariance_type: is not a field here; write covariance='full'": lambda: bg.MixtureModel(3, covariance_type="full"),
    "write n_components=3": lambda: bg.MixtureModel(k=3),
    "must be one number, got range(1, 4); to compare several, write select(data": lambda: bg.MixtureModel(range(1, 4)),
    "must be one number, got [1, 2]": lambda: bg.MixtureModel([1, 2]),
    "write concentration=1.0": lambda: bg.Dirichlet(alpha=1.0),
    "has no setting 'random_state'; write seed=1": lambda: bg.fit(MODEL, X, random_state=1),
    "has no setting 'random_seed'; write seed=1": lambda: bg.fit(MODEL, X, random_seed=1),
    "write draws=100": lambda: bg.fit(MODEL, X, n_samples=100),
    "a setting of method 'vb', 'mle', or 'em'": lambda: bg.fit(MODEL, X, n_init=5),
    "the data are given before the model; give the model first": lambda: bg.fit(X, MODEL),
    "model=a DataFrame of shape (150, 4): must be a MixtureModel": lambda: bg.fit(X, X),
    "model=3: must be a MixtureModel, for example MixtureModel(n_components=3)": lambda: bg.fit(3, X),
    "prior=Dirichlet(concentration=1.0): must be True or False; priors are declared in the model": lambda: bg.fit(
        MODEL, X, prior=bg.Dirichlet()
    ),
    "seed=a DataFrame of shape (150, 4): must be a whole number": lambda: bg.fit(MODEL, X, seed=X),
    "method=a DataFrame of shape (150, 4) is not one of": lambda: bg.fit(MODEL, X, X),
    "select() has no argument 'random_state'; write seed=1": lambda: bg.select(X, [1, 2], random_state=1),
    "posterior_predictive() has no argument 'random_seed'; write seed=1": lambda: bg.posterior_predictive(
        FIT, random_seed=1
    ),
    "assignments() has no argument 'n_draws'; write draws=1": lambda: bg.assignments(FIT, n_draws=1),
    "pairs() has no argument 'column'; did you mean 'columns'?": lambda: bg.plots.pairs(FIT, column=["a"]),
    "blobs() has no argument 'random_state'; write seed=1": lambda: bg.datasets.blobs(random_state=1),
    "GaussianMixture() has no argument 'seed'; write random_state=1": lambda: bg.GaussianMixture(3, seed=1),
    "GaussianMixture() has no argument 'covariance'; write covariance_type='diag'": lambda: bg.GaussianMixture(
        3, covariance="diag"
    ),
    "has no setting 'random_seed'; write seed=7": lambda: bg.fit(MODEL, X, random_seed=7),
    "fit() has no argument 'weights'; write sample_weight=w": lambda: bg.GaussianMixture(2).fit(X, weights=1),
    "fit() has no argument 'seed'; give it to GaussianMixture(random_state=1)": lambda: bg.GaussianMixture(2).fit(
        X, seed=1
    ),
    "fit() has no argument 'n_init'; give it to BayesianGaussianMixture(n_init=...)": lambda: (
        bg.BayesianGaussianMixture(2).fit(X, n_init=3)
    ),
    "fit() has no argument 'data'; write X=data": lambda: bg.AnomalyDetector().fit(data=X),
    "sample() has no argument 'size'; write n_samples=3": lambda: bg.GaussianMixture(2).sample(size=3),
    "predict() has no argument 'return_sd'; did you mean 'return_std'?": lambda: bg.MixtureRegressor(2).predict(
        X, return_sd=True
    ),
    "covariance='FACTORS:2' is not one of": lambda: bg.MixtureModel(3, "FACTORS:2"),
    "; did you mean 'factors:2'?": lambda: bg.fit(bg.MixtureModel(3, "FACTORS:2"), X),
    "has no setting 'weights'; write sample_weight=w": lambda: bg.fit(MODEL, X, weights=1),
    "coreset() has no argument 'k'; write n_components=3": lambda: bg.coreset(X, k=3),
    "coreset() has no argument 'n'; write size=30": lambda: bg.coreset(X, 3, n=30),
    "coreset() has no argument 'random_state'; write seed=1": lambda: bg.coreset(X, 3, random_state=1),
    "FactorAnalysers() has no argument 'n_components'; write n_factors=2": lambda: bg.FactorAnalysers(n_components=2),
    "FactorAnalysers() has no argument 'k'; write n_factors=2": lambda: bg.FactorAnalysers(k=2),
    "digits() has no argument 'random_state'\n  It takes no arguments.": lambda: bg.datasets.digits(random_state=1),
    "No method can. Declare weights=SparseDirichlet()": lambda: bg.fit(
        bg.MixtureModel(5, weights=bg.FiniteMixture(), covariance=bg.FactorAnalysers(1)), X, "gibbs"
    ),
    "write ci_prob=0.9": lambda: bg.density(FIT, ci=0.9),
    "write fdr=0.1": lambda: bg.anomaly_scores(FIT, alpha=0.1),
    "write data=X": lambda: bg.assignments(FIT, X=X),
    "write loss='vi'": lambda: bg.partition(FIT, method="vi"),
    "'tied'; did you mean 'factors:2'?": lambda: bg.fit(bg.MixtureModel(3, "mfa"), X),
    "a: must be a positive number, or one for each factor": lambda: bg.MultiplicativeGamma(a=(-1, 2)),
    "noise: must be of the class InverseGamma, got 0.1; write noise=InverseGamma(...)": lambda: bg.MultiplicativeGamma(
        noise=0.1
    ),
    "give the data first, as in coreset(data, 2)": lambda: bg.coreset(MODEL, X),
    "a number is given in place of the data": lambda: bg.coreset(2, X),
    "1 column is too few for factors": lambda: bg.fit(bg.MixtureModel(2, "factors:1"), X.iloc[:, :1]),
    "'three' is not a number or a range; give 3, or 2,4,6, or 1-9": lambda: bg.select(X, "three"),
}


RESULTS = (bg.Coreset, bg.DataCheck, bg.FitInfo)  # classes that functions return, and nobody else makes


@pytest.mark.parametrize("words", SLIPS)
def test_a_slip_is_answered_with_what_to_write(words):
    with pytest.raises(bg.errors.DeclarationError) as caught:
        SLIPS[words]()
    message = str(caught.value)
    assert words in message
    assert len(message) < 400


@pytest.mark.parametrize("read", [lambda c: bg.fit(MODEL, c), lambda c: bg.select(c, [1, 2])])
def test_a_coreset_is_no_data_because_its_weights_would_be_lost(read):
    some = bg.coreset(X, 2, progress=False)
    with pytest.raises(bg.errors.DataError, match=r"^the data are a coreset.*\n  Write fit\(model, c.points, sample_w"):
        read(some)


def test_factors_of_a_fit_without_its_model_are_not_looked_for():
    trace = xr.DataTree.from_dict({"posterior": FIT["posterior"].to_dataset().drop_attrs()})
    with pytest.raises(bg.errors.DeclarationError, match=r"does not store its model.*\n  Fit by bg\.fit"):
        bg.factor_loadings(trace)


def public_functions():
    for module in (bg, bg.plots, bg.apps, bg.datasets):
        for name in module.__all__:
            function = getattr(module, name)
            is_made = inspect.isclass(function) and not issubclass(function, (Exception, *RESULTS)) and module is bg
            if (inspect.isfunction(function) or is_made) and name[0] != "_":
                yield pytest.param(function, id=f"{module.__name__}.{name}")


@pytest.mark.parametrize("function", [*public_functions()])
def test_every_public_function_says_which_arguments_it_has(function):
    kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return
    of_a_class = "no_such_argument: is not a field here"  # of a declaration
    with pytest.raises(bg.BayesGMMError, match=rf"\(\) has no argument 'no_such_argument'|{of_a_class}") as caught:
        function(no_such_argument=1)
    assert "'self'" not in str(caught.value)


ESTIMATORS = {
    estimator: inspect.signature(estimator).parameters
    for estimator in (*(getattr(bg, name) for name in bg.__all__), bg.apps.SpeechClassifier)
    if inspect.isclass(estimator) and hasattr(estimator, "get_params")
}


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (estimator, name)
        for estimator in ESTIMATORS
        for name, method in inspect.getmembers(estimator, inspect.isfunction)
        if name[0] != "_" and method.__module__.startswith("bayesgmm.")
    ],
)
def test_every_method_of_an_estimator_says_which_arguments_it_has(estimator, name):
    with pytest.raises(bg.errors.UnknownArgument, match=rf"^{name}\(\) has no argument 'no_such_argument'\n") as caught:
        getattr(estimator(), name)(no_such_argument=1)
    assert "'self'" not in str(caught.value)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_argument_of_an_estimator_is_not_taken_by_its_methods(estimator):
    for name in ESTIMATORS[estimator]:
        with pytest.raises(bg.errors.UnknownArgument, match=rf"; give it to {estimator.__name__}\({name}=\.\.\.\)\n"):
            estimator().fit(X, y=None, **{name: 1})


@pytest.mark.parametrize(
    ("option", "instead"),
    [("--random-state", "--seed"), ("--n-components", "--components"), ("--covariance-type", "--covariance")],
)
def test_an_option_of_another_name_is_answered_with_the_right_one(option, instead, tmp_path):
    refused = run("fit", "x.csv", option, "1", "-o", "fit.nc", "--json", cwd=tmp_path)
    assert refused.returncode == 2
    assert f"No such option: {option} (Possible options: {instead})" in refused.stderr


def test_a_word_where_a_number_is_needed_is_answered_in_plain_words(tmp_path):
    for given in (["--seed", "x"], ["--seed=x"]):
        refused = run("fit", "x.csv", "-k", 2, *given, "-o", "fit.nc", "--json", cwd=tmp_path)
        assert refused.returncode == 2
        assert "Invalid value for '--seed': 'x' is not a whole number" in refused.stderr


def test_a_table_in_place_of_a_fit_is_answered_with_the_order(tmp_path):
    X.to_csv(tmp_path / "x.csv", index=False)
    bg.save(FIT, tmp_path / "fit.nc")
    refused = run("score", "x.csv", "fit.nc", "-o", "scores.csv", cwd=tmp_path)
    assert "x.csv is not a fit: its name ends in .csv\n  Give a fit first" in refused.stderr
    assert "a file that ends in .nc or .zarr" in refused.stderr


def test_text_in_a_column_of_a_fit_or_of_weights_is_answered_without_python(tmp_path):
    bg.save(FIT, tmp_path / "fit.nc")
    text = X.assign(**{X.columns[1]: "wide"}, name="a")
    text.to_csv(tmp_path / "text.csv", index=False)
    for memory in ([], ["--memory", "1GiB"]):
        refused = run("score", "fit.nc", "text.csv", *memory, "-o", "scores.csv", cwd=tmp_path)
        assert refused.returncode == 1
        assert "not numeric" in refused.stderr
        assert "columns=" not in refused.stderr
        weights = ["--weight-column", "name", "--method", "em", "-o", "f.nc"]
        refused = run("fit", "text.csv", "-k", 2, *weights, *memory, cwd=tmp_path)
        assert "--weight-column name: the column is not numeric\n  Name a column with" in refused.stderr


def test_every_synonym_names_an_argument_that_exists():
    ours = {*inspect.signature(bg.fit).parameters, *(name for engine in ENGINES.values() for name in engine.defaults)}
    ours |= {*bg.MixtureModel.model_fields, "concentration"}
    more = (bg.FactorAnalysers, bg.coreset, bg.datasets.blobs, bg.partition, bg.anomaly_scores, bg.density)
    theirs = {name for function in more for name in inspect.signature(function).parameters}
    assert {here.partition("=")[0] for here in SYNONYMS} <= ours | theirs
    others = {name for names in SYNONYMS.values() for name in names}
    # Arguments of one function here that another one calls otherwise.
    assert ours & others == {"prior", "weights", "method", "n_components"}
    assert [family_named(name).name for name in {*VALUES.values()}] == ["factors:2"]


def test_a_column_is_not_taken_for_an_argument():
    with pytest.raises(bg.errors.DataError, match="there is no column 'n'.*'size'$"):
        bg.fit(MODEL, X.set_axis(["size", "b", "c", "d"], axis=1), columns=["n"])


def test_numbers_of_components_are_read_as_at_the_terminal():
    settings = {"covariance": "tied", "seed": 1, "progress": False}
    pd.testing.assert_frame_equal(bg.select(X, "1-2,4", **settings), bg.select(X, [1, 2, 4], **settings))


@pytest.mark.parametrize("command", ["fit", "compare"])
def test_a_number_of_components_that_is_a_word_is_refused_in_words(command, tmp_path):
    X.to_csv(tmp_path / "x.csv", index=False)
    more = ["-o", "fit.nc", "--json"] if command == "fit" else ["--json"]
    refused = run(command, "x.csv", "-k", "three", *more, cwd=tmp_path)
    assert refused.returncode == 2
    assert "'three' is not a whole number of at least 1; write for example -k 3" in refused.stderr
    assert "bayesgmm select TABLE -k 1-5" in run(command, "x.csv", "-k", "1-5", *more, cwd=tmp_path).stderr
