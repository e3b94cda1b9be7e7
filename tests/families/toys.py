"""Families that are not in the registry: a structure without a chart, and other combinations of the parts."""

from dataclasses import dataclass
from typing import ClassVar

from bayesgmm.families.charts import Logarithms
from bayesgmm.families.diagonals import Diagonals, Multiples
from bayesgmm.families.family import Family
from bayesgmm.families.sharing import OneForAll


@dataclass(frozen=True)
class EqualSpheres(Family):
    """One variance for all components and columns, without a chart: EII of mclust."""

    name: ClassVar = "EII"
    sharing: ClassVar = OneForAll()
    form: ClassVar = Multiples()
    needs_common_scale: ClassVar = True


@dataclass(frozen=True)
class ChartedEqualSpheres(EqualSpheres):
    """The same with a chart."""

    name: ClassVar = "EII with a chart"
    chart: ClassVar = Logarithms(OneForAll(), Multiples())


@dataclass(frozen=True)
class EqualDiagonals(Family):
    """One diagonal covariance for all components: EEI of mclust."""

    name: ClassVar = "EEI"
    sharing: ClassVar = OneForAll()
    form: ClassVar = Diagonals()
    chart: ClassVar = Logarithms(OneForAll(), Diagonals())


CHARTED = {family.name: family for family in (ChartedEqualSpheres(), EqualDiagonals())}
TOYS = {"EII": EqualSpheres(), **CHARTED}
