"""Checks of labels: which components each row may belong to."""

from dataclasses import dataclass, replace
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.columns import require_distinct
from bayesgmm.data.containers import named_frame, require_row_order
from bayesgmm.data.numbers import unmasked
from bayesgmm.errors import DataError
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    import pandas as pd

UNLABELLED = -1  # a number that means no label, as in scikit-learn
NO_NAMES = ("", str(UNLABELLED))  # texts that mean no label: numpy makes -1 beside texts a text
WITH_ORDER = ("CategoricalDtype", "Enum")  # kinds of columns, of pandas and polars, that declare an order of names
OTHERS = "(all others)"  # name of the components that no label speaks of
MAX_NUMBER = 2**53  # doubles beyond are not exact
IMPOSSIBLE = -1e100  # logarithm of a plausibility of zero: products with tiny responsibilities stay finite


@dataclass(frozen=True)
class Labels:
    """Which of the first L components each of N rows may belong to.

    Parameters
    ----------
    plausible : (N, L + 1) float
        Plausibility of each of the first L components for each row, from 0 to 1, the largest of each row 1. The last
        column is that of every other component: 0 where a row has a label, 1 where it has none.
    names : tuple of L str
        Names of these components; empty if they have numbers.
    """

    plausible: Array
    names: tuple[str, ...] = ()

    @property
    def log(self) -> Array:
        """Logarithms of the plausibilities (N, L + 1), of zero a large negative number."""
        with np.errstate(divide="ignore"):
            return np.maximum(np.log(self.plausible), IMPOSSIBLE)

    @property
    def informative(self) -> NDArray[np.bool_]:
        """Rows (N,) that have a label."""
        return (self.plausible < 1).any(axis=1)

    @property
    def certain(self) -> NDArray[np.bool_]:
        """Rows (N,) that can belong to one component only."""
        return (self.plausible > 0).sum(axis=1) == 1

    def of_components(self, n_components: int) -> Array:
        """Return the plausibilities (N, K) of K components."""
        return self.plausible[:, component_columns(self.plausible.shape[1], n_components)]

    def require(self, n_components: int) -> None:
        """Check that there is a component for each label.

        Raises
        ------
        DataError
            When there are fewer components than labels speak of.
        """
        least = self.plausible.shape[1] - 1
        if n_components < least:
            raise DataError(f"labels speak of {least} components, and there are only {n_components}")

    def take(self, rows: NDArray[np.integer] | slice) -> "Labels":
        """Return the labels of some rows."""
        return replace(self, plausible=self.plausible[rows])

    def trimmed(self) -> "Labels":
        """Return the same without the last components if the labels treat them as all others, unless they have names.

        Examples
        --------
        >>> Labels(np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])).trimmed().plausible.shape
        (2, 2)
        """
        differ = self._special
        if self.names or not differ.size:
            return self
        return replace(self, plausible=self.plausible[:, [*range(differ[-1] + 1), -1]])

    def gathered(self) -> "Labels":
        """Return the same with the components first that the labels single out: they suit any larger number of others.

        Examples
        --------
        >>> Labels(np.array([[0.0, 1.0, 0.0], [1.0, 1.0, 1.0]])).gathered().plausible
        array([[1., 0.],
               [1., 1.]])
        """
        names = tuple(self.names[k] for k in self._special) if self.names else ()
        return Labels(self.plausible[:, [*self._special, -1]], names)

    @property
    def _special(self) -> NDArray[np.intp]:
        """Components that the labels do not treat as all others."""
        return np.flatnonzero((self.plausible[:, :-1] != self.plausible[:, -1:]).any(axis=0))

    def component_names(self, n_components: int) -> NDArray[Any]:
        """Return the names (K,) of all components; numbers if none has a name.

        Examples
        --------
        >>> Labels(np.ones((1, 3)), ("low", "high")).component_names(3)
        array(['low', 'high', '2'], dtype='<U4')
        >>> Labels(np.ones((1, 3)), ("2", "3")).component_names(3)
        array(['2', '3', '4'], dtype='<U1')
        """
        if not self.names:
            return np.arange(n_components)
        free = (name for name in map(str, count(len(self.names))) if name not in self.names)
        return np.array([*self.names, *islice(free, n_components - len(self.names))])

    @property
    def columns(self) -> list[str]:
        """Names of the columns of ``plausible``."""
        return [*(self.names or map(str, range(self.plausible.shape[1] - 1))), OTHERS]

    def words(self, n_components: int) -> str:
        """Return a sentence about the labels.

        Examples
        --------
        >>> Labels(np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]), ("low", "high")).words(3)
        '1 of 2 rows has a label: 1 of low, 0 of high; 1 component has none'
        """
        count, names = int(self.informative.sum()), self.component_names(n_components)
        each = self.plausible[self.certain].sum(axis=0)[:-1].astype(int)
        text = f"{count:,} of {len(self.plausible):,} rows {'has' if count == 1 else 'have'} a label"
        if each.sum() == count:
            text += ": " + ", ".join(f"{number:,} of {name}" for number, name in zip(each, names, strict=False))
        free = n_components - len(each)
        return f"{text}; {plural(free, 'component')} {'has' if free == 1 else 'have'} none" if free else text


