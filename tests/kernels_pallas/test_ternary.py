"""Packing and exact products of every form, and what they refuse."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels_pallas
from kernels_pallas import pack_ternary, ternary_matmul, ternary_matmul_int32, unpack_ternary
from kernels_pallas.dispatch import Target, chosen
from kernels_pallas.ternary import cost, packing
from kernels_pallas.ternary.cases import cases
from kernels_pallas.ternary.packing import Base3Ternary, PackedTernary
from tests.kernels_pallas.ternary_oracle import activations, product, weights

PLAIN = ("reference", "xla")
pack = jax.jit(pack_ternary, static_argnames=("layout", "storage"))
unpack = jax.jit(unpack_ternary)


def options(form):
    return {"implementation": form, "interpret": form.startswith("mosaic")}


def exact(form, x, packed):
    """The sums of a form, compiled as a whole: eager calls compile each operation."""
    return jax.jit(lambda x, packed: ternary_matmul_int32(x, packed, **options(form)))(x, packed)


LAYOUTS = ["strips", "rows", "columns"]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 300),
    columns=st.integers(1, 140),
    layout=st.sampled_from(LAYOUTS),
    other=st.sampled_from(LAYOUTS),
)
def test_packing_gives_back_any_shape(rows, columns, layout, other):
    check_packing(rows, columns, layout, other)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (130, 5)])
def test_packing_gives_back_what_it_took(rows, columns):
    for layout, other in itertools.permutations(LAYOUTS, 2):
        check_packing(rows, columns, layout, other)


def check_packing(rows, columns, layout, other):
    w = weights(rows, columns, rows)
    packed = pack(jnp.asarray(w), layout=layout)
    assert packed.codes.dtype == jnp.uint8
    np.testing.assert_array_equal(unpack(packed), w)
    np.testing.assert_array_equal(unpack(packed.with_layout(other)), w)
    kept = pack(jnp.asarray(w), storage="base3")
    assert isinstance(kept, Base3Ternary) and kept.digits.size == -(-rows // 5) * columns
    np.testing.assert_array_equal(unpack(kept), w)


def test_two_bits_a_weight():
    packed = pack(jnp.asarray(weights(256, 384)))
    assert packed.nbytes == 256 * 384 // 4
    assert cost.ternary_matmul(1, 256, 384).bytes_moved == packed.nbytes + 256 + 4 + 4 * 384


def test_byte_order_is_the_documented_one():
    w = weights(256, 256)
    strips, tiles, deep = (np.asarray(pack(jnp.asarray(w), layout=one).codes) for one in LAYOUTS)
    for j in range(4):
        assert strips[1, 7, 5, 9] >> 2 * j & 3 == w[128 + 32 * j + 5, 7 * 16 + 9] + 1
        assert tiles[1, 0, 5, 9] >> 2 * j & 3 == w[128 + 32 * j + 5, 9] + 1
        assert deep[0, 1, 9, 5] >> 2 * j & 3 == w[64 * j + 5, 128 + 9] + 1


@pytest.mark.parametrize(
    ("platform", "layout"), [("cpu", "strips"), ("tpu", "rows"), ("gpu", "columns")]
)
def test_weights_are_packed_for_the_device_at_hand(platform, layout, monkeypatch):
    monkeypatch.setattr(packing, "current_target", lambda: Target(platform, "any"))
    assert pack_ternary(jnp.zeros((3, 3), jnp.int8)).layout == layout


@pytest.mark.parametrize("form", PLAIN)
@pytest.mark.parametrize(
    ("layout", "m", "shape"),
    [
        ("strips", 1, (1, 1)),
        ("strips", 1, (300, 200)),
        ("strips", 2, (130, 5)),
        ("strips", 9, (130, 5)),
        ("rows", 1, (300, 200)),
        ("rows", 9, (130, 5)),
        ("columns", 1, (130, 5)),
        ("columns", 9, (300, 200)),
    ],
)
def test_products_are_exact(form, layout, m, shape):
    x, w = activations(m, shape[0]), weights(*shape)
    packed = pack(jnp.asarray(w), layout=layout)
    found = exact(form, x, packed)
    assert found.dtype == jnp.int32
    np.testing.assert_array_equal(found, product(x, w))


@pytest.mark.parametrize("m", [1, 40])
@pytest.mark.parametrize("shape", [(128, 5), (256, 300)])
def test_tpu_products_are_exact(m, shape):
    x, w = activations(m, shape[0]), weights(*shape)
    found = exact("mosaic_tpu", x, pack(jnp.asarray(w)))
    np.testing.assert_array_equal(found, product(x, w))


@pytest.mark.parametrize(("m", "shape"), [(1, (128, 5)), (9, (512, 70))])
def test_gpu_products_are_exact(m, shape):
    x, w = activations(m, shape[0]), weights(*shape)
    packed = pack(jnp.asarray(w), layout="columns")
    found = exact("mosaic_gpu", x, packed)
    np.testing.assert_array_equal(found, product(x, w))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["mosaic_tpu", "mosaic_gpu"])
@pytest.mark.parametrize(("m", "shape"), [(3, (1024, 1024)), (70, (2816, 256)), (260, (384, 130))])
def test_kernels_at_model_widths_are_exact(form, m, shape):
    x, w = activations(m, shape[0]), weights(*shape)
    packed = pack(jnp.asarray(w), layout="columns" if form == "mosaic_gpu" else "rows")
    found = exact(form, x, packed)
    np.testing.assert_array_equal(found, product(x, w))


@pytest.mark.parametrize("form", [*PLAIN, "mosaic_tpu", "mosaic_gpu"])
def test_extremes_do_not_overflow(form):
    """Rows of -128 and of 127 against columns of -1, of 0 and of 1."""
    x = np.stack([np.full(256, value, np.int8) for value in (-128, 127)])
    w = np.tile(np.array([-1, 0, 1], np.int8), (256, 1))
    found = exact(form, x, pack(jnp.asarray(w)))
    np.testing.assert_array_equal(found, product(x, w))


@settings(max_examples=15, deadline=None)
@given(m=st.integers(1, 3), rows=st.integers(1, 400), columns=st.integers(1, 200))
@pytest.mark.slow
@pytest.mark.long
def test_products_of_any_shape_are_exact(m, rows, columns):
    x, w = activations(m, rows, columns), weights(rows, columns, rows)
    for form in PLAIN:
        found = exact(form, x, pack(jnp.asarray(w)))
        np.testing.assert_array_equal(found, product(x, w))


@pytest.mark.parametrize("form", [*PLAIN, "mosaic_tpu", "mosaic_gpu"])
def test_scale_is_applied_after_the_sum(form):
    x, w = activations(3, 256), weights(256, 20)
    scale = jnp.asarray([[0.5], [np.nan], [np.inf]], jnp.float32)
    packed = pack(jnp.asarray(w))
    found = np.asarray(ternary_matmul(x, scale, packed, **options(form)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0], product(x, w)[0].astype(np.float32) * 0.5)
    assert np.isnan(found[1]).all() and not np.isfinite(found[2]).any()
    half = ternary_matmul(x, scale, packed, out_dtype=jnp.bfloat16, **options(form))
    assert half.dtype == jnp.bfloat16


def test_stacked_weights_pass_through_scan():
    stack = np.stack([weights(128, 128, seed) for seed in range(3)])
    packed = jax.jit(jax.vmap(pack_ternary))(jnp.asarray(stack))
    x = activations(1, 128)

    def layer(x, packed):
        out = ternary_matmul_int32(x, packed)
        return jnp.clip(out, -127, 127).astype(jnp.int8), out

    _, outs = jax.lax.scan(layer, jnp.asarray(x), packed)
    for w, out in zip(stack, outs, strict=True):
        np.testing.assert_array_equal(out, product(x, w))
        x = np.clip(out, -127, 127).astype(np.int8)


@pytest.mark.parametrize(("form", "m"), [("xla", 1), ("xla", 9), ("mosaic_tpu", 1)])
def test_a_matrix_of_a_stack_is_named_by_its_index(form, m):
    stack = np.stack([weights(128, 128, seed) for seed in range(3)])
    packed = jax.vmap(pack_ternary)(jnp.asarray(stack))
    x, scale = jnp.asarray(activations(m, 128)), jnp.full((m, 1), 2.0)
    call = jax.jit(lambda i: ternary_matmul(x, scale, packed, index=i, **options(form)))
    for i, w in enumerate(stack):
        np.testing.assert_array_equal(call(jnp.int32(i)), 2.0 * product(x, w))
    with pytest.raises(ValueError, match="index is .*; needed one whole number"):
        ternary_matmul(x, scale, packed, index=jnp.float32(1))


def test_a_scan_over_a_stack_copies_no_matrix():
    packed = jax.vmap(pack_ternary)(jnp.zeros((4, 512, 512), jnp.int8))
    scale = jnp.ones((1, 1))

    def layer(x, i):
        out = ternary_matmul(x, scale, packed, index=i)
        return jnp.clip(out, -127, 127).astype(jnp.int8), None

    walk = jax.jit(lambda x: jax.lax.scan(layer, x, jnp.arange(4))[0])
    memory = walk.lower(jnp.ones((1, 512), jnp.int8)).compile().memory_analysis()
    assert memory.temp_size_in_bytes < packed.codes[0].nbytes / 2


def test_weights_stay_packed_in_memory():
    """With few rows the CPU form holds no unpacked matrix."""
    packed = pack(jnp.asarray(weights(1024, 1024)))
    x = activations(1, 1024)
    compiled = jax.jit(ternary_matmul_int32).lower(x, packed).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < packed.nbytes / 2


def test_the_form_can_be_asked_for():
    packed = pack(jnp.asarray(weights(256, 8)))
    (choice,) = chosen(ternary_matmul_int32, activations(1, 256), packed)
    assert choice.form == "xla"
    with pytest.raises(ValueError, match="cannot run on"):
        ternary_matmul_int32(activations(1, 256), packed, implementation="pallas")
    odd = pack(jnp.asarray(weights(100, 8)))
    with pytest.raises(ValueError, match="K=100 is not a multiple of 128"):
        ternary_matmul_int32(activations(1, 100), odd, **options("mosaic_tpu"))


def test_no_gradient_is_said_and_not_zero():
    packed = pack(jnp.asarray(weights(128, 8)))
    with pytest.raises(TypeError, match=r"ternary_matmul: it has no gradient; bit_linear"):
        jax.grad(lambda s: ternary_matmul(activations(1, 128), s, packed).sum())(jnp.ones((1, 1)))
    with pytest.raises(TypeError, match="rms_norm_quantize: it has no gradient"):
        jax.grad(lambda x: kernels_pallas.rms_norm_quantize(x, jnp.ones(8))[1].sum())(
            jnp.ones((2, 8))
        )


PACKED = PackedTernary(jnp.zeros((1, 1, 32, 128), jnp.uint8), 128, 8, "rows")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: pack_ternary(jnp.ones((3, 4))), TypeError, "w has dtype float32; needed int8"),
        (lambda: pack_ternary(jnp.ones((3,), jnp.int8)), ValueError, "w has shape"),
        (lambda: pack_ternary(jnp.ones((0, 3), jnp.int8)), ValueError, "no axis may be empty"),
        (lambda: pack_ternary(jnp.full((3, 3), 2, jnp.int8)), ValueError, "other than -1, 0, 1"),
        (lambda: pack_ternary(jnp.full((3, 3), -128, jnp.int8)), ValueError, "other than"),
        (lambda: pack_ternary(jnp.ones((3, 3), jnp.int8), layout="x"), ValueError, "layout='x'"),
        (lambda: pack_ternary(jnp.ones((3, 3), jnp.int8), storage="x"), ValueError, "storage='x'"),
        (lambda: unpack_ternary(jnp.ones((3, 3), jnp.int8)), TypeError, "packed is a"),
        (lambda: ternary_matmul_int32(jnp.ones((1, 128)), PACKED), TypeError, "x has dtype"),
        (
            lambda: ternary_matmul_int32(jnp.ones((1, 9), jnp.int8), PACKED),
            ValueError,
            r"x has shape \(1, 9\); needed \[M, 128\]",
        ),
        (
            lambda: ternary_matmul(jnp.ones((2, 128), jnp.int8), jnp.ones((2,)), PACKED),
            ValueError,
            r"scale has shape \(2,\); needed \[2, 1\]",
        ),
        (
            lambda: ternary_matmul(
                jnp.ones((2, 128), jnp.int8), jnp.ones((2, 1), jnp.bfloat16), PACKED
            ),
            TypeError,
            "scale has dtype bfloat16; needed float32",
        ),
        (
            lambda: ternary_matmul(
                jnp.ones((2, 128), jnp.int8), jnp.ones((2, 1)), PACKED, out_dtype=jnp.int8
            ),
            TypeError,
            "out_dtype is int8; needed a floating type",
        ),
        (
            lambda: ternary_matmul(
                jnp.ones((2, 128), jnp.int8),
                jnp.ones((2, 1)),
                pack_ternary(jnp.ones((128, 8), jnp.int8), storage="base3"),
            ),
            TypeError,
            "packed is a Base3Ternary",
        ),
        (
            lambda: ternary_matmul_int32(
                jnp.ones((1, 128), jnp.int8), PACKED, implementation="triton"
            ),
            ValueError,
            "implementation='triton' does not exist",
        ),
    ],
)
def test_refuses(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_cases_trace():
    """Those the compile report compiles: every form and direction is among them."""
    found = list(cases())
    assert {case.form for case in found} == {"mosaic_tpu", "mosaic_gpu"}
    assert {case.direction for case in found} == {"forward", "backward", "decode", "prefill"}
    assert {case.model.split()[0] for case in found} == {"370M", "1.3B"}
    whole = [(case.form, case.name) for case in found]
    assert len(set(whole)) == len(whole), "a row of the report is one case"


def test_a_stack_of_matrices_is_not_one():
    w = jnp.asarray(np.random.default_rng(0).integers(-1, 2, (3, 40, 8)), jnp.int8)
    stack = jax.vmap(pack_ternary)(w)
    x, scale = jnp.ones((2, 40), jnp.int8), jnp.ones((2, 1), jnp.float32)
    for call in (lambda p: ternary_matmul(x, scale, p), unpack_ternary):
        with pytest.raises(ValueError, match="of a stack of matrices take one"):
            call(stack)
    one = jax.tree.map(lambda codes: codes[1], stack)
    np.testing.assert_array_equal(unpack_ternary(one), w[1])
    wrong = dataclasses.replace(one, layout="zig")
    with pytest.raises(ValueError, match="packed.layout='zig'; choose one of"):
        unpack_ternary(wrong)


def test_a_traced_value_that_is_not_ternary_spoils_itself_alone():
    w = jnp.zeros((128, 1), jnp.int8).at[0, 0].set(3)
    back = unpack_ternary(jax.jit(pack_ternary)(w))
    assert (np.asarray(back)[1:] == 0).all()
