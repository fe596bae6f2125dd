"""Ternary linear layers: quantise activations, pack weights, multiply; and training with both.

The ops of MatMul-free LM and BitNet b1.58 (Zhu et al. 2024, section 3.2; arXiv 2406.02528).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas import checks, manual
from kernels_pallas.dispatch import Op, current_target, run
from kernels_pallas.ternary import reference, xla
from kernels_pallas.ternary.packing import (
    Base3Ternary,
    PackedTernary,
    check_packed,
    matrix_of,
    pack_ternary,
    unpack_ternary,
)

__all__ = [
    "NORM",
    "OP",
    "Base3Ternary",
    "PackedTernary",
    "bit_linear",
    "pack_ternary",
    "rms_norm_quantize",
    "ternary_matmul",
    "ternary_matmul_int32",
    "unpack_ternary",
]

OP = Op("ternary_matmul", pallas=("mosaic_tpu", "mosaic_gpu"), wgmma=True)
NORM = Op("rms_norm_quantize", pallas=("mosaic_tpu", "mosaic_gpu"))
LINEAR = Op("bit_linear", pallas=("mosaic_tpu", "mosaic_gpu"))
PALLAS = ("mosaic_tpu", "mosaic_gpu")


def rms_norm_quantize(
    x: jax.Array,
    weight: jax.Array,
    *,
    eps: float = 1e-6,
    implementation: str = "auto",
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """y = x / sqrt(mean(x^2) + eps) * weight as int8 with a scale for each row: y = int8 * scale.

    scale = max(max|y|, 1e-5) / 127, int8 = round(y / scale), halves to even (Zhu et al. 2024,
    section 3.2). It has no gradient: `bit_linear` is for training.

    Args:
        x: [..., K], floating.
        weight: the norm's gain [K], floating.
        eps: added to the mean square.
        implementation: "auto", "reference", "xla", "pallas", or a Pallas form by its name.
        interpret: run a Pallas form step by step, on any device.

    Returns:
        int8 [..., K] and the scale [..., 1], float32 (float64 for float64 x). A row with a NaN, an
        infinity or a mean square beyond the float range has scale NaN and zeros.

    Raises:
        TypeError: inputs that are not floating point.
        ValueError: shapes that do not fit, an eps that is not positive, or a form that does not
            exist or cannot run here.

    Cost: reads x once, writes one byte an element and four a row; 3 multiplications an element.
    """
    _check_norm("rms_norm_quantize", x, weight, "weight", eps)
    rows = x.reshape(-1, x.shape[-1])
    form = NORM.choose(
        implementation, interpret=interpret, unfit=lambda form: _unfit_norm(form, x, weight)
    )
    fixed = _fixed(implementation, interpret)
    codes, scale = _without_gradient(
        "rms_norm_quantize", lambda x, w: _quantize(form, fixed, interpret, eps, x, w), rows, weight
    )
    return codes.reshape(x.shape), scale.reshape(*x.shape[:-1], 1)


def ternary_matmul(
    x: jax.Array,
    scale: jax.Array,
    packed: PackedTernary,
    *,
    index: jax.Array | None = None,
    out_dtype: Any = jnp.float32,
    implementation: str = "auto",
    interpret: bool = False,
) -> jax.Array:
    """(x @ w) * scale with w in {-1, 0, 1} read at two bits each (Zhu et al. 2024, section 3.2).

    The sum is exact in int32: |x @ w| <= 128 K < 2^31 for K < 2^24. A scale of the weights is the
    caller's to multiply. It has no gradient: `bit_linear` is for training.

    Args:
        x: int8 [M, K].
        scale: float32 [M, 1].
        packed: from `pack_ternary`, of [K, N]; with `index`, a stack of such, with one more axis
            in front of its codes.
        index: which matrix of a stack, a whole number; past the end it is the last. On a CPU with
            few rows the stack is read where it is: inside a `scan` over layers nothing is copied.
        out_dtype: of the result.
        implementation: "auto", "reference", "xla", "pallas", or a Pallas form by its name.
        interpret: run a Pallas form step by step, on any device.

    Returns:
        [M, N] in `out_dtype`.

    Raises:
        TypeError: dtypes other than these.
        ValueError: shapes that do not fit, or a form that does not exist or cannot run here.

    Cost: M K N multiply-adds; K N / 4 bytes of weights, M K of x, 4 M N of the result.
    """
    _check_matmul("ternary_matmul", x, packed, index)
    sizes = {"M": x.shape[0]}
    checks.shapes("ternary_matmul", sizes, scale=(scale, "M 1"))
    if scale.dtype != jnp.float32:
        raise TypeError(f"ternary_matmul: scale has dtype {scale.dtype}; needed float32")
    dtype = jnp.dtype(out_dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"ternary_matmul: out_dtype is {dtype}; needed a floating type")
    form = OP.choose(
        implementation, interpret=interpret, unfit=lambda form: _unfit_matmul(form, x, packed)
    )
    fixed = _fixed(implementation, interpret)

    def product(
        x: jax.Array, scale: jax.Array, packed: PackedTernary, *index: jax.Array
    ) -> jax.Array:
        if index and form != "xla":
            packed, index = matrix_of(packed, *index), ()

        def plain(module: Any) -> Callable[..., jax.Array]:
            return lambda x, scale, packed, *index: (
                module.ternary_matmul_int32(x, packed, *index).astype(jnp.float32) * scale
            ).astype(dtype)

        forms = {"reference": plain(reference), "xla": plain(xla)}
        if form in PALLAS:
            kernel = _module(form).ternary_matmul
            kind = current_target().kind
            forms[form] = functools.partial(kernel, dtype=dtype, interpret=interpret, kind=kind)
        return run(form, forms, x, scale, packed, *index, fixed=fixed)

    which = () if index is None else (jnp.asarray(index),)
    return _without_gradient("ternary_matmul", product, x, scale, packed, *which)


def ternary_matmul_int32(
    x: jax.Array, packed: PackedTernary, *, implementation: str = "auto", interpret: bool = False
) -> jax.Array:
    """x @ w as it is before the scale: int32 [M, N], exact. Arguments as of `ternary_matmul`."""
    _check_matmul("ternary_matmul", x, packed)
    form = OP.choose(
        implementation, interpret=interpret, unfit=lambda form: _unfit_matmul(form, x, packed)
    )
    forms = {"reference": reference.ternary_matmul_int32, "xla": xla.ternary_matmul_int32}
    if form in PALLAS:
        kernel = _module(form).ternary_matmul_int32
        kind = current_target().kind
        forms[form] = functools.partial(kernel, interpret=interpret, kind=kind)
    return run(form, forms, x, packed, fixed=_fixed(implementation, interpret))


def bit_linear(
    x: jax.Array,
    weight: jax.Array,
    norm_weight: jax.Array,
    *,
    eps: float = 1e-6,
    implementation: str = "auto",
    interpret: bool = False,
) -> jax.Array:
    """A linear layer trained as it will run: int8 activations, ternary weights.

    y = RMSNorm(x) * norm_weight; yq = round(127 y / max(max|y|, 1e-5)) for each row;
    sw = 1 / max(mean|W|, 1e-5) of the whole matrix, Wq = clip(round(sw W), -1, 1);
    out = yq Wq / sa / sw (Zhu et al. 2024, section 3.2). Gradients pass both rounders unchanged:
    W's uses the quantised activations, y's the quantised weights.

    Args:
        x: [..., K], floating; the products of the backward pass are in its dtype.
        weight: W [K, N], floating.
        norm_weight: gain of the norm [K], floating.
        eps: of the norm.
        implementation: "auto", "reference", "xla", "pallas", or a Pallas form by its name; the
            norm with quantisation is the kernel, the products are XLA's.
        interpret: run a Pallas form step by step, on any device.

    Returns:
        [..., N] in the dtype of x.

    Raises:
        TypeError: inputs that are not floating point.
        ValueError: shapes that do not fit, or a form that does not exist or cannot run here.

    Cost: M K N multiply-adds in int8 forward, 2 M K N in the dtype of x backward; x, W and the
        norm's gain are kept for the backward pass, which quantises again.
    """
    _check_norm("bit_linear", x, norm_weight, "norm_weight", eps)
    checks.floating("bit_linear", weight=weight)
    checks.shapes("bit_linear", {"K": x.shape[-1]}, weight=(weight, "K N"))
    form = LINEAR.choose(
        implementation, interpret=interpret, unfit=lambda form: _unfit_norm(form, x, norm_weight)
    )
    if form == "reference":
        out = reference.bit_linear(_rows(x), weight, norm_weight, float(eps))
        return out.reshape(*x.shape[:-1], weight.shape[1])
    fixed = _fixed(implementation, interpret)
    arrays = manual.alike((x, weight, norm_weight))
    return _bit_linear(form, fixed, interpret, float(eps), *arrays)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def _bit_linear(form, fixed, interpret, eps, x, weight, norm_weight):
    codes, scale = _quantize(form, fixed, interpret, eps, _rows(x), norm_weight)
    signs, size = reference.quantize_weight(weight)
    product = xla.int8_matmul(codes, signs).astype(scale.dtype)
    # One scale after the other: their product may leave the float range.
    out = (product * scale * size.astype(scale.dtype)).astype(x.dtype)
    return out.reshape(*x.shape[:-1], weight.shape[1])


def _rows(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])


def _bit_linear_forward(form, fixed, interpret, eps, x, weight, norm_weight):
    out = _bit_linear(form, fixed, interpret, eps, x, weight, norm_weight)
    return out, (x, weight, norm_weight)


def _bit_linear_backward(form, fixed, interpret, eps, saved, g):
    # x is kept as it came: several layers that read the same one then keep it once.
    shape, (x, weight, norm_weight) = saved[0].shape, saved
    x, g = _rows(x), _rows(g)
    codes, scale = _quantize(form, fixed, interpret, eps, x, norm_weight)
    signs, size = reference.quantize_weight(weight)
    wide, kind = scale.dtype, x.dtype
    exact = "highest" if kind in (jnp.float32, jnp.float64) else "default"

    def product(a: jax.Array, b: jax.Array) -> jax.Array:
        # Codes up to 128 are exact in half precision too, so the scales stay outside.
        return jnp.matmul(
            a.astype(kind), b.astype(kind), precision=exact, preferred_element_type=wide
        )

    dw = product(codes.T, g.astype(wide) * scale)
    dy = product(g, signs.T) * size.astype(wide)
    gain = norm_weight.astype(wide)
    _, root = xla.norm_and_root(x.astype(wide), gain, eps)
    hat = x.astype(wide) * root
    inner = dy * gain[None]
    dx = root * (inner - hat * jnp.mean(hat * inner, axis=-1, keepdims=True))
    dgain = jnp.sum(dy * hat, axis=0)
    return dx.astype(kind).reshape(shape), dw.astype(weight.dtype), dgain.astype(norm_weight.dtype)


_bit_linear.defvjp(_bit_linear_forward, _bit_linear_backward)


def _quantize(form, fixed, interpret, eps, x, weight):
    """Norm and quantisation of [M, K] in a form."""
    forms = {
        "reference": functools.partial(reference.rms_norm_quantize, eps=eps),
        "xla": functools.partial(xla.rms_norm_quantize, eps=eps),
    }
    if form in PALLAS:
        kernel = _module(form).rms_norm_quantize
        kind = current_target().kind
        forms[form] = functools.partial(kernel, eps=eps, interpret=interpret, kind=kind)
    return run(form, forms, x, weight, fixed=fixed)


def _without_gradient(name: str, function: Callable, *arrays: Any) -> Any:
    """Calls a function whose gradient is zero almost everywhere: asking for it is an error."""

    @jax.custom_vjp
    def call(*arrays):
        return function(*arrays)

    def refuse(*arrays):
        raise TypeError(f"{name}: it has no gradient; bit_linear is the op for training")

    call.defvjp(refuse, refuse)
    return call(*arrays)


def _fixed(implementation: str, interpret: bool) -> bool:
    return implementation != "auto" or interpret


def _module(form: str) -> Any:
    """A Pallas form's file, imported when it is first used: importing Pallas takes long."""
    if form == "mosaic_tpu":
        from kernels_pallas.ternary import mosaic_tpu

        return mosaic_tpu
    from kernels_pallas.ternary import mosaic_gpu

    return mosaic_gpu