def component_columns(n_columns: int, n_components: int) -> NDArray[np.int64]:
    """Return the column (K,) of plausibilities (..., L + 1) that each of K components has.

    Examples
    --------
    >>> component_columns(3, 5)
    array([0, 1, 2, 2, 2])
    """
    return np.minimum(np.arange(n_components), n_columns - 1)


def exchangeable_groups(labels: Array | None, n_components: int) -> NDArray[np.int64] | None:
    """Return the group (K,) of each component: the labels treat those in a group alike; None if they treat all alike.

    Parameters
    ----------
    labels : (N, L + 1) float, or None
        Plausibilities, or their logarithms.
    n_components : int

    Examples
    --------
    >>> exchangeable_groups(np.array([[0.0, 1.0, 0.0], [1.0, 1.0, 1.0]]), 4)
    array([0, 1, 0, 0])
    """
    if labels is None:
        return None
    columns = labels[:, component_columns(labels.shape[1], n_components)]
    _, group = np.unique(columns, axis=1, return_inverse=True)
    return group.reshape(-1) if group.any() else None


def as_labels(labels: object, n_points: int, n_components: int, index: "NDArray[Any] | pd.Index[Any]") -> Labels | None:
    """Check labels.

    Parameters
    ----------
    labels : (N,) or (N, K) array, Series or DataFrame
        A number or name of a component for each row; a row has no label where it is None, NaN, NA, empty or -1.
        Numbers are names if one is that of no component, as in 1, 2, 3 for three components. Spaces around a name do
        not count. Or the plausibility of each component for each row, up to a factor for each row: True or False, or
        numbers of at least zero. The columns of a DataFrame name the components, if they are text.
    n_points, n_components : int
        N and K.
    index : (N,) array
        Row labels.

    Returns
    -------
    Labels or None
        None if no row has a label.

    Raises
    ------
    DataError
        When the shape is another one, a number is not whole, there are more names than components, or a row may belong
        to no component; when a Series has the row labels of the data in another order.

    Examples
    --------
    >>> as_labels(["b", None, "a"], 3, 2, np.arange(3)).plausible
    array([[0., 1., 0.],
           [1., 1., 1.],
           [1., 0., 0.]])
    """
    if isinstance(labels, str):
        raise DataError(f"labels is the text {labels!r}\n  Give the label of each row, for example X[{labels!r}].")
    require_row_order("labels", labels, index)
    frame = named_frame(labels)
    values = np.asarray(unmasked(labels) if frame is None else frame, dtype=object)
    names: tuple[Any, ...] = () if frame is None else tuple(frame.columns)
    if values.shape == (n_points, 1):
        values = values[:, 0]
    if values.shape == (n_points,):
        order = _order(labels) if frame is None else _order(labels, frame.iloc[:, 0])
        made = _of_each_row(values, order, n_components, index)
    elif values.shape == (n_points, n_components):
        named = all(isinstance(name, str) for name in names)
        made = _of_plausibilities(values, tuple(map(_name, names)) if named else (), index)
    else:
        shape = (n_points, n_components)
        raise DataError(
            f"labels has shape {values.shape} for {plural(n_points, 'row')} and {plural(n_components, 'component')}\n"
            f"  Give a component's number or name for each row, or None; or plausibilities, an array {shape}."
        )
    return made.trimmed() if made.informative.any() else None


