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
from bayesgmm.families.decomposed_charts import Decomposition, contrasts
from bayesgmm.inference.pymc_scalars import pymc_scalar
from bayesgmm.priors.covariances import DecomposedCovariance
from bayesgmm.sweep.stats import Array


def decomposed_covariances(
    prior: DecomposedCovariance, chart: Decomposition, standard: Standard, n_components: int
) -> TensorVariable:
    """Add ``axis_sd``, ``shape`` and ``turn`` to the current model, and return covariances or variances of components.

    ``axis_sd`` is the geometric mean of the standard deviations along the axes, ``shape`` are contrasts of their
    logarithms, and ``turn`` are the coordinates of rotations (``families.rotations``).
    """
    d = standard.scale.size
    dims = [("component",) if letter == "V" else () for letter in chart.letters]
    unit = np.exp(np.log(standard.scale).mean())
    log_sd = pt.log(_each(pymc_scalar(prior.resolved_sd, "axis_sd", 1.0, unit, dims[0]), 0))[:, None]
    if d > 1:
        pm.modelcontext(None).add_coord("contrast", np.arange(1, d))
        shape = pm.Normal("shape", 0.0, np.float64(prior.shape), dims=(*dims[1], "contrast"))
        log_sd = log_sd + _each(shape, 1) @ contrasts(d)
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
        signature="(p)->(p)",
        class_name="UniformRotation",
        dims=(*dims, "plane"),
    )


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
    return change - (n_features - 1) * log_det - rotations.log_volume(n_features)


def _draw_turn(like: TensorVariable, size: TensorVariable, *, n_features: int) -> TensorVariable:
    """Draw the skew-symmetric matrix of a rotation that the polar decomposition of normal numbers makes."""
    d = n_features
    batch = () if rv_size_is_none(size) else tuple(size)
    noise = pm.Normal.dist(size=(*batch, d, d))
    rotation = _orthogonal(noise, d)
    sign = pt.sign(pt.linalg.det(rotation))
    first = np.eye(d)[0]
    rotation = rotation * (1 + (sign[..., None, None] - 1) * first)  # reflections become rotations
    skew = pt.linalg.inv(np.eye(d) + rotation) @ (np.eye(d) - rotation)
    s = skew[..., *np.triu_indices(d, 1)]
    length = pt.sqrt((s**2).sum(-1, keepdims=True))
    return s * pt.arcsinh(length) / length


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
    sizes = 1, d - 1, d * (d - 1) // 2
    for name, letter, count, size in zip(("axis_sd", "shape", "turn"), chart.letters, counts, sizes, strict=True):
        piece, first = v[first : first + count * size].reshape(count, size), first + count * size
        if piece.size:
            values[name] = piece if letter == "V" else piece[0]
    axis_sd = np.exp(values["axis_sd"])
    return {**values, "axis_sd": axis_sd[..., 0]}
