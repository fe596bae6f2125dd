"""The UNet's shape, its parts, and values handed in and out by name; no torch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.diffusion.unet import UNet2DCondition, UNetConfig, new_unet
from workbench.diffusion.unet.layers import GroupNorm, sinusoid
from workbench.model_files.abstract import abstract

SMALL = UNetConfig(
    sample_size=8,
    in_channels=3,
    out_channels=3,
    block_out_channels=(8, 16),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    attention_head_dim=2,
    cross_attention_dim=6,
    norm_num_groups=4,
)


@functools.cache
def _unet() -> UNet2DCondition:
    """One model for all tests, run op by op: each op compiles once for the whole file."""
    return new_unet(SMALL)


def _inputs(batch: int = 2):
    keys = jax.random.split(jax.random.key(1), 2)
    x = jax.random.normal(keys[0], (batch, 8, 8, 3))
    return x, jnp.arange(batch) * 300 + 5, jax.random.normal(keys[1], (batch, 4, 6))


@functools.cache
def _everything():
    """All blocks, layers and units of one pass, by name."""
    unet = _unet()
    names = (*unet.block_names(), *unet.layer_names(), *unet.unit_names())
    return unet.run(*_inputs(), wanted=names)


def _primitives(function, *arguments) -> int:
    return str(jax.make_jaxpr(function)(*arguments)).count(" = ")


@pytest.mark.slow
def test_skips_of_stable_diffusion() -> None:
    graph, weights = nnx.split(abstract(UNet2DCondition, UNetConfig(), dtype=jnp.float32))

    def encode(weights, x, t, context):
        return nnx.merge(graph, weights).encode(x, t, context)

    shape = jax.ShapeDtypeStruct
    features = jax.eval_shape(
        encode,
        weights,
        shape((1, 64, 64, 4), jnp.float32),
        shape((), jnp.int32),
        shape((1, 77, 768), jnp.float32),
    )
    channels = [320, 320, 320, 320, 640, 640, 640, 1280, 1280, 1280, 1280, 1280]
    sides = [64, 64, 64, 32, 32, 32, 16, 16, 16, 8, 8, 8]
    wanted = [(1, s, s, c) for s, c in zip(sides, channels, strict=True)]
    assert [skip.shape for skip in features.skips] == wanted
    assert features.mid.shape == (1, 8, 8, 1280)
    values = sum(np.prod(s) for s in wanted) + features.mid.size
    assert values / 1e6 == pytest.approx(6.72, abs=0.01)


@pytest.mark.slow
@pytest.mark.long
def test_decode_of_encode_is_the_call() -> None:
    unet = _unet()
    x, t, context = _inputs()
    whole = _everything()["conv_out"]
    assert whole.shape == x.shape
    assert whole.dtype == jnp.float32
    assert float(jnp.std(whole)) > 1e-3
    halves = unet.decode(*unet.encode(x, t, context), t, context)
    np.testing.assert_allclose(halves, whole, rtol=0, atol=2e-6)


@pytest.mark.slow
def test_jit_with_weights_as_arguments() -> None:
    graph, weights = nnx.split(_unet())
    forward = jax.jit(lambda weights, *inputs: nnx.merge(graph, weights)(*inputs))
    whole = _everything()["conv_out"]
    np.testing.assert_allclose(forward(weights, *_inputs()), whole, rtol=0, atol=1e-5)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    assert not forward(zeros, *_inputs()).any()


@pytest.mark.slow
@pytest.mark.parametrize("branch", range(4))
def test_shallow_with_a_fresh_cache_is_the_full_pass(branch: int) -> None:
    unet = _unet()
    x, t, context = _inputs()
    eps, cached = unet.full(x, t, context, branch)
    np.testing.assert_allclose(unet.shallow(x, t, context, cached, branch), eps, atol=2e-6)
    other = unet.shallow(x, t, context, cached + 1.0, branch)
    assert float(jnp.abs(other - eps).max()) > 1e-3


def test_what_is_not_needed_is_not_even_traced() -> None:
    """The program is smaller before any compiler sees it, so that a count of it is right."""
    unet = _unet()
    x, t, context = _inputs()
    sizes = [_primitives(lambda x: unet(x, t, context), x)]
    for branch in reversed(range(unet.branches)):
        cached = _everything()[unet.branch_name(branch)]
        sizes.append(
            _primitives(lambda x, c=cached, b=branch: unet.shallow(x, t, context, c, b), x)
        )
    assert sizes == sorted(set(sizes), reverse=True)


def test_branches_take_what_the_deepest_layer_reads() -> None:
    unet = _unet()
    assert unet.branches == 4
    names = [unet.branch_name(b) for b in range(4)]
    assert names == ["up.1.layer.0", "up.0.upsample", "up.0.layer.0", "mid.layer.1"]
    with pytest.raises(ValueError, match="branch=4 does not exist.*0 to 3"):
        unet.branch_name(4)


def test_names_in_execution_order() -> None:
    unet = _unet()
    assert unet.block_names() == ("down.0", "down.1", "mid", "up.0", "up.1")
    layers = unet.layer_names()
    assert layers[:4] == ("conv_in", "down.0.layer.0", "down.0.downsample", "down.1.layer.0")
    assert layers[-2:] == ("up.1.layer.1", "conv_out")
    assert "mid.layer.0.transformer.0.cross_attention" in unet.unit_names()


def test_every_value_given_back_changes_nothing() -> None:
    """Each name in turn: hand in what the pass itself had there."""
    unet, values = _unet(), _everything()
    picked = (*unet.block_names(), *unet.layer_names()[::3], *unet.unit_names()[::6])
    for name in picked:
        out = unet.run(*_inputs(), given={name: values[name]})["conv_out"]
        np.testing.assert_allclose(out, values["conv_out"], rtol=0, atol=2e-6, err_msg=name)


def test_a_given_unit_is_a_residual() -> None:
    """Zero residuals leave the straight path: the layer's input comes out."""
    unet = _unet()
    name = "down.0.layer.0"
    x, t, context = _inputs()
    found = unet.run(
        x,
        t,
        context,
        wanted=("conv_in", name),
        given={f"{name}.resnet": jnp.zeros((2, 8, 8, 8))},
    )
    np.testing.assert_array_equal(found[name], found["conv_in"])


