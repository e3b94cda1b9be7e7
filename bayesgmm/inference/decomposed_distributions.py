"""Volume, shape and orientation as PyMC variables, and the covariances that they make.

The log densities are written independently of the native ones, so that tests can compare the two.
"""

from functools import partial

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.shape_utils import rv_size_is_none
from pytensor.tensor.variable import TensorVariable

from bayesgmm.data.standards import Standard
from bayesgmm.families import rotations
from bayesgmm.families.decomposed_charts import Decomposition, contrasts, steps_down
from bayesgmm.inference.pymc_scalars import pymc_scalar
from bayesgmm.priors.covariances import DecomposedCovariance
from bayesgmm.priors.shapes import log_constant
from bayesgmm.sweep.stats import Array


def decomposed_covariances(
    prior: DecomposedCovariance, chart: Decomposition, standard: Standard, n_components: int
) -> TensorVariable:
    """Add volumes, shapes and orientations to the current model; return covariances or variances of components.

    ``axis_sd`` is the geometric mean of the standard deviations along the axes, ``shape`` are contrasts of their
    logarithms or ``log_step`` logarithms of their differences, and ``turn`` coordinates of rotations
    (``families.rotations``).
    """
    d = standard.scale.size
    dims = [("component",) if letter == "V" else () for letter in chart.letters]
    unit = np.exp(np.log(standard.scale).mean())
    log_sd = pt.log(_each(pymc_scalar(prior.resolved_sd, "axis_sd", 1.0, unit, dims[0]), 0))[:, None]
    if d > 1:
        pm.modelcontext(None).add_coord("contrast", np.arange(1, d))
        log_sd = log_sd + _shapes(prior.shape, d, dims[1], chart.ordered)
    log_sd = pt.broadcast_to(log_sd, (n_components, d))
    ratios = np.broadcast_to(prior.ratios(), (d,))
    if chart.letters[2] == "I":
        variance = pt.exp(2 * log_sd) * ratios**2
        return pm.Deterministic("variance", variance, dims=("component", "feature"))
    half = pt.exp(log_sd)[:, :, None] * np.eye(d)
    if d > 1:
        turn = uniform_turn("turn", d, dims[2])
        half = rotation_of(_each(turn, 1), d) * pt.exp(log_sd)[:, None, :]
    half = half * ratios[:, None]
    return pm.Deterministic("covariance", half @ half.mT, dims=("component", "feature", "feature_bis"))


def _shapes(scale: float, d: int, dims: tuple[str, ...], ordered: bool) -> TensorVariable:
    """Add ``shape`` or ``log_step`` to the current model; return logarithms of standard deviations about their mean."""
    if not ordered:
        return _each(pm.Normal("shape", 0.0, np.float64(scale), dims=(*dims, "contrast")), 1) @ contrasts(d)
    log_step = pm.CustomDist(
        "log_step",
        np.zeros(d - 1),
        dist=partial(_draw_steps, scale=scale, d=d),
        logp=partial(_log_steps, scale=scale, d=d),
        support_point=_zeros,
        signature="(p)->(p)",
        class_name="EigenvalueSteps",
        dims=(*dims, "contrast"),
    )
    return _each(_from_steps(log_step, d), 1)


def _from_steps(log_step: TensorVariable, d: int) -> TensorVariable:
    return pt.exp(log_step) @ steps_down(np.eye(d - 1))


def _draw_steps(like: TensorVariable, size: TensorVariable, *, scale: float, d: int) -> TensorVariable:
    """Draw eigenvalues of symmetric matrices of normal numbers."""
    noise = pm.Normal.dist(size=(*(() if rv_size_is_none(size) else tuple(size)), d, d))
    values = pt.linalg.eigh((noise + noise.mT) / 2)[0]
    return pt.log(scale * (values[..., 1:] - values[..., :-1]))[..., ::-1]


def _log_steps(value: TensorVariable, like: TensorVariable, *, scale: float, d: int) -> TensorVariable:
    a = _from_steps(value, d)
    rows, columns = np.triu_indices(d, 1)
    repulsion = pt.log(a[..., rows] - a[..., columns]).sum(-1)
    return log_constant(scale, d, ordered=True) - 0.5 * ((a / scale) ** 2).sum(-1) + repulsion + value.sum(-1)


def _each(value: TensorVariable, ndim: int) -> TensorVariable:
    """Return values with an axis that counts components, of length one if there is one value for all."""
    return value if value.ndim > ndim else value[None]


