"""Which form runs where, asked of every kind of device, and errors that say what is needed."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify

from kernels_pallas import attention, checks, dispatch, tuning
from kernels_pallas.costs import Cost
from kernels_pallas.dispatch import Op, Target

CPU = Target("cpu", "cpu")
TPU = Target("tpu", "TPU v5 lite")
AMPERE = Target("gpu", "NVIDIA A100", (8, 0))
HOPPER = Target("gpu", "NVIDIA H200", (9, 0))
BLACKWELL = Target("gpu", "NVIDIA B200", (10, 0))
NEWER = Target("gpu", "NVIDIA GeForce RTX 5090", (12, 0))

BOTH = Op("both", ("mosaic_tpu", "mosaic_gpu"))
WGMMA = Op("wgmma", ("mosaic_tpu", "mosaic_gpu"), wgmma=True)
NONE = Op("none")


@pytest.mark.parametrize(
    ("op", "target", "form"),
    [
        (BOTH, CPU, "xla"),
        (BOTH, TPU, "mosaic_tpu"),
        (BOTH, AMPERE, "xla"),
        (BOTH, HOPPER, "mosaic_gpu"),
        (BOTH, BLACKWELL, "mosaic_gpu"),
        (BOTH, NEWER, "xla"),
        (WGMMA, HOPPER, "mosaic_gpu"),
        (WGMMA, BLACKWELL, "xla"),
        (NONE, TPU, "xla"),
    ],
)
def test_automatic_takes_the_kernel_of_the_device(op, target, form):
    assert op.choose("auto", target=target) == form


def test_a_form_that_does_not_fit_gives_way_to_xla_and_says_why():
    def unfit(form):
        return "K is 7" if form == "mosaic_tpu" else ""

    with dispatch.choices() as made:
        assert BOTH.choose(target=TPU, unfit=unfit) == "xla"
    assert made[0].why == "K is 7" and made[0].op == "both"
    with pytest.raises(ValueError, match="both: implementation='pallas': K is 7"):
        BOTH.choose("pallas", target=TPU, unfit=unfit)


@pytest.mark.parametrize("target", [CPU, AMPERE])
def test_a_kernel_where_none_runs_is_refused(target):
    with pytest.raises(ValueError, match="cannot run on .*interpret=True"):
        BOTH.choose("pallas", target=target)
    assert BOTH.choose("pallas", target=target, interpret=True) == "mosaic_tpu"
    assert BOTH.choose("mosaic_gpu", target=target, interpret=True) == "mosaic_gpu"


def test_what_does_not_exist_is_named_with_what_does():
    with pytest.raises(ValueError, match="'triton' does not exist; choose one of .*'mosaic_gpu'"):
        BOTH.choose("triton")
    with pytest.raises(ValueError, match="there is no mosaic_tpu form; it has none"):
        NONE.choose("pallas", target=TPU)


def test_names_tell_what_a_gpu_can():
    assert dispatch.target_named("cuda", "NVIDIA H100 80GB HBM3") == Target(
        "gpu", "NVIDIA H100 80GB HBM3", (9, 0)
    )
    assert dispatch.target_named("cuda", "NVIDIA A100-SXM4-40GB").pallas() == ""
    assert dispatch.target_named("cuda", "of tomorrow").pallas() == ""


def test_code_traced_for_another_device_knows_it():
    device = jax.sharding.AbstractDevice(platform="tpu", device_kind="TPU v5 lite", num_cores=1)
    mesh = jax.sharding.AbstractMesh((1,), ("one",), abstract_device=device)
    with jax.sharding.use_abstract_mesh(mesh):
        assert dispatch.current_target() == TPU
    assert dispatch.current_target().platform == "cpu"
    assert dispatch.target_of("cpu").platform == "cpu"


def test_chosen_sees_into_a_model_without_running_it():
    q = jax.ShapeDtypeStruct((1, 8, 2, 4), jnp.float32)

    @jax.jit
    def model(x, how):
        return attention(x, x, x) + attention(x, x, x, implementation=how)

    made = dispatch.chosen(model, q, "reference")
    assert [choice.form for choice in made] == ["xla", "reference"]
    assert made[0].target.platform == "cpu" and "no Pallas form" in made[0].why


def test_first_choice_needs_no_device_and_no_compiler():
    q = jax.ShapeDtypeStruct((1, 8, 2, 4), jnp.float32)
    choice = dispatch.first_choice(lambda x: attention(x, x, x), q, target=TPU)
    assert choice.target == TPU and choice.op == "attention"
    with pytest.raises(ValueError, match="calls no op"):
        dispatch.first_choice(lambda x: x, q, target=TPU)
    assert dispatch.chosen(attention, q, q, q)[0].target.platform == "cpu"


def test_arrays_that_live_elsewhere_get_the_form_of_their_place():
    forms = {"mosaic_tpu": lambda x: x * jnp.nan, "xla": lambda x: x + 1}
    x = jnp.ones(3)
    assert jax.jit(lambda x: dispatch.run("mosaic_tpu", forms, x))(x)[0] == 2
    assert jnp.isnan(dispatch.run("mosaic_tpu", forms, x, fixed=True)).all()


def test_shapes_bind_letters_and_say_what_is_needed():
    q, k = jnp.ones((2, 3, 4)), jnp.ones((2, 5))
    assert checks.shapes("op", q=(q, "B T K"), k=(k, "B N")) == {"B": 2, "T": 3, "K": 4, "N": 5}
    with pytest.raises(ValueError, match=r"op: k has shape \(2, 5\); needed \[2, 3\]"):
        checks.shapes("op", q=(q, "B T K"), k=(k, "B T"))
    with pytest.raises(ValueError, match=r"op: q has shape \(2, 3, 4\); needed \[B, T\]"):
        checks.shapes("op", q=(q, "B T"))
    with pytest.raises(ValueError, match="no axis may be empty"):
        checks.shapes("op", q=(jnp.ones((2, 0)), "B T"))
    with pytest.raises(ValueError, match=r"needed \[B, 1\]"):
        checks.shapes("op", k=(k, "B 1"))


def test_dtypes_options_and_groups():
    whole, half, single = jnp.ones(2, jnp.int8), jnp.ones(2, jnp.bfloat16), jnp.ones(2)
    with pytest.raises(TypeError, match="op: x has dtype int8; needed a floating type"):
        checks.floating("op", y=half, x=whole)
    with pytest.raises(TypeError, match="y has dtype float32 but x has bfloat16"):
        checks.alike("op", x=half, y=single)
    with pytest.raises(ValueError, match="7 query heads cannot share 2 kv heads"):
        checks.divides("op", "query heads", 7, "kv heads", 2)
    with pytest.raises(ValueError, match="op: intra='three'; choose one of"):
        checks.option("op", "intra", "three", ["one", "two"])


def test_values_are_looked_at_where_they_are_known_or_it_is_asked_for():
    def positive(x):
        return x > 0

    def call(x, validate):
        checks.values("op", "x must be positive", x, positive, validate)
        return x

    bad = jnp.array([1.0, jnp.nan])
    with pytest.raises(ValueError, match="op: x must be positive"):
        call(bad, False)
    many = jnp.full(checks.SMALL + 1, -1.0)
    call(many, False)
    with pytest.raises(ValueError, match="op: x must be positive"):
        call(many, True)
    jax.jit(call, static_argnums=1)(bad, False)
    error, _ = checkify.checkify(jax.jit(lambda x: call(x, True)))(bad)
    assert "op: x must be positive" in error.get()


def test_block_sizes_go_by_the_longest_name(monkeypatch, tmp_path):
    table = {"xla": {"default": {"rows": 1, "keys": 2}, "TPU v5": {"rows": 3},
                     "TPU v5 lite": {"rows": 4}}}  # fmt: skip
    (tmp_path / "op").mkdir()
    (tmp_path / "op" / "tuned.json").write_text(json.dumps(table))
    monkeypatch.setattr(tuning.resources, "files", lambda package: tmp_path)
    tuning.table.cache_clear()
    assert tuning.blocks("op", "xla") == {"rows": 1, "keys": 2}
    assert tuning.blocks("op", "xla", "TPU v5 lite") == {"rows": 4, "keys": 2}
    assert tuning.blocks("op", "xla", "TPU v5p") == {"rows": 3, "keys": 2}
    with pytest.raises(KeyError):
        tuning.blocks("op", "mosaic_tpu")
    tuning.table.cache_clear()


def test_a_cost_tells_xla_two_flop_a_mac():
    estimate = Cost(macs=10, bytes_moved=7, transcendentals=3).estimate()
    assert (estimate.flops, estimate.bytes_accessed, estimate.transcendentals) == (20, 7, 3)


def test_known_values_stay_known_inside_a_trace():
    def positive(x):
        checks.values("op", "x must be positive", x, lambda v: v > 0, False)
        return x

    good, plain, bad = jnp.ones(3), np.ones(3, np.float32), jnp.array([-1.0])
    jax.jit(lambda y: y + positive(good)[0] + positive(plain)[0])(1.0)
    jax.lax.scan(lambda c, _: (c + positive(good)[0], None), 0.0, None, length=2)
    with pytest.raises(ValueError, match="op: x must be positive"):
        jax.jit(lambda y: y + positive(bad)[0])(1.0)


def test_what_is_no_array_or_is_traced_is_named():
    x = jnp.ones((1, 4, 1, 8))
    with pytest.raises(TypeError, match="attention: k is of type list; needed an array"):
        attention(x, [1.0], x)
    with pytest.raises(TypeError, match="attention: bias is of type float; needed an array"):
        attention(x, x, x, bias=0.5)
    with pytest.raises(ValueError, match="attention: causal='no'; choose one of"):
        attention(x, x, x, causal="no")
    with pytest.raises(ValueError, match="attention: causal is traced"):
        jax.jit(lambda x, causal: attention(x, x, x, causal=causal))(x, True)


def test_interpreting_is_asked_for_by_itself():
    assert BOTH.choose("auto", target=CPU, interpret=True) == "mosaic_tpu"
    assert BOTH.choose("auto", target=HOPPER, interpret=True) == "mosaic_gpu"


def test_a_function_traced_before_is_asked_anew():
    q = jnp.ones((1, 8, 2, 4))
    inner = jax.jit(lambda x: attention(x, x, x))
    inner(q)
    assert len(dispatch.chosen(lambda x: inner(x) * 2, q)) == 1
    assert len(dispatch.chosen(inner, q)) == 1
    with pytest.raises(ValueError, match="calls no op"):
        dispatch.chosen(lambda x: x, q)
    assert dispatch.first_choice(lambda x: inner(x) * 2, q, target=TPU).target == TPU