def test_only_what_is_wanted_runs() -> None:
    unet = _unet()
    x, t, context = _inputs()
    cheap = _primitives(lambda x: unet.run(x, t, context, wanted=("conv_in",)), x)
    assert cheap < _primitives(lambda x: unet.run(x, t, context, wanted=("down.0",)), x)
    given = {"down.0": _everything()["down.0"], "mid": _everything()["mid"]}
    assert unet.run(None, t, context, wanted=("mid",), given=given)["mid"] is given["mid"]


def test_one_time_for_all_is_that_time_for_each() -> None:
    unet = _unet()
    x, _, context = _inputs()
    one, each = unet(x, 7, context), unet(x, jnp.asarray([7, 7]), context)
    np.testing.assert_allclose(one, each, rtol=0, atol=1e-6)
    assert float(jnp.abs(unet(x, 900, context) - one).max()) > 1e-4


def test_samples_of_a_batch_do_not_mix() -> None:
    """Grouped decoding batches time steps; sample i must not see sample j."""
    x, t, context = _inputs()
    changed = _unet()(x.at[1].add(1.0), t, context)
    np.testing.assert_allclose(changed[0], _everything()["conv_out"][0], rtol=0, atol=2e-6)


def test_a_fresh_model_is_its_seed() -> None:
    one, same, other = new_unet(SMALL), new_unet(SMALL), new_unet(SMALL, seed=1)
    kernels = [np.asarray(u.mid_block.resnets[0].conv1.kernel[...]) for u in (one, same, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).mean() > 0.9
    limit = (9 * 16) ** -0.5  # uniform within 1 / sqrt(fan in)
    assert 0.95 * limit < np.abs(kernels[0]).max() <= limit
    assert kernels[0].std() == pytest.approx(limit / 3**0.5, rel=0.05)
    assert (np.asarray(one.conv_norm_out.scale[...]) == 1).all()


@pytest.mark.slow
@pytest.mark.long
def test_gradients_reach_every_parameter() -> None:
    graph, weights = nnx.split(_unet())
    inputs = _inputs()

    @jax.jit
    def gradient(weights):
        return jax.grad(lambda w: jnp.mean(nnx.merge(graph, w)(*inputs) ** 2))(weights)

    for path, leaf in jax.tree_util.tree_flatten_with_path(gradient(weights))[0]:
        assert np.isfinite(leaf).all(), path
        assert float(jnp.abs(leaf).max()) > 0, path


def test_group_norm_keeps_a_small_spread_on_a_large_mean() -> None:
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 8)) * 0.1 + 300.0
    norm = GroupNorm(8, 4, eps=1e-5, dtype=jnp.float32)
    x = x.astype(np.float32).astype(np.float64)
    groups = x.reshape(2, 36, 4, 2)
    mean, var = groups.mean((1, 3), keepdims=True), groups.var((1, 3), keepdims=True)
    exact = ((groups - mean) / np.sqrt(var + 1e-5)).reshape(x.shape)
    np.testing.assert_allclose(norm(jnp.asarray(x, jnp.float32)), exact, rtol=0, atol=2e-3)


