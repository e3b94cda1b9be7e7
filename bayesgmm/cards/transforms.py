"""Transforms of a card's data before the fit."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from bayesgmm.declared import Declared, by_name
from bayesgmm.errors import DataError, choose

if TYPE_CHECKING:
    import pandas as pd


class Transform(Declared):
    """Transform of a table. Rows keep their index."""

    @property
    @abstractmethod
    def words(self) -> str:
        """Description, as part of a sentence."""

    @abstractmethod
    def apply(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Transform a table (N, D).

        Raises
        ------
        DataError
            If the data are not suitable.
        UnknownName
            If a column does not exist.
        """


class Rows(Transform):
    """Random subset of the rows, in their original order; all rows if there are not more.

    Examples
    --------
    >>> import pandas as pd
    >>> Rows(n_rows=2, seed=1).apply(pd.DataFrame({"x": [1.0, 2.0, 3.0]})).shape
    (2, 1)
    """

    n_rows: Annotated[int, Field(gt=0)]
    seed: Annotated[int, Field(ge=0)] = 0
    transform: Literal["rows"] = "rows"

    @property
    def words(self) -> str:  # noqa: D102
        return f"{self.n_rows:,} rows are drawn at random (seed {self.seed})"

    def apply(self, frame: "pd.DataFrame") -> "pd.DataFrame":  # noqa: D102
        if len(frame) <= self.n_rows:
            return frame
        chosen = np.random.default_rng(self.seed).choice(len(frame), size=self.n_rows, replace=False)
        return frame.iloc[np.sort(chosen)]


class Logarithm(Transform):
    """Natural logarithm of some columns, or of all.

    Examples
    --------
    >>> import pandas as pd
    >>> Logarithm().apply(pd.DataFrame({"x": [1.0]}))["log_x"].tolist()
    [0.0]
    """

    columns: tuple[str, ...] | None = None
    transform: Literal["log"] = "log"

    @property
    def words(self) -> str:  # noqa: D102
        return f"logarithms are taken of {'all columns' if self.columns is None else ', '.join(self.columns)}"

    def apply(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Replace the columns by their logarithms, ``log_NAME``.

        Raises
        ------
        DataError
            If a value is not positive.
        UnknownName
            If a column does not exist.
        """
        names = list(frame.columns) if self.columns is None else list(self.columns)
        for name in names:
            choose(name, dict.fromkeys(map(str, frame.columns)), "column")
            if not (frame[name] > 0).all():
                raise DataError(f"column {name!r} has values that are not positive; they have no logarithm")
        return frame.assign(**{n: np.log(frame[n]) for n in names}).rename(columns={n: f"log_{n}" for n in names})


class PrincipalComponents(Transform):
    """First principal components, by scikit-learn's PCA: the directions of largest variance.

    Examples
    --------
    >>> import pandas as pd
    >>> line = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 2.0]})
    >>> PrincipalComponents(n_columns=1).apply(line)["pc1"].abs().round(3).tolist()
    [1.414, 0.0, 1.414]
    """

    n_columns: Annotated[int, Field(gt=0)]
    standardise: bool = False
    transform: Literal["pca"] = "pca"

    @property
    def words(self) -> str:  # noqa: D102
        before = "each column is divided by its standard deviation, and " if self.standardise else ""
        return f"{before}the first {self.n_columns} principal components are kept"

    def apply(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Replace all columns by principal components, ``pc1, pc2, ...``.

        Raises
        ------
        DataError
            If the table has fewer principal components.
        """
        import pandas as pd
        from sklearn.decomposition import PCA

        n_rows, n_columns = frame.shape
        rank = min(n_rows - 1, n_columns)  # N centred rows span N - 1 directions
        if self.n_columns > rank:
            raise DataError(
                f"n_columns={self.n_columns}: {n_rows} rows of {n_columns} columns have at most {rank} "
                "principal components"
            )
        values = frame.to_numpy(float)
        if self.standardise:
            values = values / np.where(np.ptp(values, axis=0) > 0, values.std(axis=0), 1.0)
        scores = PCA(self.n_columns, svd_solver="full").fit_transform(values)
        return pd.DataFrame(scores, index=frame.index, columns=[f"pc{j + 1}" for j in range(self.n_columns)])


TRANSFORMS: dict[str, type[Transform]] = {"rows": Rows, "log": Logarithm, "pca": PrincipalComponents}
AnyTransform = Annotated[Transform, by_name(TRANSFORMS, "transform")]