def _unfit_norm(form: str, x: jax.Array, weight: jax.Array) -> str:
    for name, array in (("x", x), ("its weight", weight)):
        if array.dtype not in (jnp.float32, jnp.bfloat16):
            return f"{name} is {array.dtype}; the kernel takes float32 and bfloat16"
    return _module(form).unfit_width(x.shape[-1])


def _unfit_matmul(form: str, x: jax.Array, packed: PackedTernary) -> str:
    return _module(form).unfit_matmul(x.shape[0], packed)


def _check_norm(op: str, x: jax.Array, weight: jax.Array, name: str, eps: float) -> None:
    checks.floating(op, x=x, **{name: weight})
    if x.ndim < 1 or 0 in x.shape:
        raise ValueError(f"{op}: x has shape {x.shape}; needed [..., K], no axis empty")
    checks.shapes(op, {"K": x.shape[-1]}, **{name: (weight, "K")})
    if not eps > 0:
        raise ValueError(f"{op}: eps={eps!r}; needed a positive number")


def _check_matmul(
    op: str, x: jax.Array, packed: PackedTernary, index: jax.Array | None = None
) -> None:
    if index is not None:
        if jnp.ndim(index) or not jnp.issubdtype(jnp.asarray(index).dtype, jnp.integer):
            raise ValueError(f"{op}: index is {index}; needed one whole number")
        packed = jax.eval_shape(matrix_of, packed, index)
    check_packed(op, packed)
    checks.arrays(op, x=x)
    if x.dtype != jnp.int8:
        raise TypeError(f"{op}: x has dtype {x.dtype}; needed int8")
    checks.shapes(op, {"K": packed.rows}, x=(x, "M K"))
