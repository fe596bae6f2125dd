"""Every form of attention against loops in float64, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels_pallas
from kernels_pallas import dispatch, tuning
from kernels_pallas.attention import OP
from kernels_pallas.attention.cost import cost, seen_pairs, tiled_pairs
from kernels_pallas.attention.tiles import tiles

FORMS = ("reference", "xla")
SMALL = {"plain": 0, "tile": 2048, "rows": 32, "least_rows": 32}
"""Sizes under which arrays of a test are cut into many tiles."""


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(tuning, "blocks", lambda *_: SMALL)


def qkv(batch, t, s, heads, kv_heads, width, out_width, dtype=np.float32, seed=0):
    numbers = np.random.default_rng(seed)
    shapes = (batch, t, heads, width), (batch, s, kv_heads, width), (batch, s, kv_heads, out_width)
    return [jnp.asarray(numbers.standard_normal(shape), dtype) for shape in shapes]


def by_hand(q, k, v, bias=None, causal=False, window=None, segment_ids=None, scale=None):
    """Float64 loops over heads and rows: shares no code with the package."""
    q, k, v = (np.asarray(a, np.float64) for a in (q, k, v))
    batch, t, heads, width = q.shape
    s, share = k.shape[1], heads // k.shape[2]
    full = np.zeros((batch, heads, t, s))
    if bias is not None:
        full = full + np.asarray(bias, np.float64)
    pair = segment_ids if isinstance(segment_ids, tuple) else (segment_ids, segment_ids)
    out = np.zeros((batch, t, heads, v.shape[-1]))
    for b, h, i in np.ndindex(batch, heads, t):
        place, keys = i + s - t, np.arange(s)
        scores = k[b, :, h // share] @ q[b, i, h] * (width**-0.5 if scale is None else scale)
        scores = scores + full[b, h, i]
        hidden = np.zeros(s, bool)
        if causal:
            hidden |= keys > place
        if window is not None:
            hidden |= np.abs(keys - place) >= window
        if segment_ids is not None:
            hidden |= np.asarray(pair[1])[b] != np.asarray(pair[0])[b, i]
        scores[hidden] = -np.inf
        if np.all(np.isneginf(scores)):
            continue
        weights = np.exp(scores - scores.max())
        out[b, i, h] = weights / weights.sum() @ v[b, :, h // share]
    return out


def run(q, k, v, bias=None, **options):
    """The op, compiled at once."""
    static = {name: value for name, value in options.items() if name != "segment_ids"}

    def op(q, k, v, bias, segment_ids):
        return kernels_pallas.attention(q, k, v, bias=bias, segment_ids=segment_ids, **static)

    return jax.jit(op)(q, k, v, bias, options.get("segment_ids"))


def error(found, wanted):
    found, wanted = (np.asarray(a, np.float64) for a in (found, wanted))
    return np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30)


SHAPES_AND_OPTIONS = [
    ((2, 7, 5, 4, 4, 8, 8), {}),
    ((1, 5, 9, 6, 2, 4, 3), {"scale": 0.3}),
    ((2, 6, 8, 2, 1, 8, 8), {"causal": True}),
    ((1, 100, 9, 2, 1, 4, 6), {}),
    ((1, 75, 90, 2, 2, 4, 4), {"causal": True}),
    ((1, 90, 90, 2, 1, 4, 4), {"causal": True, "window": 1}),
    ((2, 90, 100, 4, 2, 4, 4), {"causal": True, "window": 17}),
    ((1, 90, 90, 2, 1, 4, 4), {"window": 8}),
    ((1, 90, 40, 1, 1, 4, 4), {"window": 5}),
    ((1, 40, 90, 1, 1, 4, 4), {"window": 500}),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("shape", "options"), SHAPES_AND_OPTIONS)
def test_forms_agree_with_loops(form, shape, options, small_tiles) -> None:
    q, k, v = qkv(*shape)
    out = run(q, k, v, implementation=form, **options)
    assert error(out, by_hand(q, k, v, **options)) < 3e-6


@pytest.mark.parametrize(("shape", "options"), SHAPES_AND_OPTIONS[::2])
def test_few_scores_go_at_once(shape, options) -> None:
    q, k, v = qkv(*shape)
    out = run(q, k, v, implementation="xla", **options)
    assert error(out, by_hand(q, k, v, **options)) < 3e-6


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_any_shape(data) -> None:
    kv_heads, share = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 3))
    t, s = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    causal = data.draw(st.booleans()) and s >= t
    window = data.draw(st.one_of(st.none(), st.integers(1, 80)))
    batch = data.draw(st.integers(1, 3))
    numbers = np.random.default_rng(data.draw(st.integers(0, 99)))
    segments = None
    if data.draw(st.booleans()):
        segments = tuple(jnp.asarray(np.sort(numbers.integers(0, 3, (batch, n)))) for n in (t, s))
    options = {"causal": causal, "window": window, "segment_ids": segments}
    q, k, v = qkv(batch, t, s, kv_heads * share, kv_heads, 3, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "blocks", lambda *_: SMALL)
        out = run(q, k, v, implementation="xla", **options)
    assert error(out, by_hand(q, k, v, **options)) < 3e-6


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("t", [6, 50])
@pytest.mark.parametrize("axes", ["full", "rows", "heads", "keys", "one"])
def test_bias_broadcasts_and_hides(form, t, axes, small_tiles) -> None:
    q, k, v = qkv(2, t, 7, 2, 2, 4, 4)
    shape = {
        "full": (2, 2, t, 7),
        "rows": (1, 1, t, 7),
        "heads": (1, 2, 1, 7),
        "keys": (2, 1, 1, 7),
        "one": (2, 1, t, 1),
    }[axes]
    bias = np.random.default_rng(1).standard_normal(shape)
    if axes != "one":
        bias[..., 3] = -np.inf
    bias[-1, -1, -1] = -np.inf  # a query, or several, that sees nothing
    out = run(q, k, v, bias=jnp.asarray(bias, jnp.float32), implementation=form)
    assert error(out, by_hand(q, k, v, bias)) < 3e-6


@pytest.mark.parametrize("form", FORMS)
def test_segments_see_themselves_alone(form, small_tiles) -> None:
    q, k, v = qkv(2, 60, 60, 2, 1, 4, 4)
    ids = jnp.asarray(np.sort(np.random.default_rng(2).integers(0, 5, (2, 60)), axis=1))
    mine = functools.partial(run, causal=True, implementation=form)
    out = mine(q, k, v, segment_ids=ids)
    assert error(out, by_hand(q, k, v, causal=True, segment_ids=ids)) < 3e-6
    first = np.asarray(ids)[0] == 2
    alone = mine(*(a[:1, first] for a in (q, k, v)))
    np.testing.assert_allclose(out[:1, first], alone, rtol=0, atol=2e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_query_of_no_segment_gives_zero(form) -> None:
    q, k, v = qkv(1, 4, 3, 1, 1, 4, 4)
    ids = jnp.array([[0, 1, 1, 9]]), jnp.array([[0, 0, 1]])
    out = run(q, k, v, segment_ids=ids, implementation=form)
    assert error(out, by_hand(q, k, v, segment_ids=ids)) < 3e-6
    np.testing.assert_array_equal(out[:, 3], 0)


def test_float64_stays_float64(small_tiles) -> None:
    with jax.enable_x64(True):
        q, k, v = qkv(1, 50, 60, 2, 1, 8, 8, np.float64)
        for form in FORMS:
            out = run(q, k, v, causal=True, implementation=form)
            assert out.dtype == jnp.float64
            assert error(out, by_hand(q, k, v, causal=True)) < 1e-14


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_keeps_its_dtype(form, dtype, small_tiles) -> None:
    q, k, v = qkv(1, 50, 60, 2, 2, 40, 8, dtype)
    out = run(q, k, v, implementation=form)
    assert out.dtype == dtype
    assert error(out, by_hand(q, k, v)) < 1e-2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{}, {"causal": True}, {"window": 9}])
def test_nan_stays_nan(form, options, small_tiles) -> None:
    op = jax.jit(functools.partial(kernels_pallas.attention, implementation=form, **options))
    for name in range(3):
        given = qkv(1, 40, 40, 2, 1, 4, 4)
        given[name] = given[name].at[0, 5, 0, 1].set(jnp.nan)
        assert jnp.isnan(op(*given)[0, 5, 0]).any()


def test_large_scores_do_not_overflow(small_tiles) -> None:
    q, k, v = qkv(1, 40, 40, 1, 1, 4, 4)
    out = run(q * 1e4, k * 1e4, v)
    assert np.isfinite(out).all()


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_no_score_matrix_is_held_when_long(direction) -> None:
    q, k, v = qkv(1, 4096, 4096, 4, 2, 8, 8)
    function = kernels_pallas.attention
    if direction == "backward":
        function = jax.grad(lambda *a: jnp.sum(kernels_pallas.attention(*a)), argnums=(0, 1, 2))
    compiled = jax.jit(function).lower(q, k, v).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * 4 * 4096 * 4096 / 8


def test_kv_heads_are_not_repeated() -> None:
    q, k, v = qkv(1, 16, 4096, 16, 1, 64, 64)
    compiled = jax.jit(kernels_pallas.attention).lower(q, k, v).compile()
    scores, keys = 4 * 16 * 16 * 4096, 4 * 4096 * 64
    assert compiled.memory_analysis().temp_size_in_bytes < 2.5 * scores + 3 * keys < 16 * keys


ones = jnp.ones


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"q": ones((2, 3, 4))}, ValueError, "q has shape"),
        ({"q": ones((1, 2, 3, 4), jnp.int32)}, TypeError, "q has dtype int32"),
        ({"k": ones((1, 5, 3, 4), jnp.bfloat16)}, TypeError, "k has dtype bfloat16"),
        ({"k": ones((1, 5, 3, 6))}, ValueError, r"k has shape \(1, 5, 3, 6\)"),
        ({"v": ones((1, 4, 3, 4))}, ValueError, "v has shape"),
        ({"k": ones((1, 5, 2, 4)), "v": ones((1, 5, 2, 4))}, ValueError, "3 query heads cannot"),
        ({"bias": ones((1, 3, 2, 4))}, ValueError, "bias has shape"),
        ({"bias": ones((1, 3, 2, 5), bool)}, TypeError, "bias has dtype bool"),
        ({"implementation": "triton"}, ValueError, r"'triton' does not exist.*'cudnn'"),
        ({"implementation": "pallas"}, ValueError, "'pallas' cannot run on cpu.*interpret=True"),
        ({"implementation": "cudnn"}, ValueError, "'cudnn' cannot run on cpu"),
        ({"k": ones((1, 0, 3, 4)), "v": ones((1, 0, 3, 4))}, ValueError, "empty"),
        ({"window": 0}, ValueError, "window=0"),
        ({"window": 2.5}, ValueError, r"window=2\.5"),
        ({"segment_ids": ones((1, 2), int)}, ValueError, "2 queries and 5 keys"),
        ({"segment_ids": (ones((1, 2)), ones((1, 5)))}, TypeError, "float32; needed whole"),
        (
            {"segment_ids": (ones((1, 2), int), ones((1, 4), int))},
            ValueError,
            r"segment_ids of the keys has shape \(1, 4\)",
        ),
        (
            {"implementation": "pallas", "interpret": True, "bias": ones((1, 1, 1, 5))},
            ValueError,
            "takes no bias",
        ),
    ],
)
def test_refuses(change, error, words, unchecked_shapes) -> None:
    arguments = {name: ones((1, 2 if name == "q" else 5, 3, 4)) for name in "qkv"} | change
    q, k, v = (arguments.pop(name) for name in "qkv")
    with pytest.raises(error, match=words):
        kernels_pallas.attention(q, k, v, **arguments)


def test_causal_needs_enough_keys() -> None:
    q, k, v = qkv(1, 5, 4, 1, 1, 2, 2)
    with pytest.raises(ValueError, match="causal with 5 queries"):
        kernels_pallas.attention(q, k, v, causal=True)


def test_what_was_chosen_can_be_asked() -> None:
    (choice,) = dispatch.chosen(kernels_pallas.attention, *qkv(1, 4, 4, 1, 1, 8, 8))
    assert (choice.op, choice.form, choice.why) == (
        "attention",
        "xla",
        "no Pallas form runs on cpu",
    )


@pytest.mark.parametrize(
    ("target", "refused", "form", "why"),
    [
        (dispatch.Target("tpu", "TPU v5 lite"), (), "mosaic_tpu", "runs on TPU v5 lite"),
        (dispatch.Target("tpu", "TPU v5 lite"), ("mosaic_tpu",), "xla", "mosaic_tpu refused"),
        (dispatch.Target("gpu", "NVIDIA H100", (9, 0)), (), "cudnn", "runs on NVIDIA H100"),
        (dispatch.Target("gpu", "NVIDIA A100", (8, 0)), (), "cudnn", "runs on NVIDIA A100"),
        (dispatch.Target("gpu", "NVIDIA A100", (8, 0)), ("cudnn",), "xla", "cudnn refused"),
        (dispatch.Target("cpu", "cpu"), (), "xla", "no Pallas form runs on cpu"),
    ],
)
def test_form_by_device(target, refused, form, why) -> None:
    with dispatch.choices() as found:
        name = OP.choose(
            target=target, unfit=lambda form: f"{form} refused" if form in refused else ""
        )
    assert (name, found[0].why) == (form, why)


@pytest.mark.parametrize(
    ("t", "s", "causal", "window"),
    [(5, 5, True, None), (5, 9, True, 3), (7, 7, False, 2), (9, 4, False, 3), (4, 9, False, None)],
)
def test_pairs_are_counted(t, s, causal, window) -> None:
    place, keys = np.arange(t)[:, None] + s - t, np.arange(s)[None]
    seen = np.ones((t, s), bool)
    if causal:
        seen &= keys <= place
    if window is not None:
        seen &= np.abs(keys - place) < window
    assert seen_pairs(t, s, causal, window) == seen.sum()


def test_cost_by_hand() -> None:
    shapes = (2, 10, 4, 8), (2, 20, 2, 8), (2, 20, 2, 16)
    full = cost(*shapes)
    assert full.macs == 2 * 4 * 10 * 20 * (8 + 16)
    assert full.bytes_moved == 4 * 2 * (10 * 4 * (8 + 16) + 20 * 2 * (8 + 16))
    assert full.transcendentals == 2 * 4 * 10 * 20
    assert cost(*shapes, backward=True).macs == 2 * 4 * 10 * 20 * (3 * 8 + 2 * 16)
    causal = cost((1, 3, 1, 1), (1, 3, 1, 1), (1, 3, 1, 1), causal=True)
    assert causal.macs == 6 * 2


def test_causal_tiles_leave_out_what_nobody_sees() -> None:
    sizes = tuning.blocks("attention", "xla", "cpu")
    cut = tiles((1, 8, 1, 4096, 64), 4096, sizes, True, None, 1.0)
    assert tiled_pairs(cut, 4096, 4096) <= 0.57 * 4096**2
    near = tiles((1, 8, 1, 4096, 64), 4096, sizes, True, 256, 1.0)
    assert tiled_pairs(near, 4096, 4096) <= 4096 * (256 + near.rows)
