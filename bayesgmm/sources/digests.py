"""A digest of rows that machines compute apart: those of two successive sets of rows can be added."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from bayesgmm.sweep.stats import Array

WORD = 2**64
FACTORS = (0x9E3779B97F4A7C15, 0xD1342543DE82EF95)  # odd, of two independent codes
STEP = 2**16  # rows that are coded at a time


@dataclass(frozen=True)
class Digest:
    r"""Hash of rows in their order, whatever parts it is computed in.

    .. math:: c = \sum_n h(x_n)\, f^{N - 1 - n} \mod 2^{64}

    Parameters
    ----------
    count : int
        Number of rows.
    codes : tuple of 2 int

    Examples
    --------
    >>> rows = np.arange(6.0).reshape(3, 2)
    >>> Digest.of(rows) == Digest.of(rows[:1]) + Digest.of(rows[1:])
    True
    """

    count: int
    codes: tuple[int, ...]

    @classmethod
    def of(cls, values: Array) -> Self:
        """Return the digest of rows (n, D)."""
        total = cls(0, (0,) * len(FACTORS))
        for first in range(0, len(values), STEP):
            some = values[first : first + STEP]
            total = total + cls(len(some), tuple(_code(some, factor) for factor in FACTORS))
        return total

    def __add__(self, other: "Digest") -> Self:
        codes = (
            (own * pow(factor, other.count, WORD) + their) % WORD
            for own, their, factor in zip(self.codes, other.codes, FACTORS, strict=True)
        )
        return type(self)(self.count + other.count, tuple(codes))

    def text(self, columns: Sequence[str]) -> str:
        """Return it with the names of the columns as a text."""
        return hashlib.blake2b(repr((*columns, self.count, *self.codes)).encode(), digest_size=16).hexdigest()


def _code(values: Array, factor: int) -> int:
    bits = (np.asarray(values, dtype=np.float64) + 0.0).view(np.uint64)
    row = np.full(len(bits), factor, dtype=np.uint64)
    for column in bits.T:
        row = (row ^ column) * np.uint64(factor)
        row ^= row >> np.uint64(29)
    powers = np.full(len(row), factor, dtype=np.uint64)
    powers[0] = 1
    powers = np.multiply.accumulate(powers)[::-1]
    return int((row * powers).sum(dtype=np.uint64))
