"""Which processor this is, and by whose measured times an op chooses on it."""

import importlib
import platform

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels_pallas import (
    block_sparse_matmul,
    conv2d,
    dispatch,
    grouped_conv2d,
    pack_blocks,
    processor,
    tuning,
)

GENOA = """processor	: 0
cpu family	: 25
model		: 17
model name	: AMD EPYC
stepping	: 1
flags		: fpu sse4_2 avx2 avx512f avx512_bf16 avx512_vnni avx512_vpopcntdq

processor	: 1
flags		: fpu
"""
ROME = "processor\t: 0\ncpu family\t: 23\nmodel\t\t: 49\nflags\t\t: fpu sse4_2 avx2 bmi2\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\nCPU part\t: 0xd40\n"


@pytest.mark.parametrize(
    ("text", "instructions", "model"),
    [
        (GENOA, "AVX-512, VNNI, bf16, vpopcnt", "family 25, model 17, stepping 1"),
        (ROME, "AVX2", "family 23, model 49"),
        (ARM, f"{platform.machine()}, bf16", ""),
    ],
)
def test_a_processor_is_read_from_its_flags(tmp_path, text, instructions, model):
    file = tmp_path / "cpuinfo"
    file.write_text(text, encoding="utf-8")
    assert processor.instructions(file) == instructions
    assert processor.model(file) == model


def test_a_system_without_cpuinfo_has_its_architecture(tmp_path):
    assert processor.instructions(tmp_path / "none") == platform.machine()
    assert processor.model(tmp_path / "none") == ""


def pictures(*shapes):
    return [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]


def blocks_of_most():
    keep = np.ones((8, 8), bool)
    blocks, pattern = pack_blocks(jnp.ones((512, 512)), 64, keep=keep)
    x = jax.ShapeDtypeStruct((8 * 196, 512), jnp.float32)
    return lambda x, blocks: block_sparse_matmul(x, blocks, pattern), [x, blocks]


CALLS = {
    "conv2d": lambda: (conv2d, pictures((2, 64, 64, 320), (3, 3, 320, 320))),
    "grouped_conv2d": lambda: (
        lambda x, kernel: grouped_conv2d(x, kernel, groups=128),
        pictures((8, 56, 56, 128), (3, 3, 1, 128)),
    ),
    "block_sparse_matmul": blocks_of_most,
}


@pytest.mark.parametrize("op", CALLS)
def test_a_choice_by_times_says_whose_they_are_on_any_processor(op):
    """On the processor that is here, whatever it is."""
    function, arrays = CALLS[op]()
    (made,) = dispatch.chosen(function, *arrays, device="cpu")
    here = processor.processor()
    assert made.op == op and here in {*processor.CLASSES, platform.machine()}
    assert (here in tuning.table(op)) == (tuning.deciding(op, here) == here)
    assert made.why.endswith(tuning.basis(op))
    assert (here in tuning.table(op)) != made.why.endswith(f"for {here} has none")


@pytest.mark.parametrize("op", CALLS)
def test_times_that_speak_for_xla_are_named_too(op, monkeypatch):
    choice = importlib.import_module(f"kernels_pallas.{op}.choice")
    monkeypatch.setattr(choice, "fastest", lambda *given: "xla")
    function, arrays = CALLS[op]()
    (made,) = dispatch.chosen(function, *arrays, device="cpu")
    assert made.form == "xla" and made.why.endswith(tuning.basis(op))


def test_a_class_without_times_takes_the_common_ones_and_says_so(monkeypatch):
    table = {"AVX2": {"measured": [{"rows": 1, "seconds": {"xla": 2.0, "dense": 1.0}}]}}
    monkeypatch.setattr(tuning, "table", lambda op: table)
    assert tuning.basis("op", "AVX2") == "by times of AVX2"
    assert tuning.basis("op", "AVX-512") == "by times of AVX2, for AVX-512 has none"
    assert tuning.measured("op", "arm64") == table["AVX2"]["measured"]
    table["AVX-512"] = {"measured": []}
    assert (
        tuning.deciding("op", "arm64") == "AVX2" and tuning.deciding("op", "AVX-512") == "AVX-512"
    )
