"""Every form of the product with kept blocks against float64, its gradients, what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels_pallas import block_sparse_matmul, dispatch, pack_blocks, unpack_blocks
from kernels_pallas.block_sparse_matmul import BlockPattern, choice, mosaic_tpu, xla
from kernels_pallas.block_sparse_matmul.cases import cases
from kernels_pallas.block_sparse_matmul.cost import cost, dense, gathered

FORMS = ("reference", "xla", "dense")


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


KERNEL = {"implementation": "mosaic_tpu", "interpret": True}


def problem(rows, inputs, outputs, block, share=0.4, dtype=np.float32, seed=0):
    """Inputs, a matrix with zero blocks, and which are kept."""
    numbers = np.random.default_rng(seed)
    high, wide = (block, block) if isinstance(block, int) else block
    keep = numbers.random((-(-inputs // high), -(-outputs // wide))) < share
    mask = np.kron(keep, np.ones((high, wide)))[:inputs, :outputs]
    w = mask * numbers.standard_normal((inputs, outputs)) / np.sqrt(inputs)
    return jnp.asarray(numbers.standard_normal((rows, inputs)), dtype), jnp.asarray(w, dtype), keep


def by_hand(x, w):
    """Float64, of the whole matrix."""
    return np.asarray(x, np.float64) @ np.asarray(w, np.float64)


def error(found, wanted):
    return np.abs(np.asarray(found, np.float64) - wanted).max(initial=0)


def compiled(pattern, **options):
    return jax.jit(functools.partial(block_sparse_matmul, pattern=pattern, **options))


CASES = {
    "whole blocks": (6, 12, 8, 4),
    "blocks that reach beyond both edges": (5, 10, 7, 4),
    "oblong blocks": (3, 9, 10, (2, 5)),
    "one block": (2, 3, 3, 8),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_every_form_computes_the_product(case, form):
    rows, inputs, outputs, block = CASES[case]
    x, w, _ = problem(rows, inputs, outputs, block, share=0.6)
    blocks, pattern = pack_blocks(w, block)
    found = compiled(pattern, implementation=form)(x, blocks)
    assert found.dtype == x.dtype
    assert error(found, by_hand(x, w)) < 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_columns_without_blocks_are_zero(form):
    x, _, _ = problem(3, 8, 12, 4)
    pattern = BlockPattern(8, 12, ((1, 1),), (4, 4))
    found = compiled(pattern, implementation=form)(x, jnp.ones((1, 4, 4)))
    assert error(found[:, 4:8], np.asarray(x[:, 4:]).sum(1, keepdims=True)) < 1e-5
    assert not np.asarray(found)[:, [0, 1, 2, 3, 8, 9, 10, 11]].any()
    nothing = BlockPattern(8, 12, (), (4, 4))
    empty = jnp.zeros((0, 4, 4))
    assert not np.asarray(compiled(nothing, implementation=form)(x, empty)).any()


sizes = {
    "rows": st.integers(1, 9),
    "inputs": st.integers(1, 13),
    "outputs": st.integers(1, 13),
    "block": st.tuples(st.integers(1, 6), st.integers(1, 6)),
    "share": st.sampled_from([0.0, 0.2, 0.6, 1.0]),
    "seed": st.integers(0, 99),
}


@settings(max_examples=5, deadline=None)
@given(dtype=st.sampled_from([np.float32, jnp.bfloat16]), form=st.sampled_from(FORMS), **sizes)
def test_any_size_block_and_type(rows, inputs, outputs, block, share, seed, dtype, form):
    x, w, keep = problem(rows, inputs, outputs, block, share, dtype, seed)
    blocks, pattern = pack_blocks(w, block, keep=keep)
    assert pattern.density == keep.mean()
    found = compiled(pattern, implementation=form)(x, blocks)
    rounding = 1e-5 if dtype == np.float32 else 8 * float(jnp.finfo(dtype).eps)
    assert found.dtype == dtype and error(found, by_hand(x, w)) < rounding
    np.testing.assert_array_equal(unpack_blocks(blocks, pattern), w)


def gradients(pattern, **options):
    def total(x, blocks):
        return jnp.sum(jnp.sin(block_sparse_matmul(x, blocks, pattern, **options)))

    return jax.jit(jax.grad(total, (0, 1)))


@pytest.mark.parametrize("form", ["xla", "dense"])
def test_gradients_are_those_of_the_definition_in_float64(form):
    with jax.enable_x64(True):
        x, w, _ = problem(5, 10, 7, (4, 3), dtype=np.float64)
        blocks, pattern = pack_blocks(w, (4, 3))
        found = gradients(pattern, implementation=form)(x, blocks)
        wanted = gradients(pattern, implementation="reference")(x, blocks)
        for one, other in zip(found, wanted, strict=True):
            assert one.dtype == jnp.float64 and error(one, np.asarray(other)) < 1e-12


def test_gradients_of_half_precision_and_of_no_blocks():
    x, w, _ = problem(4, 8, 8, 4, dtype=jnp.bfloat16)
    blocks, pattern = pack_blocks(w, 4)
    assert all(one.dtype == jnp.bfloat16 for one in gradients(pattern)(x, blocks))
    nothing = BlockPattern(8, 8, (), (4, 4))
    d_x, d_blocks = gradients(nothing, implementation="xla")(x, blocks[:0])
    assert not np.asarray(d_x).any() and d_blocks.shape == (0, 4, 4)


def test_the_kernel_computes_the_product(monkeypatch):
    monkeypatch.setattr(mosaic_tpu, "ROWS", 16)  # two tiles of rows, the second in part
    x, w, keep = problem(20, 200, 300, 128, share=0.5, dtype=jnp.bfloat16)
    keep[:, 1] = False  # a column that takes one step, and writes zeros
    blocks, pattern = pack_blocks(w, 128, keep=keep)
    found = compiled(pattern, **KERNEL)(x, blocks)
    wanted = by_hand(x, unpack_blocks(blocks, pattern))
    assert found.dtype == jnp.bfloat16
    assert error(found, wanted) < 8 * float(jnp.finfo(jnp.bfloat16).eps)


def test_the_kernels_gradients_are_those_of_the_definition(monkeypatch):
    monkeypatch.setattr(mosaic_tpu, "ROWS", 16)
    x, w, keep = problem(20, 256, 384, 128, share=0.5)
    blocks, pattern = pack_blocks(w, 128, keep=keep)
    found = gradients(pattern, **KERNEL)(x, blocks)
    wanted = gradients(pattern, implementation="reference")(x, blocks)
    for one, other in zip(found, wanted, strict=True):
        assert error(one, np.asarray(other)) < 2e-5


def test_rows_are_taken_in_parts_where_their_copies_are_large(monkeypatch):
    monkeypatch.setattr(xla, "COPIED", 100)
    x, w, _ = problem(7, 10, 9, 4, share=0.7)
    blocks, pattern = pack_blocks(w, 4)
    op = compiled(pattern, implementation="xla")
    assert "while" in op.lower(x, blocks).as_text() and error(op(x, blocks), by_hand(x, w)) < 1e-5


def test_rows_may_have_any_axes():
    x, w, _ = problem(6, 8, 12, 4)
    blocks, pattern = pack_blocks(w, 4)
    found = block_sparse_matmul(x.reshape(1, 2, 3, 8), blocks, pattern)
    assert found.shape == (1, 2, 3, 12)
    assert error(found.reshape(6, 12), by_hand(x, w)) < 1e-5
    many = jax.vmap(lambda one: block_sparse_matmul(one, blocks, pattern))(x.reshape(2, 3, 8))
    assert error(many.reshape(6, 12), by_hand(x, w)) < 1e-5


def test_nan_stays_with_the_blocks_that_see_it():
    pattern = BlockPattern(8, 8, ((0, 0), (1, 1)), (4, 4))
    x = jnp.ones((2, 8)).at[0, 1].set(jnp.nan)
    found = np.asarray(compiled(pattern, implementation="xla")(x, jnp.ones((2, 4, 4))))
    assert np.isnan(found[0, :4]).all() and np.isnan(found).sum() == 4


def test_a_pattern_is_static_under_jit_and_equal_by_value():
    one = BlockPattern(8, 8, ((0, 0), (1, 1)), (4, 4))
    other = BlockPattern(8, 8, ((0, 0), (1, 1)), (4, 4))
    assert one == other and hash(one) == hash(other)
    called = jax.jit(block_sparse_matmul, static_argnums=2)
    for pattern in (one, other):
        called(jnp.ones((2, 8)), jnp.ones((2, 4, 4)), pattern)
    assert called._cache_size() == 1


def test_the_transposed_pattern_of_the_transposed_is_the_first():
    _, w, _ = problem(1, 12, 20, (4, 5), share=0.5)
    blocks, pattern = pack_blocks(w, (4, 5))
    turned, order = pattern.transposed
    over = blocks[np.array(order)].swapaxes(1, 2)
    np.testing.assert_array_equal(unpack_blocks(over, turned), w.T)
    assert turned.transposed[0] == pattern


def test_costs_fall_with_the_density():
    pattern = BlockPattern(512, 512, tuple((row, row) for row in range(8)))
    assert pattern.density == 1 / 8 and pattern.block == (64, 64)
    one, whole = cost(100, pattern), dense(100, pattern)
    assert one.macs == whole.macs / 8 == 100 * 8 * 64 * 64
    assert one.bytes_moved == 4 * (2 * 100 * 512 + 8 * 64 * 64)
    assert whole.bytes_moved == 4 * (2 * 100 * 512 + 512 * 512)
    back = cost(100, pattern, backward=True, itemsize=2)
    assert back.macs == 2 * one.macs
    assert back.bytes_moved == 2 * (3 * 100 * 512 + 2 * 8 * 64 * 64)
    assert gathered(100, pattern) == 2 * 4 * 100 * 512


def test_the_kernel_tells_its_cost():
    from workbench.measure.macs import count

    pattern = BlockPattern(256, 256, ((0, 0), (1, 1)), (128, 128))
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((32, 256), (2, 128, 128))]
    found = count(functools.partial(block_sparse_matmul, pattern=pattern, **KERNEL), *shapes)
    assert found.by_primitive == {"pallas_call": cost(32, pattern).macs}


@pytest.mark.parametrize(("share", "form"), [(1.0, "dense"), (0.02, "xla")])
def test_a_cpu_takes_what_was_fastest(share, form):
    kept = tuple((row, column) for column in range(16) for row in range(16))
    pattern = BlockPattern(1024, 1024, kept[:: round(1 / share)])
    shapes = [(1568, 1024), (len(pattern.kept), 64, 64)]
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    op = functools.partial(block_sparse_matmul, pattern=pattern)
    (made,) = dispatch.chosen(op, *arrays, device="cpu")
    assert made.form == form == choice.fastest(1568, pattern)


def test_accelerators_keep_xlas_own_until_the_kernel_is_asked_for():
    pattern = BlockPattern(256, 256, ((0, 0),), (128, 128))
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((32, 256), (1, 128, 128))]
    op = functools.partial(block_sparse_matmul, pattern=pattern)
    target = dispatch.target_named("tpu", "TPU v5 lite")
    made = dispatch.first_choice(op, *arrays, target=target)
    assert made.form == "xla" and "has not been timed" in made.why
    asked = functools.partial(op, implementation="pallas")
    assert dispatch.first_choice(asked, *arrays, target=target).form == "mosaic_tpu"


@pytest.mark.parametrize(
    ("block", "dtype", "message"),
    [
        (64, "float32", "blocks of 64 x 64 do not fill 128 lanes; pack blocks of 128"),
        (128, "float16", "x has dtype float16; mosaic_tpu takes float32"),
    ],
)
def test_what_the_kernel_cannot_take_is_named(block, dtype, message):
    x, w, _ = problem(4, 128, 128, block, share=1.0, dtype=dtype)
    blocks, pattern = pack_blocks(w, block)
    with pytest.raises(ValueError, match=f"implementation='mosaic_tpu': {message}"):
        block_sparse_matmul(x, blocks, pattern, **KERNEL)


def test_what_does_not_fit_is_named():
    x, w, _ = problem(4, 8, 8, 4, share=1.0)
    blocks, pattern = pack_blocks(w, 4)
    op = block_sparse_matmul
    with pytest.raises(ValueError, match=r"x has shape \(4, 7\); needed \[..., 8\]"):
        op(x[:, :7], blocks, pattern)
    with pytest.raises(ValueError, match=r"blocks has shape \(3, 4, 4\); .* keeps \[4, 4, 4\]"):
        op(x, blocks[:3], pattern)
    with pytest.raises(TypeError, match="blocks has dtype bfloat16 but x has float32"):
        op(x, blocks.astype(jnp.bfloat16), pattern)
    with pytest.raises(TypeError, match="pattern is of type tuple; needed a BlockPattern"):
        op(x, blocks, ((0, 0),))
    with pytest.raises(ValueError, match="implementation='rows' does not exist; choose one of"):
        op(x, blocks, pattern, implementation="rows")
    with pytest.raises(ValueError, match="implementation='pallas' cannot run on cpu"):
        op(x, blocks, pattern, implementation="pallas")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": 0}, "rows=0; needed a whole number from 1 on"),
        ({"block": 0}, "block=0; needed a whole number from 1 on"),
        ({"block": (4, 4, 4)}, r"block=\(4, 4, 4\); needed a whole number from 1 on, or two"),
        ({"kept": ((2, 0),)}, r"kept has block \(2, 0\); a matrix of 8 x 8 has 2 x 2 blocks"),
        ({"kept": ((0, 1), (0, 0))}, "kept must name each block once, column by column"),
        ({"kept": ((0, 0), (0, 0))}, "kept must name each block once"),
    ],
)
def test_a_pattern_that_is_none_is_named(fields, message):
    with pytest.raises(ValueError, match=f"BlockPattern: {message}"):
        BlockPattern(**{"rows": 8, "columns": 8, "kept": (), "block": (4, 4), **fields})


def test_packing_needs_to_know_what_is_kept():
    w = jnp.ones((8, 8))
    with pytest.raises(ValueError, match="w is traced, so which blocks are zero is not known"):
        jax.jit(lambda w: pack_blocks(w, 4)[0])(w)
    keep = np.eye(2, dtype=bool)
    blocks = jax.jit(lambda w: pack_blocks(w, 4, keep=keep)[0])(w)
    assert blocks.shape == (2, 4, 4)
    with pytest.raises(ValueError, match=r"keep is bool\[1, 2\]; needed bool\[2, 2\]"):
        pack_blocks(w, 4, keep=keep[:1])
    with pytest.raises(ValueError, match=r"w has shape \(8,\); needed \[K, N\]"):
        pack_blocks(w[0], 4)


def test_cases_are_layers_with_few_blocks_in_both_directions():
    found = list(cases())
    assert {case.direction for case in found} == {"forward", "backward"}
    densities = [
        case.arrays[1].shape[0] * 128 * 128 / (case.arrays[0].shape[1] * out)
        for case, out in ((one, one.arrays[2].shape[1]) for one in found if len(one.arrays) == 3)
    ]
    assert len(densities) == 2 and max(densities) < 0.26
