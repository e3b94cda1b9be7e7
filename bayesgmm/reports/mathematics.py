"""Formulas from one line of text to MathML, which browsers show and screen readers read without any script."""

import re
from dataclasses import dataclass, field

from markupsafe import Markup, escape

TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|[A-Za-z]+|.)", re.DOTALL)
EXPONENT = re.compile(r"(?<=\d)e(?:\+|([−-]))?0*(\d+)")
RAISED = str.maketrans("−0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LOWERED = {raised: chr(digit) for digit, raised in RAISED.items()}
POWER = re.compile(r"\s×\s10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
LARGE = {"∑", "∏"}  # symbols with limits below and above
GREEK = re.compile(r"[α-ωΑ-Ω]")
COMMANDS = {
    "α": "alpha",
    "β": "beta",
    "δ": "delta",
    "λ": "lambda",
    "μ": "mu",
    "ν": "nu",
    "σ": "sigma",
    "τ": "tau",
    "Σ": "Sigma",
    "Λ": "Lambda",
    "Ψ": "Psi",
    "ψ": "psi",
    "∑": "sum",
    "∏": "prod",
    "∼": "sim",
    "∝": "propto",
    "≤": "le",
    "×": "times",
    "…": "ldots",
    "⊤": "top",
}


def mathml(source: str) -> Markup:
    r"""Convert a formula to MathML.

    Single letters are italic, and words upright. ``_`` and ``^`` make one symbol, number, word or ``{group}`` a
    subscript or a superscript.

    Raises
    ------
    ValueError
        When braces do not match, or nothing follows ``_`` or ``^``.

    Examples
    --------
    >>> print(mathml("w_k"))
    <math display="block" aria-label="w_k"><mrow><msub><mi>w</mi><mi>k</mi></msub></mrow></math>
    >>> print(mathml("n < 10"))
    <math display="block" aria-label="n &lt; 10"><mrow><mi>n</mi><mo>&lt;</mo><mn>10</mn></mrow></math>
    """
    source = _powers(source)
    reader = _Reader([token for token in TOKEN.findall(source.strip()) if token.strip()])
    row = reader.row()
    if reader.tokens:
        raise ValueError(f"{source!r}: a brace is closed that was not opened")
    spoken = source.replace("{", "").replace("}", "")
    return Markup('<math display="block" aria-label="{}">{}</math>').format(spoken, row)


def latex(source: str) -> str:
    r"""Convert a formula to LaTeX.

    Examples
    --------
    >>> latex("μ_{k j} ∼ Normal(m_j, 10)")
    '\\mu_{k j} \\sim \\mathrm{Normal}(m_j, 10)'
    >>> latex("Gamma(2, 7.9e−09)")
    '\\mathrm{Gamma}(2, 7.9 \\times 10^{-9})'
    """
    pattern = r"([A-Za-z]{2,}|[^\x00-\x7f])(?=(.?))"
    return re.sub(pattern, lambda found: _command(*found.groups()), _powers(source))


def _powers(source: str) -> str:
    """Write numbers with an exponent, such as 7.9e−09 or 7.9 × 10⁻⁹, as products with a power of ten."""
    source = POWER.sub(lambda found: f" × 10^{{{lowered(found[1])}}}", source)
    return EXPONENT.sub(lambda found: f" × 10^{{{'−' if found[1] else ''}{found[2]}}}", source)


def lowered(exponent: str) -> str:
    """Return the digits of an exponent that is set as small raised digits.

    Examples
    --------
    >>> lowered("⁻⁹")
    '−9'
    """
    return exponent.translate(LOWERED)


def _command(token: str, following: str) -> str:
    """Return a word or a symbol in LaTeX; a space divides it from a letter."""
    if token.isascii():
        return rf"\mathrm{{{token}}}"
    return "-" if token == "−" else f"\\{COMMANDS[token]}{' ' if following.isalpha() else ''}"


@dataclass
class _Reader:
    """Parser of a formula, with its remaining tokens."""

    tokens: list[str] = field(default_factory=list)

    def row(self) -> Markup:
        parts = []
        while self.tokens and self.tokens[0] != "}":
            parts.append(self._scripted())
        return Markup("<mrow>{}</mrow>").format(Markup("").join(parts))

    def _scripted(self) -> Markup:
        """Return an atom with its subscript and superscript."""
        large = self.tokens[0] in LARGE
        atom, below, above = self._atom(), None, None
        while self.tokens and self.tokens[0] in {"_", "^"}:
            if self.tokens.pop(0) == "_":
                below = self._atom()
            else:
                above = self._atom()
        names = ("munder", "mover", "munderover") if large else ("msub", "msup", "msubsup")
        if below is not None and above is not None:
            return _element(names[2], atom + below + above)
        if below is not None:
            return _element(names[0], atom + below)
        return atom if above is None else _element(names[1], atom + above)

    def _atom(self) -> Markup:
        if not self.tokens:
            raise ValueError("a formula ends where a symbol is needed")
        token = self.tokens.pop(0)
        if token == "{":
            row = self.row()
            if not self.tokens:
                raise ValueError("a brace is not closed")
            self.tokens.pop(0)
            return row
        if token[0].isdigit():
            return _element("mn", escape(token))
        if (token.isascii() and token.isalpha()) or GREEK.match(token):
            return _element("mi", escape(token))
        return _element("mo", escape(token))


def _element(name: str, content: Markup) -> Markup:
    return Markup("<{0}>{1}</{0}>").format(Markup(name), content)


def number(value: float, digits: int = 4) -> str:
    """Format a number for a formula or a sentence; very large and very small ones have a power of ten.

    The spaces beside its sign of multiplication do not break.

    Examples
    --------
    >>> number(0.25), number(3.0), number(123456.7), number(-1.5)
    ('0.25', '3', '123457', '−1.5')
    >>> print(number(1.3e8), number(-7.9e-9))
    1.3\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10⁸ −7.9\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10⁻⁹
    """
    spec = ".0f" if 1e3 <= abs(value) < 1e7 else f".{digits}g"
    shown, _, exponent = f"{value:{spec}}".replace("-", "−").partition("e")
    if not exponent:
        return shown
    power = f"{int(exponent.replace('−', '-'))}".replace("-", "−").translate(RAISED)
    return f"{shown} × 10{power}".replace(" ", "\N{NO-BREAK SPACE}")
