"""Names of columns that are ids, codes or times."""

import re

IDS = frozenset(("id", "ids", "uid", "uuid", "guid", "pk", "oid", "rowid"))
NUMBERINGS = frozenset(
    (
        *("index", "idx", "key", "no", "nr", "num", "number", "code", "row", "rownames", "rowname", "unnamed"),
        *("subject", "patient", "respondent", "participant", "person", "member", "speaker", "employee"),
        *(
            "customer",
            "client",
            "user",
            "account",
            "order",
            "invoice",
            "transaction",
            "ticket",
            "sample",
            "record",
            "case",
        ),
    )
)
"""With nearly as many values as rows, or values that count from 1."""
CODES = frozenset(
    (
        *(
            "zip",
            "zipcode",
            "postcode",
            "postal",
            "plz",
            "phone",
            "telephone",
            "mobile",
            "fax",
            "fips",
            "geoid",
            "tract",
        ),
        *(
            "ssn",
            "iban",
            "isbn",
            "ean",
            "gtin",
            "upc",
            "sku",
            "barcode",
            "imei",
            "cusip",
            "isin",
            "siret",
            "siren",
            "npi",
        ),
    )
)
TIMES = frozenset(("time", "timestamp", "ts", "date", "datetime", "epoch", "created", "updated", "unixtime", "at"))
WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


def words_of(name: str) -> list[str]:
    """Split a name into its words, in lower case.

    Examples
    --------
    >>> words_of("CustomerID"), words_of("zip_code"), words_of("customerid")
    (['customer', 'id'], ['zip', 'code'], ['customer', 'id'])
    """
    words = [word.lower() for word in WORDS.findall(name)]
    for word in words[-1:]:
        if word.endswith("id") and word[:-2] in NUMBERINGS:
            words[-1:] = [word[:-2], "id"]
    return words


def names_an_id(name: str) -> bool:
    """Return True for names such as ``id`` and ``customer_id``."""
    words = [word for word in words_of(name) if not word.isdecimal()]
    return bool(words) and (words[-1] in IDS or words[0] in IDS)


def names_a_numbering(name: str) -> bool:
    """Return True for names such as ``index``, ``patient`` and ``sample code number``."""
    words = [word for word in words_of(name) if not word.isdecimal()]
    return bool(words) and words[-1] in NUMBERINGS


def names_a_code(name: str) -> bool:
    """Return True for names such as ``zip`` and ``phone``."""
    return bool(CODES & {*words_of(name)})


def names_a_time(name: str) -> bool:
    """Return True for names such as ``timestamp`` and ``created_at``."""
    return bool(TIMES & {*words_of(name)})
