"""safetensors: what is written comes back, and agrees with the format's own library."""

import json
import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workbench.checkpoints import (
    CheckpointError,
    open_tensors,
    read_tensors,
    tensor_shapes,
    write_tensors,
)


def _example() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "conv.weight": rng.normal(size=(3, 3, 4, 8)).astype(np.float32),
        "conv.bias": rng.normal(size=8).astype(ml_dtypes.bfloat16),
        "half": rng.normal(size=(5, 2)).astype(np.float16),
        "steps": np.arange(7, dtype=np.int64),
        "mask": np.array([True, False, True]),
        "scale": np.array(2.5, np.float32),
        "none": np.zeros((0, 4), np.float32),
    }


def _same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    assert set(left) == set(right)
    for name, array in left.items():
        other = np.asarray(right[name])
        assert np.asarray(array).dtype == other.dtype and np.shape(array) == other.shape, name
        assert np.asarray(array).tobytes() == other.tobytes(), name


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    file = write_tensors(tmp_path / "a.safetensors", _example(), {"made": "here"})
    _same(_example(), read_tensors(file))
    assert open_tensors(file).metadata == {"made": "here"}
    assert tensor_shapes(file)["conv.weight"] == (3, 3, 4, 8)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.safetensors"]


def test_agrees_with_the_safetensors_library_both_ways(tmp_path: Path) -> None:
    ours = write_tensors(tmp_path / "ours.safetensors", _example(), {"k": "v"})
    _same(_example(), safetensors.numpy.load_file(ours))
    theirs = tmp_path / "theirs.safetensors"
    arrays = {name: np.asarray(value) for name, value in _example().items()}
    safetensors.numpy.save_file(arrays, theirs, {"k": "v"})
    _same(_example(), read_tensors(theirs))


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__"),
        hnp.arrays(
            st.sampled_from(["<f4", ">f4", "<f8", "<i2", "|u1", "|b1", "<c8"]),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        ),
        max_size=5,
    ),
    st.one_of(st.none(), st.integers(1, 60)),
)
def test_any_arrays_survive_in_one_file_or_in_shards(
    tmp_path_factory: pytest.TempPathFactory,
    arrays: dict[str, np.ndarray],
    shard_bytes: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("round")
    file = write_tensors(folder / "m.safetensors", arrays, shard_bytes=shard_bytes)
    back = read_tensors(file)
    _same({n: a.astype(a.dtype.newbyteorder("<")) for n, a in arrays.items()}, back)
    _same(back, read_tensors(folder))


def test_not_contiguous_and_transposed_arrays(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    file = write_tensors(tmp_path / "a.safetensors", {"t": array.T, "s": array[::2, ::3]})
    back = read_tensors(file)
    np.testing.assert_array_equal(back["t"], array.T)
    np.testing.assert_array_equal(back["s"], array[::2, ::3])


def test_dtype_casts_floating_tensors_only(tmp_path: Path) -> None:
    file = write_tensors(tmp_path / "a.safetensors", _example())
    back = read_tensors(file, dtype="float32")
    assert back["conv.bias"].dtype == back["half"].dtype == np.float32
    assert back["steps"].dtype == np.int64 and back["mask"].dtype == np.bool_
    assert read_tensors(file, dtype="bfloat16")["half"].dtype == ml_dtypes.bfloat16
    with pytest.raises(CheckpointError, match="dtype='int8' is not a floating type"):
        read_tensors(file, dtype="int8")


def test_reading_is_lazy_and_one_tensor_at_a_time(tmp_path: Path) -> None:
    import tracemalloc

    arrays = {f"w{i}": np.full((256, 1024), i, np.float32) for i in range(8)}  # 1 MiB each
    file = write_tensors(tmp_path / "a.safetensors", arrays)
    tracemalloc.start()
    try:
        tensors = open_tensors(file)
        assert tracemalloc.get_traced_memory()[1] < 300_000, "opening reads headers only"
        total = sum(float(tensors[name].sum(dtype=np.float64)) for name in tensors)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == sum(range(8)) * 256 * 1024
    assert peak < 2.5 * 2**20, f"eight tensors of 1 MiB held {peak} bytes"


def test_a_lazy_checkpoint_can_be_written_again_as_shards(tmp_path: Path) -> None:
    file = write_tensors(tmp_path / "a.safetensors", _example())
    index = write_tensors(tmp_path / "b.safetensors", open_tensors(file), shard_bytes=600)
    assert index.name == "b.safetensors.index.json"
    _same(_example(), read_tensors(index))
    _same(_example(), read_tensors(tmp_path / "b.safetensors"))


def test_shards_hold_at_most_the_asked_bytes(tmp_path: Path) -> None:
    arrays = {f"w{i}": np.zeros(25, np.float32) for i in range(10)} | {
        "big": np.zeros(500, np.float32)
    }
    index = write_tensors(tmp_path / "m.safetensors", arrays, shard_bytes=250)
    table = json.loads(index.read_text())
    assert table["metadata"]["total_size"] == 3000
    for shard in set(table["weight_map"].values()):
        inside = safetensors.numpy.load_file(tmp_path / shard)
        assert sum(a.nbytes for a in inside.values()) <= 250 or set(inside) == {"big"}


def test_rewriting_leaves_only_the_new_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_tensors(path, {"a": np.zeros(100)}, shard_bytes=10**6)
    write_tensors(path, {"a": np.ones(100), "b": np.ones(100)}, shard_bytes=800)
    first = {entry.name for entry in tmp_path.iterdir()}
    assert len(first) == 3 and "m.safetensors" not in first
    write_tensors(path, {"a": np.full(100, 2.0), "b": np.ones(100)}, shard_bytes=800)
    assert read_tensors(tmp_path)["a"][0] == 2
    assert len({entry.name for entry in tmp_path.iterdir()} - first) == 2, "fresh shard names"
    write_tensors(path, {"a": np.full(100, 3.0)})
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.safetensors"]
    assert read_tensors(tmp_path)["a"][0] == 3


def test_a_folder_chooses_the_plain_variant_or_the_asked_one(tmp_path: Path) -> None:
    write_tensors(tmp_path / "model.fp16.safetensors", {"a": np.zeros(2, np.float16)})
    assert read_tensors(tmp_path)["a"].dtype == np.float16, "the only one there"
    write_tensors(tmp_path / "model.safetensors", {"a": np.zeros(2, np.float32)})
    assert read_tensors(tmp_path)["a"].dtype == np.float32
    assert read_tensors(tmp_path, variant="fp16")["a"].dtype == np.float16
    with pytest.raises(CheckpointError, match="variant 'bf16', found 0"):
        read_tensors(tmp_path, variant="bf16")
    write_tensors(tmp_path / "other.safetensors", {"a": np.zeros(2)})
    with pytest.raises(CheckpointError, match=r"found 2 among model.*other"):
        read_tensors(tmp_path)


def test_a_sharded_variant_is_found_under_both_spellings(tmp_path: Path) -> None:
    index = write_tensors(
        tmp_path / "m.fp16.safetensors", {"a": np.zeros(9), "b": np.ones(9)}, shard_bytes=80
    )
    assert set(read_tensors(tmp_path, variant="fp16")) == {"a", "b"}
    index.rename(tmp_path / "m.safetensors.index.fp16.json")
    assert set(read_tensors(tmp_path, variant="fp16")) == {"a", "b"}


def test_nothing_here_imports_jax() -> None:
    code = (
        "import sys, workbench.checkpoints, workbench.datasets;"
        "print([m for m in ('jax', 'flax', 'pandas', 'skimage', 'sklearn', 'PIL')"
        " if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert run.stdout.strip() == "[]"
