"""Broken checkpoints give one clear `CheckpointError`; a full disk loses nothing."""

import json
import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.checkpoints import (
    CheckpointError,
    match,
    open_tensors,
    read_tensors,
    replace_text,
    require_finite,
    tensor_shapes,
    write_tensors,
)

ARRAYS = {
    "w": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b": np.array([True, False, True]),
    "n": np.arange(5, dtype=np.int16),
}


def _bytes_of(tmp: Path) -> bytes:
    return write_tensors(tmp / "good.safetensors", ARRAYS, {"a": "b"}).read_bytes()


def _file(tmp_path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    file = tmp_path / "bad.safetensors"
    file.write_bytes(struct.pack("<Q", len(head) if length is None else length) + head + data)
    return file


def _entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_truncation_at_every_byte_is_said(tmp_path: Path) -> None:
    good = _bytes_of(tmp_path)
    file = tmp_path / "cut.safetensors"
    for size in range(len(good)):
        file.write_bytes(good[:size])
        with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
            read_tensors(file)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_flipped_byte_is_an_error_or_well_formed_data(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    good = bytearray(_bytes_of(folder))
    head = 8 + int.from_bytes(good[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, head - 1))] = data.draw(st.integers(0, 255))
    file = folder / "flipped.safetensors"
    file.write_bytes(good)
    try:
        shapes = tensor_shapes(file)
        arrays = read_tensors(file)
    except CheckpointError as error:
        assert "flipped.safetensors" in str(error)
        return
    assert {name: array.shape for name, array in arrays.items()} == shapes
    assert sum(array.nbytes for array in arrays.values()) == sum(a.nbytes for a in ARRAYS.values())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.booleans())
@example(b"[" * 150, True)
@example(b'{"a":' * 30, True)
@example(b"{}", True)
def test_any_bytes_at_all(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, with_length: bool
) -> None:
    file = tmp_path_factory.mktemp("any") / "any.safetensors"
    file.write_bytes(struct.pack("<Q", len(raw)) + raw if with_length else raw)
    try:
        read_tensors(file)
    except CheckpointError:
        return
    assert json.loads(raw) == {} or set(json.loads(raw)) == {"__metadata__"}


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not valid JSON"):
        read_tensors(_file(tmp_path, b'{"a":' * 100_000))


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (b"not json", b"", "not valid JSON"),
        (b"\xff\xfe{}", b"", "not valid JSON"),
        ([1], b"", "JSON list"),
        ({"a": 3}, b"", "exactly dtype, shape and data_offsets"),
        ({"a": _entry("F31")}, bytes(8), "dtype 'F31'; known are"),
        ({"a": _entry("F64")}, bytes(8), "mislabelled: F64 of shape"),
        ({"a": _entry(shape=(3,))}, bytes(8), "takes 12 bytes, its offsets give 8"),
        ({"a": _entry(shape=(-2,))}, bytes(8), "impossible shape"),
        ({"a": _entry(shape=(True, 2))}, bytes(8), "impossible shape"),
        ({"a": _entry(shape=(0, 2**70), offsets=(0, 0))}, b"", "impossible shape"),
        ({"a": _entry(shape=(1,) * 65, offsets=(0, 4))}, bytes(4), "impossible shape"),
        ({"a": _entry(offsets=(0, 4, 8))}, bytes(8), "bad data_offsets"),
        ({"a": _entry(offsets=(8, 0))}, bytes(8), "mislabelled"),
        ({"a": _entry(offsets=(0, 99))}, bytes(8), "truncated"),
        ({"a": _entry()}, bytes(9), "belong to nothing"),
        ({"a": _entry(offsets=(4, 12))}, bytes(12), "leaves a hole"),
        ({"a": _entry(), "b": _entry(offsets=(4, 12))}, bytes(12), "overlaps"),
        ({"a": _entry("BOOL", (2,), (0, 2))}, b"\1\7", "other than 0, 1"),
        ({"__metadata__": {"a": 1}}, b"", "__metadata__ must map text to text"),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":1}', b"\0", "appears twice"),
    ],
)
def test_each_lie_of_a_header_is_named(
    tmp_path: Path, header: Any, data: bytes, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_tensors(_file(tmp_path, header, data))


def test_a_header_length_beyond_the_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="header claims 18446744073709551615 bytes"):
        read_tensors(_file(tmp_path, {}, length=2**64 - 1))


@pytest.mark.parametrize("name", ["model.bin", "model.ckpt", "model.pt", "MODEL.PTH"])
def test_pickles_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(CheckpointError, match="pickle files are not loaded; convert to safe"):
            read_tensors(path)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (b"{", "index is not valid JSON"),
        (b"[]", "no weight_map"),
        (b'{"weight_map": {}}', "no weight_map"),
        (b'{"weight_map": {"a": 3}}', "no weight_map"),
        (b'{"weight_map": {"a": "gone.safetensors"}}', "shard gone.safetensors is missing"),
        (b'{"weight_map": {"a": "part.bin"}}', "pickle files are not loaded"),
        (b'{"weight_map": {"a": "../m.safetensors"}}', "plain file name"),
        (b'{"weight_map": {"z": "one.safetensors"}}', "the index says tensor 'z' is here"),
    ],
)
def test_broken_shard_sets(tmp_path: Path, index: bytes, message: str) -> None:
    write_tensors(tmp_path / "one.safetensors", {"a": np.zeros(2)})
    file = tmp_path / "model.safetensors.index.json"
    file.write_bytes(index)
    with pytest.raises(CheckpointError, match=message):
        read_tensors(file)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_tensors(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match=r"no \.safetensors file here"):
        read_tensors(tmp_path)
    (tmp_path / "m-00001-of-00002.safetensors").touch()
    with pytest.raises(CheckpointError, match="shards but no"):
        read_tensors(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CheckpointError, match=r"not a \.safetensors file"):
        read_tensors(tmp_path / "notes.txt")


