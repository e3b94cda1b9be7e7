"""Mathematics as MathML, which every current browser draws by itself: no script, no font, no network."""

import re

from docutils import nodes
from docutils.utils.math import latex2mathml
from docutils.utils.math.mathml_elements import math
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.writers.html5 import HTML5Translator

UNKNOWN = {
    r"\\dots\b": r"\\ldots",
    r"\\[bB]igg?[lr]?(?![a-zA-Z])": "",
    r"(\\[dt]?frac)\s*(\d)\s*(\d)": r"\1{\2}{\3}",
    r"\\_": "_",
}  # to docutils, which reads the 12 of \frac12 as twelve and \_ in a text as both; MathML stretches brackets by itself


def as_mathml(source: str, block: bool) -> str:
    r"""LaTeX as MathML.

    Raises
    ------
    ExtensionError
        For LaTeX that can't be read: a page with half a formula must not be built.

    Examples
    --------
    >>> as_mathml("x", block=False)
    '<math xmlns="http://www.w3.org/1998/Math/MathML"><mi>x</mi></math>'
    >>> "<mfrac><mn>1</mn><mn>2</mn></mfrac><mi>x</mi>" in as_mathml(r"\frac12 x", block=False)
    True
    >>> "<mtext>ci_prob</mtext>" in as_mathml(r"\text{ci\_prob}", block=False)
    True
    """
    tree = math(xmlns="http://www.w3.org/1998/Math/MathML", **({"display": "block"} if block else {}))
    known = source
    for pattern, instead in UNKNOWN.items():
        known = re.sub(pattern, instead, known)
    try:
        latex2mathml.parse_latex_math(tree, known)
    except Exception as error:
        raise ExtensionError(f"this formula can't be shown: {source!r}: {error}") from error
    return tree.toxml()


def inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(as_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def display(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="formula">{as_mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
