"""What compiled EM reads: an array of integers, with sizes, letters of the family, and addresses.

So EM's kernels call its step by an address, as native code of its own: it is most of the code, and would be compiled
into each of them.
"""

from bayesgmm.families.maximisation_kernels import Rules
from bayesgmm.late import Late
from bayesgmm.priors.native_calls import floats
from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.layout import IntArray
from bayesgmm.sweep.orchestration import NativePoints

pointers = Late("bayesgmm.sweep.pointers")

N_COMPONENTS, N_FEATURES, N_POINTS, VOLUME, SHAPE, ORIENTATION = range(6)
STATE_SIZE, SUMS_SIZE, STEP, RESTRICTING = range(6, 10)
X, WEIGHT, BACKGROUND, LATENT, LABELS = range(10, 20, 2)  # addresses of arrays; after each, the size
SCALE, FLOOR, PIVOTS, NUMBERS = range(20, 28, 2)
PLAN_SIZE = 28
ADDED, NEEDED, NEEDED_TOGETHER, VANISHING, SINGULAR, EXPONENT = range(6)  # places in the numbers


@jit
def points_of(plan: IntArray) -> NativePoints:
    """Return the points of a plan."""
    return NativePoints(
        floats(plan, X, plan[X + 1]),
        floats(plan, WEIGHT, plan[WEIGHT + 1]),
        floats(plan, BACKGROUND, plan[BACKGROUND + 1]),
        pointers.carray(pointers.integers_at(plan[LATENT]), plan[LATENT + 1]),
        floats(plan, LABELS, plan[LABELS + 1]),
        plan[N_POINTS],
        plan[N_FEATURES],
    )


@jit
def rules_of(plan: IntArray) -> Rules:
    """Return the rules of the M step of a plan."""
    numbers = floats(plan, NUMBERS, plan[NUMBERS + 1])
    return Rules(
        plan[VOLUME],
        plan[SHAPE],
        plan[ORIENTATION],
        numbers[ADDED],
        floats(plan, SCALE, plan[SCALE + 1]),
        floats(plan, FLOOR, plan[FLOOR + 1]),
        numbers[NEEDED],
        numbers[NEEDED_TOGETHER],
        numbers[VANISHING],
        numbers[SINGULAR],
        numbers[EXPONENT],
        floats(plan, PIVOTS, plan[PIVOTS + 1]),
        plan[RESTRICTING],
    )
