"""Calls of a prior's density from native code: one C signature, with sizes and addresses in an array of integers.

So the log posterior need not be compiled again for a new prior, and all compiled code is cached on disk.
"""

from collections import namedtuple
from enum import IntEnum

from bayesgmm.families.decomposition_kernels import Parts
from bayesgmm.late import Late
from bayesgmm.sweep.compilation import Callback, callback, jit
from bayesgmm.sweep.layout import Array, IntArray

pointers = Late("bayesgmm.sweep.pointers")

PriorDensity = Callback[[object], float]
prior_density = callback("float64(CPointer(int64))")
"""Decorator: compile a prior's log density as a native function of a call, which ``arguments`` reads."""

Arguments = namedtuple(
    "Arguments",
    "n_components n_features chart n_cores parts params extra log_weight mean core coordinates "
    "grad_extra grad_log_weight grad_mean grad_core grad_coordinates",
)
"""Arguments of a prior's density: what it reads, and the gradients to which it adds.

``chart`` is the code of the family's chart, ``n_cores`` the number of its roots: one per component, or one for all.
``extra`` are the prior's own coordinates; ``log_weight`` (K,), ``mean`` (K * D) and ``core`` (roots in core shape,
flat) are the mixture, standardised. ``grad_core`` is the gradient in the roots' coordinates, the others are gradients
in the quantities that they are named after. The density is over those coordinates, ``extra``, means and weights; it
does not depend on the coordinates of weights and means.

Of a family by volume, shape and orientation, ``parts`` are the numbers of its parts, and ``coordinates`` those of its
chart; ``chart``, ``core`` and ``grad_core`` are those of roots without its restrictions, and the density is over its
coordinates. Of other families, ``parts`` are zeros.
"""


class Call(IntEnum):
    """Items of a call of a prior's density: sizes, then addresses."""

    N_COMPONENTS = 0
    N_FEATURES = 1
    CHART = 2
    N_CORES = 3
    PARAMS_SIZE = 4
    EXTRA_SIZE = 5
    CORE_SIZE = 6
    COORDINATES_SIZE = 7
    INNER_SIZE = 8
    VOLUMES = 9
    SHAPES = 10
    ORIENTATIONS = 11
    ORDERED_SHAPES = 12
    PARAMS = 13
    EXTRA = 14
    LOG_WEIGHT = 15
    MEAN = 16
    CORE = 17
    COORDINATES = 18
    GRAD_EXTRA = 19
    GRAD_LOG_WEIGHT = 20
    GRAD_MEAN = 21
    GRAD_CORE = 22
    GRAD_COORDINATES = 23


CALL_SIZE = len(Call)


@jit
def floats(call: IntArray, item: int, size: int) -> Array:
    """Return the array of float64 numbers whose address is one item of a call."""
    return pointers.carray(pointers.floats_at(call[item]), size)


@jit
def arguments(call_: object) -> Arguments:
    """Return the arguments of a call of a prior's density, as arrays."""
    call = pointers.carray(call_, CALL_SIZE)
    k, d, core, extra = call[Call.N_COMPONENTS], call[Call.N_FEATURES], call[Call.CORE_SIZE], call[Call.EXTRA_SIZE]
    v, inner = call[Call.COORDINATES_SIZE], call[Call.INNER_SIZE]
    return Arguments(
        k,
        d,
        call[Call.CHART],
        call[Call.N_CORES],
        Parts(call[Call.VOLUMES], call[Call.SHAPES], call[Call.ORIENTATIONS], call[Call.ORDERED_SHAPES]),
        floats(call, Call.PARAMS, call[Call.PARAMS_SIZE]),
        floats(call, Call.EXTRA, extra),
        floats(call, Call.LOG_WEIGHT, k),
        floats(call, Call.MEAN, k * d),
        floats(call, Call.CORE, core),
        floats(call, Call.COORDINATES, v),
        floats(call, Call.GRAD_EXTRA, extra),
        floats(call, Call.GRAD_LOG_WEIGHT, k),
        floats(call, Call.GRAD_MEAN, k * d),
        floats(call, Call.GRAD_CORE, inner),
        floats(call, Call.GRAD_COORDINATES, v),
    )
