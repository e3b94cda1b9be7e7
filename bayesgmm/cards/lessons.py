"""What a card teaches, in words, beside the numbers that a program needs."""

from bayesgmm.declared import Declared


class Why(Declared):
    """Why the mixture is declared as it is, part by part; Markdown, a sentence or two each."""

    components: str = ""
    covariance: str = ""
    weights: str = ""
    means: str = ""
    covariances: str = ""


class Lesson(Declared):
    """A card as a teacher would tell it; Markdown throughout.

    Parameters
    ----------
    data : str
        What the data are: who measured what, and when.
    question : str
        What is asked of them.
    why : Why
    expect : str
        What comes out, and what it means.
    look : tuple of str
        What to look at once it is fitted, each with the call that shows it; ``fit`` and ``bg`` are at hand.
    exercises : tuple of str
        To try next.
    references : tuple of str
    """

    data: str = ""
    question: str = ""
    why: Why = Why()
    expect: str = ""
    look: tuple[str, ...] = ()
    exercises: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