def test_a_file_cut_short_after_it_was_opened(tmp_path: Path) -> None:
    file = write_tensors(tmp_path / "a.safetensors", ARRAYS)
    tensors = open_tensors(file)
    os.truncate(file, file.stat().st_size - 8)
    with pytest.raises(CheckpointError, match="truncated while tensor"):
        dict(tensors)


def test_match_names_everything_in_one_error(tmp_path: Path) -> None:
    match(ARRAYS, {name: array.shape for name, array in ARRAYS.items()})
    found = {"enc.conv1.weight": np.zeros((3, 3)), "bias": np.zeros(4)}
    found |= {f"extra{i}": np.zeros(1) for i in range(9)}
    expected = {"enc.conv_1.weight": (3, 3), "bias": (5,)}
    with pytest.raises(CheckpointError) as caught:
        match(found, expected)
    text = str(caught.value)
    assert "2 tensors expected, 11 found" in text
    assert "enc.conv_1.weight (3, 3) (nearest found: enc.conv1.weight)" in text
    assert "unexpected (10):" in text and "… and 5 more" in text
    assert "bias: found (4,), expected (5,)" in text
    lazy = open_tensors(write_tensors(tmp_path / "a.safetensors", ARRAYS))
    with pytest.raises(CheckpointError, match="missing"):
        match(lazy, {"nothing": ()})


def test_require_finite_names_the_bad_tensors() -> None:
    import ml_dtypes

    require_finite(ARRAYS)
    bad = np.zeros((4, 4), np.float32)
    bad[1, 2], bad[3, 3] = np.nan, np.inf
    tiny = np.array([1, np.nan], ml_dtypes.float8_e4m3fn)
    with pytest.raises(CheckpointError, match=r"conv: 2 of 16[\s\S]*tiny: 1 of 2"):
        require_finite({"fine": np.zeros(3), "conv": bad, "tiny": tiny})


@pytest.mark.parametrize(
    ("path", "tensors", "options", "message"),
    [
        ("a.bin", ARRAYS, {}, "must end in .safetensors"),
        ("a.safetensors", {"c": np.zeros(2, "c16")}, {}, "which safetensors cannot hold"),
        ("a.safetensors", {"o": np.array([None])}, {}, "which safetensors cannot hold"),
        ("a.safetensors", {"__metadata__": np.zeros(1)}, {}, "tensor name"),
        ("a.safetensors", ARRAYS, {"metadata": {"step": 3}}, "must be text, got int"),
        ("a.safetensors", ARRAYS, {"shard_bytes": 0}, "shard_bytes=0"),
        ("gone/a.safetensors", ARRAYS, {}, "not written: No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_said(
    tmp_path: Path, path: str, tensors: Any, options: Any, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        write_tensors(tmp_path / path, tensors, **options)
    assert not list(tmp_path.iterdir())


_FILL_DISK = """
import sys, numpy as np
from pathlib import Path
from workbench.checkpoints import CheckpointError, read_tensors, write_tensors
path = Path(sys.argv[1]) / "m.safetensors"
shard = None if sys.argv[2] == "whole" else 200_000
write_tensors(path, {"a": np.ones(20_000, np.float32), "b": np.zeros(20_000, np.float32)},
              shard_bytes=None if shard is None else 100_000)
before = {p.name: p.read_bytes() for p in path.parent.iterdir()}
LIMIT
try:
    write_tensors(path, {f"w{i}": np.zeros(40_000, np.float32) for i in range(12)},
                  shard_bytes=shard)
except CheckpointError as error:
    assert "the disk is full or a size limit" in str(error), error
    assert "before is untouched" in str(error), error
else:
    raise SystemExit("no error")
assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == before
assert read_tensors(path)["a"].sum() == 20_000
print("kept")
"""


def _run_full(folder: Path, form: str, limit: str) -> str:
    root = str(Path(__file__).parents[2])
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_FILL_DISK).replace("LIMIT", limit), folder, form],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": root},
    )
    return run.stdout + run.stderr


@pytest.mark.parametrize("form", ["whole", "sharded"])
@pytest.mark.skipif(os.name == "nt", reason="RLIMIT_FSIZE is of POSIX systems")
def test_a_write_beyond_the_size_limit_keeps_the_old_checkpoint(tmp_path: Path, form: str) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))"
    assert _run_full(tmp_path, form, limit) == "kept\n"


@pytest.mark.parametrize("form", ["whole", "sharded"])
def test_a_full_disk_keeps_the_old_checkpoint(small_disk: Path, form: str) -> None:
    assert _run_full(small_disk, form, "") == "kept\n"


def test_text_beside_tensors_stays_whole_until_the_new_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = replace_text(tmp_path / "config.json", '{"width": 4}')

    def refused(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(CheckpointError, match=r"config\.json: not written: the disk is full"):
        replace_text(file, '{"width": 8}')
    assert file.read_text(encoding="utf-8") == '{"width": 4}'
    assert list(tmp_path.iterdir()) == [file]
