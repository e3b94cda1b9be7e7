"""The data of a card: a data set by name, or a file; which columns, and what is done to them."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from bayesgmm.cards.transforms import AnyTransform
from bayesgmm.data.points import as_points, is_numeric, select
from bayesgmm.data.tables import read_frame
from bayesgmm.datasets import DATASETS, GENERATED
from bayesgmm.declared import Declared
from bayesgmm.errors import CardError, DataError, choose

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CardTable:
    """What a card fits.

    Parameters
    ----------
    frame : DataFrame
        One row a point, the columns to fit.
    truth : Series or None
        The class of each row, where it is known; no fit sees it.
    """

    frame: "pd.DataFrame"
    truth: "pd.Series | None"


class DataCard(Declared):
    """Which data a card is about.

    Parameters
    ----------
    dataset : str, optional
        One of ``datasets.DATASETS``.
    parameters : dict
        Of a data set that is generated, or takes others.
    path : str, optional
        In place of ``dataset``, a CSV or Parquet file; in a card file, from the folder that the card is in.
    columns : tuple of str, optional
        Those to use; all that are numeric unless told.
    truth : str, optional
        A column of known classes, which is not fitted; ``bad`` is a row that belongs to no cluster.
    transforms : tuple of Transform
        What is done to the columns, in this order.

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
    transforms: tuple[SerializeAsAny[AnyTransform], ...] = ()

    @field_validator("dataset")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None:
            choose(name, DATASETS, "dataset")
        return name

    @model_validator(mode="after")
    def _one_source(self) -> "DataCard":
        if self.dataset is not None and self.path is not None:
            raise ValueError("give dataset or path, not both")
        if self.parameters and self.dataset is None:
            raise ValueError("parameters go with dataset")
        takes = self._takes()
        if self.parameters and not takes:
            raise ValueError(f"dataset {self.dataset!r} takes no parameters, got {', '.join(self.parameters)}")
        for name in self.parameters:
            choose(name, takes, "parameter")
        return self

    @property
    def given(self) -> bool:
        """Whether it says where the data come from."""
        return self.dataset is not None or self.path is not None

    @property
    def generated(self) -> bool:
        """Whether the data are made up."""
        return self.dataset in GENERATED

    def _takes(self) -> dict[str, Any]:
        return {} if self.dataset is None else dict(inspect.signature(DATASETS[self.dataset]).parameters)

    def within(self, folder: Path) -> "DataCard":
        """The same, with ``path`` taken from a folder."""
        return self if self.path is None else self.model_copy(update={"path": str(folder / self.path)})

    def read(self) -> CardTable:
        """Get the data.

        Raises
        ------
        CardError
            When the card names no data.
        DataError
            When they can't be read, or a column is missing.
        """
        frame = self._whole()
        truth = None
        if self.truth is not None:
            choose(self.truth, dict.fromkeys(map(str, frame.columns)), "truth")
            truth = frame.pop(self.truth)
        if self.columns is not None:
            frame = select(frame, self.columns)
        else:
            frame = frame[[name for name in frame.columns if is_numeric(frame[name])]]
        if not len(frame.columns):
            raise DataError(f"the card's data ({self.dataset or self.path}) hold no column of numbers")
        frame = self.transformed(frame)
        return CardTable(frame, None if truth is None else truth.loc[frame.index])

    def transformed(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """A table after all transforms.

        Raises
        ------
        DataError
            When values are missing, or one of the transforms can't be done.
        """
        if self.transforms:
            as_points(frame)
        for transform in self.transforms:
            frame = transform.apply(frame)
        return frame

    def _whole(self) -> "pd.DataFrame":
        if self.dataset is not None:
            return DATASETS[self.dataset](**self.parameters)
        if self.path is not None:
            return read_frame(self.path)
        raise CardError("the card names no data: give a table, or write [data] with dataset = '...' or path = '...'")