def test_sinusoid_by_hand() -> None:
    wave = sinusoid(jnp.asarray([3.0]), 4)
    rates = np.asarray([1.0, 0.01])
    np.testing.assert_allclose(wave[0], [*np.cos(3 * rates), *np.sin(3 * rates)], atol=1e-6)
    flipped = sinusoid(jnp.asarray([3.0]), 4, flip_sin_to_cos=False)
    np.testing.assert_allclose(flipped[0], [*wave[0, 2:], *wave[0, :2]], atol=1e-6)


def test_bfloat16_computes_and_answers_float32() -> None:
    unet = new_unet(SMALL, dtype=jnp.bfloat16)
    answer = jax.eval_shape(unet, *_inputs())
    assert answer.dtype == jnp.float32
    assert unet.conv_in.kernel[...].dtype == jnp.float32
    assert jax.eval_shape(unet.encode, *_inputs()).mid.dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"act_fn": "mish"}, "act_fn='mish' is not supported"),
        ({"norm_num_group": 8}, "norm_num_group=8 is not known; did you mean norm_num_groups"),
        ({"down_block_types": ["AttnDownBlock2D"] * 4}, "down_block_types"),
        ({"norm_num_groups": 48}, "320 is not a multiple of norm_num_groups=48"),
        ({"attention_head_dim": [8, 8]}, "attention_head_dim=.* one per block is 4"),
        ({"attention_head_dim": 7}, "7 heads do not divide 320"),
        ({"layers_per_block": 0}, "layers_per_block=0 must be positive"),
        ({"addition_embed_type": "text_time"}, "needs an even addition_time_embed_dim"),
        ({"addition_time_embed_dim": 256}, "goes with addition_embed_type=.text_time"),
        ({"block_out_channels": []}, "block_out_channels is empty"),
    ],
)
def test_config_refuses(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        UNetConfig.from_file_fields(fields)


def test_heads_matter_only_where_a_block_attends() -> None:
    plain = {"block_out_channels": (12, 32), "norm_num_groups": 4, "attention_head_dim": 8}
    down, up = ("DownBlock2D", "CrossAttnDownBlock2D"), ("CrossAttnUpBlock2D", "UpBlock2D")
    config = UNetConfig(down_block_types=down, up_block_types=up, **plain)
    assert new_unet(config, seed=0).config.heads == (8, 8)
    with pytest.raises(ValueError, match="8 heads do not divide 12"):
        UNetConfig(down_block_types=down, up_block_types=("CrossAttnUpBlock2D",) * 2, **plain)
    wide = plain | {"block_out_channels": (32, 12)}
    plain_types = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    assert UNetConfig(mid_block_type=None, **plain_types, **wide).block_out_channels == (32, 12)
    with pytest.raises(ValueError, match="8 heads do not divide 12"):
        UNetConfig(**plain_types, **wide)


def test_heads_go_by_either_name() -> None:
    named = UNetConfig(num_attention_heads=(4, 8, 8, 16))
    assert named.heads == (4, 8, 8, 16)
    again = UNetConfig.from_file_fields(named.to_file_fields())
    assert again.heads == named.heads


def test_refusals_at_the_call(unchecked_shapes) -> None:
    unet = _unet()
    x, t, context = _inputs()
    with pytest.raises(ValueError, match="context is None"):
        unet(x, t)
    with pytest.raises(ValueError, match=r"context has shape \(1, 4, 6\); needed \[2, T, 6\]"):
        unet(x, t, context[:1])
    with pytest.raises(ValueError, match="multiples of 2"):
        unet(x[:, :7], t, context)
    with pytest.raises(ValueError, match=r"needed \[B, H, W, 3\]"):
        unet(x[..., :2], t, context)
    with pytest.raises(ValueError, match=r"t has shape \(3,\)"):
        unet(x, jnp.arange(3), context)
    with pytest.raises(ValueError, match=r"no intermediate called 'up\.9'"):
        unet.run(x, t, context, wanted=("up.9",))
    with pytest.raises(ValueError, match="lies inside 'conv_in'|lies inside"):
        unet.run(x, t, context, wanted=("mid.layer.1.resnet",), given={"mid": x})
    with pytest.raises(ValueError, match="2 skips; this UNet has 4"):
        unet.decode((x, x), x, t, context)
    with pytest.raises(ValueError, match="x is None"):
        unet.run(None, t, context, given={"mid": jnp.zeros((2, 4, 4, 16))})
