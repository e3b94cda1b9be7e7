"""Texts that stand for missing values."""

DEFAULT_MARKS = frozenset(
    {
        *("#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "n/a", "NULL", "null", "None", "NaN", "nan", "-NaN", "-nan"),
        *("-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN"),
    }
)
"""Marks in any column, also of text: those of pandas."""

NUMBER_MARKS = DEFAULT_MARKS | {
    *(".", "..", "...", "-", "--", "---", "\u2013", "\u2014", "?", "??", "*", "**"),
    *("na", "n.a.", "n.a", "N.A.", "k.A.", "n.d.", "nd", "ND", "nil", "NIL", "none", "NONE", "Nan", "NAN"),
    *("Null", "<NULL>", "(null)", "\\N", "missing", "Missing", "MISSING", "unknown", "Unknown"),
    *("#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "Err:502", "Err:503"),
    *("#WERT!", "#BEZUG!", "#ZAHL!"),
}
"""Marks in a column of which all other cells are numbers."""
