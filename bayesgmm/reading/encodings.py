"""The encoding of a text file, and files that are no text."""

import codecs
import re
from collections.abc import Iterable

from bayesgmm.errors import DataError

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks; that of UTF-32 begins like that of UTF-16."""
NO_TEXT = {
    b"%PDF": "a PDF",
    b"PAR1": "Parquet (rename it to .parquet)",
    b"\x89HDF": "HDF5",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"\x93NUMPY": "a NumPy array",
    b"SQLite format": "a database",
    b"MATLAB 5.0": "a MATLAB file",
    b"\x1f\x8b": "compressed (name it .gz)",
}
UTF8 = ("utf-8", "utf-8-sig")
UNUSED = set(b"\x81\x8d\x8f\x90\x9d")  # bytes without a character in cp1252
MIN_RUN = 2.5  # average number of letters that follow each other, in another alphabet
MIN_SHARE = 0.3  # of zeros at even or odd places, in UTF-16 without a mark


def encoding_of(parts: Iterable[bytes], name: str) -> str:
    """Find the encoding of a text: by its mark, UTF-8 if it is valid, else an older one.

    Parameters
    ----------
    parts : iterable of bytes
        The whole contents, one part after the other. Only as many are read as needed.
    name : str
        Name of the file, for error messages.

    Raises
    ------
    DataError
        When it is no text, or the encoding can't be determined.

    Examples
    --------
    >>> encoding_of([b"a,b"], "t.csv"), encoding_of(["é,ü,Größe".encode("cp1252")], "t.csv")
    ('utf-8', 'cp1252')
    """
    decoder, first, odd = codecs.getincrementaldecoder("utf-8")(), b"", b""
    for part in parts:
        if not first:
            first = part
            if marked := _by_first_bytes(part, name):
                return marked
        if b"\0" in part:
            raise DataError(f"{name} is not a table of text: it has zero bytes")
        try:
            decoder.decode(part)
        except UnicodeDecodeError:
            odd = part
            break
    if not odd:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            odd = first
    return _older(odd, name) if odd else "utf-8"


def _by_first_bytes(part: bytes, name: str) -> str:
    for mark, encoding in MARKS.items():
        if part.startswith(mark):
            return encoding
    for start, what in NO_TEXT.items():
        if part.startswith(start):
            raise DataError(f"{name} is not a table of text: it is {what}")
    if b"\0" in part[:4096]:
        some = part[:4096]
        for place, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            here, there = some[place::2], some[1 - place :: 2]
            if here.count(0) > MIN_SHARE * len(here) and not there.count(0):
                return encoding
    return ""


def _older(part: bytes, name: str) -> str:
    """Choose cp1252, unless its bytes do not occur there, or another alphabet is evident."""
    from charset_normalizer import from_bytes

    odd = b"\n".join(line for line in part.splitlines() if not line.isascii())[: 2**16]
    best = from_bytes(odd).best()
    if UNUSED & set(odd):
        if best is None:
            raise DataError(f"{name} has an encoding that can't be recognised; give it (encoding='...')")
        return best.encoding
    if _has_long_runs(odd) and best is not None:
        return best.encoding
    return "cp1252"


def _has_long_runs(text: bytes) -> bool:
    """Return True if bytes beyond ASCII follow each other, as in other alphabets; accented letters are isolated."""
    runs = re.findall(rb"[\x80-\xff]+", text)
    return sum(map(len, runs)) > MIN_RUN * len(runs)
