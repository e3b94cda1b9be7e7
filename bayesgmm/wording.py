"""Counts in sentences."""


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun; the plural is the noun with an s by default.

    Examples
    --------
    >>> plural(1, "point"), plural(1200, "point"), plural(2, "row has a gap", "rows have gaps")
    ('1 point', '1,200 points', '2 rows have gaps')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
