"""Which tests ``make quick`` runs (``python -m tests.quick`` prints them), and which files a whole run starts first."""

QUICK = (
    "tests/test_house.py",
    "tests/test_declaration.py",
    "tests/test_files.py",
    "tests/sweep",
    "tests/families",
    "tests/priors/test_priors.py",
    "tests/priors/test_registry.py",
    "tests/posterior",
    "tests/data",
    "tests/labels/test_labels.py",
    "tests/predictions/test_answers.py",
    "tests/inference/test_conjugate.py",
    "tests/inference/test_engines.py::test_every_engine_finds_the_truth",
    "tests/inference/test_engines.py::test_every_engine_takes_every_family",
    "tests/inference/test_engines.py::test_em_never_lowers_the_likelihood",
    "tests/inference/test_engines.py::test_nuts_agrees_with_the_exact_posterior_of_one_gaussian",
    "tests/inference/test_engines.py::test_settings_are_checked_before_the_work",
    "tests/diagnosis/test_diagnosis.py",
    "tests/reports/test_reports.py::test_every_prior_is_described",
    "tests/cli/test_cli.py::test_fit_writes_a_fit_and_shows_it_in_the_data_s_own_columns",
    "tests/cli/test_cli.py::test_assign_writes_probabilities",
    "tests/cli/test_cli.py::test_score_writes_p_values",
    "tests/cli/test_cli.py::test_a_card_is_fitted",
    "tests/cli/test_cli.py::test_models_are_listed_and_shown",
    "tests/cli/test_cli.py::test_an_error_is_one_message",
)  # the laws of every part that others are built on, and one fit by each engine

LONG = (
    "tests/test_docs.py",
    "tests/inference/test_builder.py",
    "tests/apps/tables/test_tables_to_answers.py",
    "tests/test_readme.py",
    "tests/estimators/test_estimators.py",
    "tests/test_notebooks.py",
    "tests/reports/test_reports.py",
    "tests/cards/test_cards.py",
    "tests/inference/test_gibbs.py",
    "tests/model_selection/test_evidence.py",
    "tests/cli/test_terminal.py",
    "tests/cli/test_cli.py",
    "tests/inference/test_engines.py",
    "tests/inference/test_variational.py",
    "tests/checkpoints/test_checkpoints.py",
    "tests/estimators/test_discriminants.py",
    "tests/inference/test_em.py",
    "tests/inference/test_advi.py",
    "tests/test_noise.py",
)  # longest first: a long file that starts last keeps one core waiting


def rank(nodeid):
    """The place of a test's file among the long ones; the others come after them."""
    file = nodeid.split("::")[0]
    return LONG.index(file) if file in LONG else len(LONG)


if __name__ == "__main__":
    print(*QUICK)