def uniform_turn(name: str, n_features: int, dims: tuple[str, ...]) -> TensorVariable:
    """Add the coordinates of uniform rotations to the current model."""
    pm.modelcontext(None).add_coord("plane", np.arange(n_features * (n_features - 1) // 2))
    return pm.CustomDist(
        name,
        np.zeros(n_features * (n_features - 1) // 2),
        dist=partial(_draw_turn, n_features=n_features),
        logp=partial(_log_turn, n_features=n_features),
        support_point=_zeros,
        signature="(p)->(p)",
        class_name="UniformRotation",
        dims=(*dims, "plane"),
    )


def _zeros(rv: TensorVariable, size: TensorVariable, like: TensorVariable) -> TensorVariable:
    """Return the initial value: zeros, which is no turn, or steps of one."""
    return pt.zeros_like(like) if rv_size_is_none(size) else pt.zeros((*tuple(size), like.shape[-1]))


def _skew(turn: TensorVariable, d: int) -> TensorVariable:
    """Return skew-symmetric matrices (..., D, D) whose length is the hyperbolic sine of that of ``turn``."""
    length = _length(turn)
    rows, columns = np.triu_indices(d, 1)
    places = np.zeros((rows.size, d, d))
    places[np.arange(rows.size), rows, columns], places[np.arange(rows.size), columns, rows] = 1.0, -1.0
    scaled = turn * (pt.sinh(length) / length)[..., None]
    return (scaled @ places.reshape(rows.size, d * d)).reshape((*tuple(turn.shape)[:-1], d, d))


def _length(turn: TensorVariable) -> TensorVariable:
    return pt.sqrt((turn**2).sum(-1) + np.float64(1e-30))  # its slope at zero is not infinite


def rotation_of(turn: TensorVariable, d: int) -> TensorVariable:
    """Return rotations (M, D, D) of coordinates (M, P), by Cayley's transform."""
    return 2 * pt.linalg.inv(np.eye(d) + _skew(turn, d)) - np.eye(d)


def _log_turn(value: TensorVariable, like: TensorVariable, *, n_features: int) -> TensorVariable:
    """Return the log density of uniform rotations: that of the skew-symmetric matrix, and of its change of length."""
    length, size = _length(value), n_features * (n_features - 1) // 2
    change = (size - 1) * pt.log(pt.sinh(length) / length) + pt.log(pt.cosh(length))
    log_det = pt.log(pt.abs(pt.linalg.det(np.eye(n_features) + _skew(value, n_features))))
    return change - n_features * log_det - rotations.log_volume(n_features)


def _draw_turn(like: TensorVariable, size: TensorVariable, *, n_features: int) -> TensorVariable:
    """Draw a uniform rotation, then turn axes to their opposites with probabilities in proportion to the density."""
    d = n_features
    batch = () if rv_size_is_none(size) else tuple(size)
    noise = pm.Normal.dist(size=(*batch, d, d))
    rotation = _orthogonal(noise, d)
    sign = pt.sign(pt.linalg.det(rotation))
    first = np.eye(d)[0]
    rotation = rotation * (1 + (sign[..., None, None] - 1) * first)  # reflections become rotations
    rotation = rotation * _signs(rotation, pm.Uniform.dist(size=(*batch, d)), d)[..., None, :]
    skew = pt.linalg.inv(np.eye(d) + rotation) @ (np.eye(d) - rotation)
    s = skew[..., *np.triu_indices(d, 1)]
    length = pt.sqrt((s**2).sum(-1, keepdims=True))
    return s * pt.arcsinh(length) / length


def _signs(rotation: TensorVariable, uniform: TensorVariable, d: int) -> TensorVariable:
    """Draw signs e (..., D) with probabilities in proportion to det(R + diag(e)), one after the other.

    A determinant is linear in each sign, so that its sum over a sign is twice the determinant without it.
    """
    signs = pt.zeros_like(uniform)
    for j in range(d):
        with_it = pt.linalg.det(rotation + pt.set_subtensor(signs[..., j], 1.0)[..., None] * np.eye(d))
        without = pt.linalg.det(rotation + signs[..., None] * np.eye(d))
        positive = uniform[..., j] < with_it / (2 * without)
        signs = pt.set_subtensor(signs[..., j], pt.where(positive, 1.0, -1.0))
    return signs


def _orthogonal(noise: TensorVariable, d: int) -> TensorVariable:
    """Return orthogonal matrices (..., D, D) by Gram and Schmidt's method."""
    columns: list[TensorVariable] = []
    for j in range(d):
        left = noise[..., j]
        for done in columns:
            left = left - (done * left).sum(-1, keepdims=True) * done
        columns.append(left / pt.sqrt((left**2).sum(-1, keepdims=True)))
    return pt.stack(columns, axis=-1)


def decomposed_values(prior: DecomposedCovariance, chart: Decomposition, covariance: Array) -> dict[str, Array]:
    """Return the values of the variables of ``decomposed_covariances`` at covariances (K, D, D)."""
    k, d, _ = covariance.shape
    relative = covariance / np.outer(*[np.broadcast_to(prior.ratios(), (d,))] * 2)
    root = np.tril(np.linalg.inv(np.linalg.cholesky(relative)))
    core = np.diagonal(root, axis1=1, axis2=2) if chart.letters[2] == "I" else root
    counts, v, first = chart.parts(k), chart.coordinates(core), 0
    values: dict[str, Array] = {}
    shape = "log_step" if chart.ordered else "shape"
    sizes = 1, d - 1, d * (d - 1) // 2
    for name, letter, count, size in zip(("axis_sd", shape, "turn"), chart.letters, counts, sizes, strict=True):
        piece, first = v[first : first + count * size].reshape(count, size), first + count * size
        if piece.size:
            values[name] = piece if letter == "V" else piece[0]
    axis_sd = np.exp(values["axis_sd"])
    return {**values, "axis_sd": axis_sd[..., 0]}