def _of_each_row(values: NDArray[Any], order: Any, n_components: int, index: Any) -> Labels:
    """Return labels of one number or name for each row; ``order`` is that of the names, by default their own."""
    import pandas as pd

    try:
        code, different = pd.factorize(values)
    except TypeError:  # lists
        raise DataError("labels: give one name or number for each row, or None") from None
    names = [_name(one) for one in different]
    used = {name: one for name, one in zip(names, different, strict=True) if name not in NO_NAMES}
    of_numbers = all(_is_number(one) for one in used.values())
    if of_numbers:
        _require_whole([*used.values()], values, index)
        if all(int(name) < n_components for name in used):
            return _certain(_numbers(names, {name: int(name) for name in used})[code], n_components, ())
    every = sorted(used, key=int if of_numbers else str) if order is None else dict.fromkeys(map(_name, order))
    named = [name for name in every if name in used]
    if len(named) > n_components:
        raise DataError(
            f"labels name {len(named)} components, {listing(named)}, and the model has {n_components}\n"
            f"  Give n_components={len(named)} or more, and no label (an empty cell) where the component is not known."
        )
    numbers = _numbers(names, {name: place for place, name in enumerate(named)})
    return _certain(numbers[code], len(named), tuple(named))


def _numbers(names: list[str], of: dict[str, int]) -> NDArray[np.int64]:
    """Return the numbers of the components that names mean, and a last one for missing names."""
    return np.array([*(of.get(name, UNLABELLED) for name in names), UNLABELLED])


def _order(*sources: Any) -> Any:
    """Return the order of names that a column declares; None if it declares none."""
    kinds: list[Any] = [getattr(source, "dtype", None) for source in sources]
    return next((kind.categories for kind in kinds if type(kind).__name__ in WITH_ORDER), None)


def _name(value: Any) -> str:
    """Return the name that a label gives: of a whole number its digits, of a text its words."""
    if _is_number(value) and value % 1 == 0:
        return str(int(value))
    return " ".join((value.decode(errors="replace") if isinstance(value, bytes) else str(value)).split())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool | np.bool_)


def _require_whole(numbers: list[Any], values: NDArray[Any], index: Any) -> None:
    """Check numbers of components."""
    for wrong in (one for one in numbers if one % 1 != 0 or not 0 <= one <= MAX_NUMBER):
        raise DataError(
            f"labels: row {index[int((values == wrong).argmax())]} has {wrong!r}; components have whole numbers from "
            f"0, and {UNLABELLED} means no label\n  Names are texts, for example 'low'."
        )


def _certain(numbers: NDArray[np.int64], n_named: int, names: tuple[str, ...]) -> Labels:
    """Return labels of rows that belong to one component each, or to any for -1."""
    plausible = np.ones((len(numbers), n_named + 1))
    known = numbers != UNLABELLED
    plausible[known] = numbers[known, None] == np.arange(n_named + 1)
    return Labels(plausible, names)


def _of_plausibilities(values: NDArray[Any], names: tuple[str, ...], index: Any) -> Labels:
    """Return labels of a plausibility for each row and component."""
    require_distinct(names)
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError("labels: plausibilities of components must be numbers, or True and False") from None
    unlabelled = np.isnan(numbers).all(axis=1)
    numbers[unlabelled] = 1.0
    faults = {
        "a plausibility that is negative, missing or infinite": (~(numbers >= 0) | np.isinf(numbers)).any(axis=1),
        "no component that it may belong to": (numbers == 0).all(axis=1),
    }
    for what, wrong in faults.items():
        if wrong.any():
            raise DataError(
                f"labels: row {index[int(wrong.argmax())]} has {what}\n"
                "  Give numbers of at least zero, not all zero; a row of ones has no label."
            )
    plausible = numbers / numbers.max(axis=1, keepdims=True)
    others = (plausible == 1).all(axis=1).astype(np.float64)
    return Labels(np.column_stack([plausible, others]), names)
