"""The count equals the analytic formula, whatever wraps the products."""

import functools

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.experimental import pallas as pl
from jax.sharding import AbstractMesh, AxisType
from jax.sharding import PartitionSpec as P

from workbench.measure import macs


def shaped(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


sizes = st.integers(1, 6)


@given(b=sizes, m=sizes, k=sizes, n=sizes)
@settings(max_examples=25, deadline=None)
def test_batched_dot(b, m, k, n):
    counted = macs.count(lambda x, y: x @ y, shaped(b, m, k), shaped(b, k, n))
    assert counted.total == b * m * k * n
    # jnp.matmul drops a batch axis of length 1, and with it what told it from a linear layer.
    assert counted.no_bmm == (0 if b > 1 else counted.total)
    assert macs.count(jnp.matmul, shaped(b, m, k), shaped(b, k, n), weights=()).no_bmm == 0


@given(
    batch=sizes,
    height=st.integers(5, 9),
    width=st.integers(5, 9),
    groups=st.integers(1, 3),
    per_group=st.integers(1, 3),
    out_per_group=st.integers(1, 3),
    taps=st.integers(1, 3),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    padding=st.integers(0, 2),
)
@settings(max_examples=40, deadline=None)
def test_convolution(
    batch, height, width, groups, per_group, out_per_group, taps, stride, dilation, padding
):
    def conv(x, w):
        return lax.conv_general_dilated(
            x,
            w,
            window_strides=(stride, 1),
            padding=[(padding, 0), (padding, padding)],
            rhs_dilation=(dilation, dilation),
            feature_group_count=groups,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    x = shaped(batch, height, width, groups * per_group)
    w = shaped(taps, taps, per_group, groups * out_per_group)
    reach = dilation * (taps - 1) + 1
    rows = (height + padding - reach) // stride + 1
    columns = width + 2 * padding - reach + 1
    expected = batch * rows * columns * taps * taps * per_group * groups * out_per_group
    assert macs.count(conv, x, w).total == expected
    assert macs.count(conv, x, w).no_bmm == expected


@given(size=st.integers(1, 7), taps=st.integers(1, 4), stride=st.integers(2, 3), c=sizes, o=sizes)
@settings(max_examples=25, deadline=None)
def test_transposed_convolution_multiplies_each_input_by_each_tap(size, taps, stride, c, o):
    def upsample(x, w):
        full = taps - 1
        return lax.conv_general_dilated(
            x,
            w,
            (1,),
            [(full, full)],
            lhs_dilation=(stride,),
            dimension_numbers=("NHC", "HIO", "NHC"),
        )

    counted = macs.count(upsample, shaped(2, size, c), shaped(taps, c, o))
    assert counted.total == 2 * size * taps * c * o


def test_gradients_of_a_convolution_cost_what_the_convolution_does():
    x, w = shaped(4, 8, 8, 6), shaped(3, 3, 2, 6)

    def conv(x, w):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, w, (1, 1), "VALID", feature_group_count=3, dimension_numbers=numbers
        ).sum()

    forward = 4 * 6 * 6 * 6 * 3 * 3 * 2
    assert macs.count(conv, x, w).total == forward
    assert macs.count(jax.grad(conv, argnums=1), x, w).total == forward


def test_what_no_result_needs_is_not_counted():
    def net(x):
        _ = x @ x
        return lax.scan(lambda c, _: (c, c @ c), x, None, length=3)[0]

    assert macs.count(net, shaped(4, 4)).total == 0


def test_agrees_with_xla_on_products():
    def net(x, w, v):
        return jnp.maximum(x @ w, 0) @ v

    shapes = shaped(64, 128), shaped(128, 256), shaped(256, 32)
    flops = jax.jit(net).lower(*shapes).compile().cost_analysis()["flops"]
    counted = macs.count(net, *shapes).total
    elementwise = 64 * 256
    assert abs(flops - 2 * counted) <= 2 * elementwise


def test_scan_counts_its_length():
    def net(x, w):
        return lax.scan(lambda c, _: (jnp.tanh(c @ w), None), x, None, length=7)[0]

    assert macs.count(net, shaped(3, 4), shaped(4, 4)).total == 7 * 3 * 4 * 4


def test_fixed_fori_loop_and_map_are_scans():
    def net(x, w):
        return lax.map(lambda row: lax.fori_loop(0, 5, lambda _, r: r @ w, row), x)

    assert macs.count(net, shaped(6, 4), shaped(4, 4)).total == 6 * 5 * 16


def test_switch_counts_its_dearest_branch():
    def net(i, x):
        return lax.switch(i, [lambda a: a, lambda a: a @ a, lambda a: a @ a @ a], x)

    assert macs.count(net, shaped(dtype=jnp.int32), shaped(4, 4)).total == 2 * 4**3


def test_choice_by_platform_counts_the_form_of_all_others():
    def once(a):
        return a @ a

    def twice(a):
        return a @ a @ a

    def net(x, here, others):
        return lax.platform_dependent(x, cpu=here, default=others)

    for here, others, products in ((once, twice, 2), (twice, once, 1)):
        op = functools.partial(net, here=here, others=others)
        assert macs.count(op, shaped(4, 4)).total == products * 4**3
        assert macs.count(jax.jit(op), shaped(4, 4)).total == products * 4**3

    def named(x):
        return lax.platform_dependent(x, cpu=once, tpu=twice)

    assert macs.count(named, shaped(4, 4)).total == 2 * 4**3, "the dearest where all are named"


def test_while_needs_its_trip_count():
    def net(x, n):
        with jax.named_scope("solver"):
            return lax.while_loop(lambda s: s[1] < n, lambda s: (s[0] @ s[0], s[1] + 1), (x, 0))[0]

    args = shaped(4, 4), shaped(dtype=jnp.int32)
    with pytest.raises(macs.UncountableError, match="while loop in scope 'solver'"):
        macs.count(net, *args)
    assert macs.count(net, *args, trip_counts=3).total == 3 * 64
    assert macs.count(net, *args, trip_counts={"solver": 5}).total == 5 * 64


def test_while_without_products_needs_nothing():
    assert macs.count(lambda n: lax.while_loop(lambda i: i < n, lambda i: i + 1, 0), 5).total == 0


@jax.custom_vjp
def own_gradient(x, w):
    return x @ w


own_gradient.defvjp(lambda x, w: (x @ w, (x, w)), lambda r, g: (g @ r[1].T, r[0].T @ g))


@jax.custom_jvp
def own_tangent(x, w):
    return x @ w


own_tangent.defjvp(lambda p, t: (p[0] @ p[1], t[0] @ p[1]))


@pytest.mark.parametrize(
    "wrap",
    [
        jax.jit,
        jax.checkpoint,
        lambda f: own_gradient,
        lambda f: own_tangent,
        lambda f: jax.jit(jax.checkpoint(jax.jit(f))),
        lambda f: jax.vmap(f, in_axes=(0, None)),
    ],
)
def test_wrappers_change_nothing(wrap):
    counted = macs.count(wrap(lambda x, w: x @ w), shaped(2, 3, 4), shaped(4, 5))
    assert counted.total == counted.no_bmm == 2 * 3 * 4 * 5


def test_shard_map_counts_every_shard():
    mesh = AbstractMesh((4,), ("data",), axis_types=(AxisType.Auto,))
    sharded = jax.shard_map(
        lambda x, w: x @ w, mesh=mesh, in_specs=(P("data"), P()), out_specs=P("data")
    )
    assert macs.count(sharded, shaped(8, 3), shaped(3, 5)).total == 8 * 3 * 5


def test_ragged_dot():
    def experts(x, w, counts):
        return lax.ragged_dot(x, w, counts)

    args = shaped(6, 3), shaped(2, 3, 4), shaped(2, dtype=jnp.int32)
    assert macs.count(experts, *args).total == 6 * 3 * 4
    grad = jax.grad(lambda w, x, c: experts(x, w, c).sum())
    assert macs.count(grad, args[1], args[0], args[2]).total == 6 * 3 * 4


def square_kernel(x_ref, o_ref):
    o_ref[...] = x_ref[...] @ x_ref[...]


def kernel(estimate):
    out = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    return pl.pallas_call(square_kernel, out_shape=out, cost_estimate=estimate)


def test_kernels_tell_their_cost():
    estimate = pl.CostEstimate(flops=1024, transcendentals=0, bytes_accessed=512)
    assert macs.count(kernel(estimate), shaped(8, 8)).by_primitive == {"pallas_call": 512}
    with pytest.raises(macs.UncountableError, match="'square_kernel' declares no cost"):
        macs.count(kernel(None), shaped(8, 8))


def attention(x, w, *, marked):
    """One head of width 4 over 6 tokens: 3 linear layers of 96, two products of 144."""
    q, k, v = (x @ w[i] for i in range(3))
    with jax.named_scope("attention_product") if marked else jax.named_scope("other"):
        return jax.nn.softmax(q @ k.T) @ v


def test_attention_by_scope_and_by_the_flow_of_data():
    args = shaped(6, 4), shaped(3, 4, 4)
    unmarked = macs.count(functools.partial(attention, marked=False), *args)
    by_scope = macs.count(functools.partial(attention, marked=True), *args)
    by_flow = macs.count(functools.partial(attention, marked=False), *args, weights=1)
    assert unmarked.total == by_scope.total == by_flow.total == 3 * 96 + 2 * 144
    assert by_scope.no_bmm == by_flow.no_bmm == 3 * 96
    assert unmarked.no_bmm == unmarked.total, "a product without batch looks like a layer"
    assert by_scope.by_primitive == {"dot_general": 288, "attention_product": 288}
    assert by_scope.scope("attention_product") == 288


def test_flow_passes_loops_and_closures():
    weight = jnp.ones((4, 4))

    def net(x):
        def layer(carry, _):
            return jax.jit(lambda a: a @ weight)(carry), carry @ carry.T

        return lax.scan(layer, x, None, length=2)

    counted = macs.count(net, shaped(3, 4), weights=())
    assert counted.total == 2 * (3 * 4 * 4 + 3 * 4 * 3)
    assert counted.no_bmm == 2 * 3 * 4 * 4


def test_flow_through_a_carry_that_starts_constant():
    def net(x):
        return lax.scan(lambda c, row: (c + row, c[None] @ c[:, None]), jnp.zeros(4), x)

    assert macs.count(net, shaped(5, 4), weights=()).no_bmm == 0


def test_batched_product_with_weights_can_be_marked():
    def tiles(x, u):
        with jax.named_scope("weight_product"):
            return jnp.einsum("tnc,tco->tno", x, u)

    args = shaped(16, 10, 4), shaped(16, 4, 5)
    assert macs.count(tiles, *args).no_bmm == 16 * 10 * 4 * 5
    assert macs.count(lambda x, u: x @ u, *args, weights=1).no_bmm == 16 * 10 * 4 * 5


def test_gradient_keeps_the_marks():
    loss = jax.value_and_grad(lambda x, w: attention(x, w, marked=True).sum(), argnums=(0, 1))
    counted = macs.count(loss, shaped(6, 4), shaped(3, 4, 4))
    assert counted.total == 3 * (3 * 96 + 2 * 144)
    assert counted.no_bmm == 3 * 3 * 96


def test_what_is_left_out_is_named():
    assert macs.count(jnp.fft.fft, shaped(8, dtype=jnp.complex64)).uncounted == ("fft",)


def test_unknown_argument_of_weights():
    with pytest.raises(ValueError, match="weights names argument 3"):
        macs.count(lambda x: x, shaped(2), weights=3)
    with pytest.raises(ValueError, match="weights names argument 'w'"):
        macs.count(lambda x: x, shaped(2), weights="w")


def test_keyword_weights():
    counted = macs.count(lambda x, *, w: x @ w, shaped(3, 4), w=shaped(4, 5), weights="w")
    assert counted.no_bmm == 60


@pytest.mark.parametrize("shape", [(2, 64, 4, 8), (1, 64, 1, 8), (1, 1024, 2, 8)])
def test_our_attention_costs_what_its_formula_says(shape):
    from kernels_pallas.attention import attention
    from kernels_pallas.attention.cost import cost

    qkv = [shaped(*shape)] * 3
    for implementation in ("reference", "xla"):
        run = functools.partial(attention, implementation=implementation)
        counted = macs.count(run, *qkv, weights=())
        assert counted.total == cost(shape, shape, shape).macs
        assert counted.no_bmm == 0


def test_our_causal_attention_skips_what_its_formula_says():
    from kernels_pallas import tuning
    from kernels_pallas.attention import attention
    from kernels_pallas.attention.cost import cost, tiled_pairs
    from kernels_pallas.attention.tiles import tiles

    shape, qkv = (1, 2048, 2, 8), [shaped(1, 2048, 2, 8)] * 3
    sizes = tuning.blocks("attention", "xla", "cpu")
    for window in (None, 100):
        cut = tiles((1, 2, 1, 2048, 8), 2048, sizes, True, window, 1.0)
        pairs = tiled_pairs(cut, 2048, 2048)
        assert pairs < 0.6 * 2048**2

        def run(q, k, v, window=window):
            return attention(q, k, v, causal=True, window=window)

        forward = cost(shape, shape, shape, pairs=pairs).macs
        backward = cost(shape, shape, shape, pairs=pairs, backward=True).macs
        assert macs.count(run, *qkv).total == forward
        both = jax.grad(lambda *a, run=run: run(*a).sum(), argnums=(0, 1, 2))
        assert macs.count(both, *qkv).total == forward + backward
