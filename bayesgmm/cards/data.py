"""Data of a card: a data set or a file, its columns and transforms."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, PrivateAttr, SerializeAsAny, field_validator, model_validator

from bayesgmm.cards.transforms import AnyTransform
from bayesgmm.data.columns import is_numeric, select
from bayesgmm.data.given import Given
from bayesgmm.data.points import as_points
from bayesgmm.data.tables import read_frame
from bayesgmm.datasets import DATASETS, GENERATED
from bayesgmm.declared import Declared
from bayesgmm.errors import CardError, DataError, choose

if TYPE_CHECKING:
    import pandas as pd


class DataCard(Declared):
    """Declaration of a card's data.

    Parameters
    ----------
    dataset : str, optional
        One of ``datasets.DATASETS``.
    parameters : dict
        Arguments of the data set, if it takes any.
    path : str, optional
        CSV or Parquet file instead of ``dataset``; relative to the folder of the card. For a card that ``load_card``
        read, it must be below that folder, unless ``data_anywhere`` allows other places.
    columns : tuple of str, optional
        Columns to use; default all numeric columns.
    truth : str, optional
        Column of known classes, which is not fitted; class ``bad`` means that a row belongs to no cluster.
    noise : tuple of str, optional
        Columns of standard errors, one for each column that is used, in the same order.
    labels : str, optional
        Column with the names or numbers of the components of some rows, empty where they are not known.
    transforms : tuple of Transform
        Transforms of the columns, in order.

    Examples
    --------
    >>> DataCard(dataset="iris", columns=("petal_width",), truth="species").read().frame.shape
    (150, 1)
    """

    dataset: str | None = None
    parameters: dict[str, int | float | str] = Field(default_factory=dict)
    path: str | None = None
    columns: tuple[str, ...] | None = None
    truth: str | None = None
    noise: tuple[str, ...] | None = None
    labels: str | None = None
    transforms: tuple[SerializeAsAny[AnyTransform], ...] = ()
    _below: Path | None = PrivateAttr(default=None)

    @field_validator("dataset")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None:
            choose(name, DATASETS, "dataset")
        return name

    @model_validator(mode="after")
    def _one_source(self) -> "DataCard":
        """Check that there is at most one source of data, with valid parameters.

        Raises
        ------
        ValueError
            If there are two sources, parameters without a data set that takes them, or transforms of columns with
            errors.
        """
        if self.dataset is not None and self.path is not None:
            raise ValueError("give dataset or path, not both")
        if self.noise is not None and self.transforms:
            raise ValueError("noise and transforms can't be combined: errors are those of columns in data units")
        if self.parameters and self.dataset is None:
            raise ValueError("parameters need a dataset")
        arguments = self._arguments()
        if self.parameters and not arguments:
            raise ValueError(f"dataset {self.dataset!r} takes no parameters, got {', '.join(self.parameters)}")
        for name in self.parameters:
            choose(name, arguments, "parameter")
        return self

    @property
    def given(self) -> bool:
        """True if the card declares a data set or a file."""
        return self.dataset is not None or self.path is not None

    @property
    def generated(self) -> bool:
        """True if the data are simulated."""
        return self.dataset in GENERATED

    def _arguments(self) -> dict[str, Any]:
        return {} if self.dataset is None else dict(inspect.signature(DATASETS[self.dataset]).parameters)

    def within(self, folder: Path, anywhere: bool = False) -> "DataCard":
        """Return a copy whose ``path`` is relative to a folder; only files below it are read, unless ``anywhere``."""
        if self.path is None:
            return self
        placed = self.model_copy(update={"path": str(folder / self.path)})
        placed._below = None if anywhere else folder
        return placed

    def read(self) -> Given:
        """Read or generate the data, and transform them.

        Raises
        ------
        CardError
            If the card declares no data, or a file outside its folder.
        DataError
            If the data can't be read, a column is missing or not numeric, or a transform can't be applied.
        UnknownName
            If the column ``truth`` or ``labels`` does not exist, or an argument of the data set is unknown.
        """
        frame = self._read_table()
        truth, labels = (self._column(frame, name) for name in ("truth", "labels"))
        frame = frame.drop(columns=[name for name in (self.truth, self.labels) if name is not None])
        noise = None
        if self.noise is not None:
            noise = select(frame, self.noise)
            frame = frame.drop(columns=[*self.noise])
        if self.columns is not None:
            frame = select(frame, self.columns)
        else:
            frame = frame[[name for name in frame.columns if is_numeric(frame[name])]]
        if not len(frame.columns):
            raise DataError(f"the card's data ({self.dataset or self.path}) have no numeric column")
        frame = self.transformed(frame)
        truth, noise, labels = (None if part is None else part.loc[frame.index] for part in (truth, noise, labels))
        return Given(frame, noise, labels, truth)

    def _column(self, frame: "pd.DataFrame", field: str) -> "pd.Series | None":
        """Return the column that a field names."""
        if (name := getattr(self, field)) is None:
            return None
        choose(name, dict.fromkeys(map(str, frame.columns)), field)
        return frame[name]

    def transformed(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Apply all transforms to a table.

        Raises
        ------
        DataError
            If values are missing, or a transform can't be applied.
        """
        if self.transforms:
            as_points(frame)
        for transform in self.transforms:
            frame = transform.apply(frame)
        return frame

    def _read_table(self) -> "pd.DataFrame":
        """Read the data set or the file.

        Raises
        ------
        CardError
            If the card declares no data, or a file outside its folder.
        """
        if self.dataset is not None:
            return DATASETS[self.dataset](**self.parameters)
        if self.path is not None:
            self._require_below(Path(self.path))
            known = [name for name in (self.truth, self.labels, *(self.noise or ())) if name is not None]
            return read_frame(self.path, None if self.columns is None else [*self.columns, *dict.fromkeys(known)])
        raise CardError("the card declares no data: give a table, or write [data] with dataset = '...' or path = '...'")

    def _require_below(self, path: Path) -> None:
        """Raise CardError for a file outside the folder of the card: a card from elsewhere must not choose any file."""
        if self._below is not None and not path.resolve().is_relative_to(self._below.resolve()):
            raise CardError(
                f"data.path: {path} is not in the folder of the card, {self._below}\n"
                "  If you trust the card, allow it: data_anywhere=True in Python, --data-anywhere at the terminal."
            )
