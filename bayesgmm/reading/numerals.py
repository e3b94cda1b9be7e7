"""Numbers as people write them: decimal commas, thousands, currencies, units, percent and minus signs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayesgmm.sweep.stats import Array

GAPS = " \u00a0\u2009\u202f'\u2019"  # between thousands, in both conventions
MINUS = dict.fromkeys(map(ord, "\u2212\u2012\u2013\ufe63\uff0d"), "-")
DROPPED = dict.fromkeys(map(ord, GAPS), "")
MONEY = (
    r"US\$|R\$|A\$|C\$|[$€£¥₹₽₩₺₪฿]|kr\.?|Kč|zł|Ft|Rs\.?|"
    "CHF|EUR|USD|GBP|JPY|CNY|INR|BRL|SEK|NOK|DKK|PLN|CZK|HUF|AUD|CAD|NZD|ZAR|TRY|RUB|MXN|SGD|HKD|KRW"
)
UNIT = r"%|‰|°C|°F|°|K|k|(?<=\s)[A-Za-zµμΩ²³°/%]{1,8}"
CELL = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[+-]?)\s*(?:(?P<before>{MONEY})\s*(?P<inner>[+-]?))?"
    rf"(?P<body>[\d.,](?:[\d.,{GAPS}]*[\d.,])?)(?P<power>[eE][+-]?\d+)?"
    rf"\s*(?P<after>{MONEY}|{UNIT})?(?P<trailing>-)?\s*(?P<close>\))?"
)
INFINITE = {"inf": np.inf, "+inf": np.inf, "infinity": np.inf, "-inf": -np.inf, "-infinity": -np.inf}


def _body(point: str, comma: str) -> re.Pattern[str]:
    """Make the pattern of the digits of a number, by its decimal sign and the other one, which groups thousands."""
    point, comma = re.escape(point), re.escape(comma)
    rest = rf"(?:{point}\d*)?"
    return re.compile(
        rf"\d+{rest}|{point}\d+"
        rf"|[1-9]\d{{0,2}}(?P<gap>[{comma}{GAPS}])\d{{3}}(?:(?P=gap)\d{{3}})*{rest}"
        rf"|[1-9]\d?(?:{comma}\d\d)+{comma}\d{{3}}{rest}"  # lakh and crore
    )


BODIES = {".": _body(".", ","), ",": _body(",", ".")}
OTHER = {".": ",", ",": "."}


@dataclass(frozen=True)
class Readings:
    """What cells mean by both decimal signs.

    Parameters
    ----------
    cells : sequence of N str
    values : dict of str to (N,) float
        Numbers by each decimal sign; NaN where a cell is none.
    affixes : sequence of N str
        Currency or unit of each cell.
    """

    cells: Sequence[str]
    values: dict[str, Array]
    affixes: Sequence[str]

    def only(self, decimal: str) -> list[str]:
        """Return the cells that are numbers by one decimal sign alone."""
        own, other = np.isnan(self.values[decimal]), np.isnan(self.values[OTHER[decimal]])
        return [self.cells[i] for i in np.flatnonzero(~own & other).tolist()]

    @property
    def unclear(self) -> list[str]:
        """Cells that are different numbers by the two signs, such as 1.234."""
        point, comma = self.values["."], self.values[","]
        return [self.cells[i] for i in np.flatnonzero(~np.isnan(point) & ~np.isnan(comma) & (point != comma)).tolist()]

    @property
    def neither(self) -> list[str]:
        """Cells that are no numbers."""
        wrong = np.isnan(self.values["."]) & np.isnan(self.values[","])
        return [self.cells[i] for i in np.flatnonzero(wrong).tolist()]


def readings(cells: Sequence[str]) -> Readings:
    """Read distinct cells by both decimal signs.

    Examples
    --------
    >>> both = readings(["1.234", "1.234,5", "(7)", "12 kg", "−3", "word"])
    >>> both.values["."].tolist()
    [1.234, nan, -7.0, 12.0, -3.0, nan]
    >>> both.values[","].tolist()
    [1234.0, 1234.5, -7.0, 12.0, -3.0, nan]
    >>> both.unclear, both.affixes[3]
    (['1.234'], 'kg')
    """
    parts = [_read(cell) for cell in cells]
    values = {sign: np.array([part[i] for part in parts], dtype=np.float64) for i, sign in enumerate(BODIES)}
    return Readings(cells, values, [part[2] for part in parts])


def _read(cell: str) -> tuple[float, float, str]:
    text = cell.translate(MINUS).strip()
    if text.lower() in INFINITE:
        return INFINITE[text.lower()], INFINITE[text.lower()], ""
    match = CELL.fullmatch(text)
    if match is None or bool(match["open"]) != bool(match["close"]) or (match["before"] and match["after"]):
        return np.nan, np.nan, ""
    signs = [match["sign"], match["inner"] or "", match["trailing"] or "", "-" if match["open"] else ""]
    if sum(map(bool, signs)) > 1:
        return np.nan, np.nan, ""
    sign, power = (-1.0 if "-" in signs else 1.0), match["power"] or ""
    values = [sign * _value(match["body"], decimal, power) for decimal in BODIES]
    return values[0], values[1], (match["before"] or match["after"] or "").strip()


def _value(body: str, decimal: str, power: str) -> float:
    if not BODIES[decimal].fullmatch(body):
        return np.nan
    digits = body.translate(DROPPED).replace(OTHER[decimal], "").replace(decimal, ".")
    return np.nan if power and len(body) != len(digits) else float(digits + power)
