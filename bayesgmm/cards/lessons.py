"""Lesson of a card: its explanation in words."""

from bayesgmm.declared import Declared


class Why(Declared):
    """Reasons for each part of the declared mixture, one or two sentences of Markdown each."""

    components: str = ""
    covariance: str = ""
    weights: str = ""
    means: str = ""
    covariances: str = ""


class Lesson(Declared):
    """Lesson of a card, in Markdown.

    Parameters
    ----------
    data : str
        Description of the data and their origin.
    question : str
        Question of the analysis.
    why : Why
    expect : str
        Expected result and its meaning.
    look : tuple of str
        Plots and results to look at after the fit, each with its call; ``fit`` and ``bg`` are defined.
    exercises : tuple of str
        Exercises.
    references : tuple of str
    """

    data: str = ""
    question: str = ""
    why: Why = Why()
    expect: str = ""
    look: tuple[str, ...] = ()
    exercises: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
