"""Counts and lists of names in sentences; text that is safe for a terminal."""

from collections.abc import Sequence, Sized

FEWER = "fewer components"
SHORT = 100  # characters of a value that an error message repeats
SHOWN = 5  # names that an error message lists
# Characters that move the cursor, change colours, ring, or reverse the direction of text
CONTROL = [*range(9), *range(11, 32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
ESCAPES = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in CONTROL}


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun; the plural is the noun with an s by default.

    Examples
    --------
    >>> plural(1, "point"), plural(1200, "point"), plural(2, "row has a gap", "rows have gaps")
    ('1 point', '1,200 points', '2 rows have gaps')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def share(value: float) -> str:
    """Format a probability as a percentage; values near 0 and 1 are not rounded to 0 and 1. The space does not break.

    Examples
    --------
    >>> [share(value).replace("\N{NO-BREAK SPACE}", " ") for value in (0.333, 0.9996, 1.0, 0.0)]
    ['33.3 %', '> 99.9 %', '100 %', '0 %']
    """
    if value in {0.0, 1.0}:
        text = f"{100 * value:.0f}"
    elif value > 0.9995:
        text = "> 99.9"
    else:
        text = "< 0.1" if value < 0.0005 else f"{100 * value:.1f}"
    return f"{text} %".replace(" ", "\N{NO-BREAK SPACE}")


def number_in_words(value: float, digits: int = 4) -> str:
    """Format a number with four significant digits by default, without an exponent where possible.

    Examples
    --------
    >>> number_in_words(3706.25), number_in_words(1234567.0), number_in_words(0.00012345)
    ('3706', '1,234,567', '0.0001234')
    """
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.{digits}g}"


def listing(names: Sequence[object]) -> str:
    """Format names for an error message: the first five, and the number of the others."""
    shown = ", ".join(repr(name) if isinstance(name, str) else str(name) for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"


def alternatives(options: Sequence[str]) -> str:
    """Join options by commas and "or"; an option may contain an "or" of its own.

    Examples
    --------
    >>> alternatives(["fewer components", "more points"]), alternatives(["a or b", "c"])
    ('fewer components or more points', 'a or b, or c')
    """
    if not options:
        return ""
    *first, last = options
    comma = "," if len(first) > 1 or " or " in "".join(first) else ""
    return f"{', '.join(first)}{comma} or {last}" if first else last


def advice(n_components: int, *options: str) -> str:
    """Say what to try; ``FEWER`` components only if there are several.

    Examples
    --------
    >>> advice(3, "more draws", FEWER)
    'Try more draws or fewer components.'
    >>> advice(1, "more draws", FEWER)
    'Try more draws.'
    """
    possible = [option for option in options if option != FEWER or n_components > 1]
    return f"Try {alternatives(possible)}."


def in_short(value: object) -> str:
    """Describe a value that an argument has: as it is written, or by its kind and shape if that is long.

    Examples
    --------
    >>> in_short(0.5), in_short([[1.0, 2.0]] * 99)
    ('0.5', 'a list of 99')
    """
    written = repr(value)
    if len(written) <= SHORT and "\n" not in written:
        return written
    shape = getattr(value, "shape", None)
    size = f"of shape {shape}" if shape is not None else f"of {len(value)}" if isinstance(value, Sized) else ""
    return f"{a_kind(value)} {size}".rstrip()


def a_kind(value: object) -> str:
    """Return the name of a value's class with its article.

    Examples
    --------
    >>> a_kind(3), a_kind([])
    ('an int', 'a list')
    """
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def printable(text: str) -> str:
    r"""Replace control characters, with which a name could change what a terminal shows; tabs and new lines stay.

    Examples
    --------
    >>> print(printable("red \x1b[31m text"))
    red \x1b[31m text
    """
    return text.translate(ESCAPES)
