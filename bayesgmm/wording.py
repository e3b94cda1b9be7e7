"""How numbers of things read in a sentence."""


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun, which takes an s unless told otherwise.

    Examples
    --------
    >>> plural(1, "point"), plural(1200, "point"), plural(2, "row has a gap", "rows have gaps")
    ('1 point', '1,200 points', '2 rows have gaps')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
