"""A checkpoint kept as its difference from another: half a step near, and from no other base."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workbench.checkpoints import (
    CheckpointError,
    open_tensors,
    read_tensors,
    tensor_shapes,
    write_difference,
    write_tensors,
)
from workbench.checkpoints.difference import BASE, BASE_HASH

FILE, ORIGIN = "fine/unet/m.safetensors", "base/unet"


def weights(seed: int = 0, spread: float = 0.0) -> dict[str, np.ndarray]:
    """Half precision; of another seed, near those of the first."""
    first, draw = np.random.default_rng(0), np.random.default_rng(seed)
    shapes = {"conv.weight": (6, 4, 3, 3), "to_q.weight": (8, 5), "conv.bias": (6,), "gain": ()}
    found = {name: first.normal(size=shape) for name, shape in shapes.items()}
    near = {name: one + spread * draw.normal(size=one.shape) for name, one in found.items()}
    return {name: np.asarray(one, np.float16) for name, one in near.items()} | {
        "steps": np.arange(3, dtype=np.int64)
    }


FINE = weights(1, 0.03)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A base in one folder, and its difference in another."""
    for folder in (ORIGIN, Path(FILE).parent):
        (tmp_path / folder).mkdir(parents=True)
    write_tensors(tmp_path / ORIGIN / "model.safetensors", weights())
    write_difference(tmp_path / FILE, FINE, tmp_path / ORIGIN, {"made": "here"})
    return tmp_path


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A tensor and its base's, of any shape; often equal."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    kinds = {"<f2": 16, "<f4": 32, "<f8": 64}

    def one(kind: str) -> np.ndarray:
        elements = st.floats(-1024, 1024, width=kinds[kind])
        return draw(hnp.arrays(kind, shape, elements=elements))

    tensor = one(draw(st.sampled_from(list(kinds))))
    kind = draw(st.sampled_from(["<f2", "<f4"]))
    return tensor, tensor.astype(kind) if draw(st.booleans()) else one(kind)


@settings(max_examples=60, deadline=None)
@given(pair=pairs())
def test_the_sum_is_within_half_a_step(
    tmp_path_factory: pytest.TempPathFactory, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    folder, (tensor, origin) = tmp_path_factory.mktemp("pair"), pair
    (folder / "base").mkdir()
    base = write_tensors(folder / "base" / "b.safetensors", {"w": origin})
    file = write_difference(folder / "w.safetensors", {"w": tensor}, base)
    found, held = read_tensors(file)["w"], safetensors.numpy.load_file(file)
    assert found.shape == tensor.shape
    if tensor.ndim < 2:
        assert found.dtype == tensor.dtype and found.tobytes() == tensor.tobytes()
        return
    assert held["difference.w"].dtype == np.int8 and found.dtype == np.float32
    step = held["scale.w"].astype(np.float64).reshape(-1, *[1] * (tensor.ndim - 1))
    wanted, near = tensor.astype(np.float64), origin.astype(np.float64)
    # Half a step, and float32's rounding of the product and of the sum.
    allowed = 0.5 * step + 2.0**-23 * (np.abs(wanted) + np.abs(near) + step)
    assert (np.abs(found - wanted) <= allowed).all()
    still = (wanted == near).all(axis=tuple(range(1, tensor.ndim)))
    np.testing.assert_array_equal(found[still], origin[still].astype(np.float32))


def test_the_largest_error_is_below_half_precisions_in_half_the_bytes(tmp_path: Path) -> None:
    """At the distance of students from their teacher: three hundredths of the largest weight."""
    draw = np.random.default_rng(0)
    origin = draw.normal(size=(64, 576)).astype(np.float32)
    far = draw.uniform(-1, 1, size=origin.shape) * 0.03 * np.abs(origin).max()
    fine = (origin + far).astype(np.float32)
    (tmp_path / "base").mkdir()
    base = write_tensors(tmp_path / "base" / "b.safetensors", {"w": origin})
    small = write_difference(tmp_path / "s.safetensors", {"w": fine}, base)
    half = write_tensors(tmp_path / "h.safetensors", {"w": fine.astype(np.float16)})
    assert small.stat().st_size < 0.52 * half.stat().st_size
    error = np.abs(read_tensors(small)["w"] - fine).max()
    assert error < np.abs(read_tensors(half, dtype="float32")["w"] - fine).max()


def test_it_is_a_checkpoint_like_any(place: Path) -> None:
    found, file = open_tensors(place / "fine" / "unet"), place / FILE
    assert found.shapes == tensor_shapes(file) == {name: one.shape for name, one in FINE.items()}
    assert {name: found[name].dtype for name in found} == found.dtypes
    assert found.dtypes["conv.weight"] == np.float32 and found.dtypes["gain"] == np.float16
    assert "conv.bias" in found and "whole.conv.bias" not in found and len(found) == len(FINE)
    with pytest.raises(KeyError):
        found["scale.conv.weight"]
    assert open_tensors(file, dtype="bfloat16")["to_q.weight"].dtype.name == "bfloat16"
    assert found["steps"].dtype == np.int64
    with safetensors.safe_open(file, "numpy") as held:
        assert held.metadata()[BASE] == "../../base/unet"


def test_written_again_it_is_whole(place: Path) -> None:
    found = open_tensors(place / FILE)
    assert found.metadata == {"made": "here"}
    whole = write_tensors(place / "whole.safetensors", found, found.metadata)
    shutil.rmtree(place / "base")
    again = safetensors.numpy.load_file(whole)
    assert set(again) == set(FINE)
    np.testing.assert_allclose(again["conv.weight"], FINE["conv.weight"], atol=1e-3)


def test_both_move_together_and_the_base_may_be_cut_anew(place: Path, tmp_path: Path) -> None:
    before = read_tensors(place / FILE)
    other = tmp_path / "other"
    for part in ("base", "fine"):
        shutil.move(place / part, other / part)
    whole = other / ORIGIN / "model.safetensors"
    write_tensors(whole, open_tensors(whole), {"note": "in shards"}, shard_bytes=200)
    assert not whole.exists()
    after = read_tensors(other / FILE)
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


@pytest.mark.parametrize(
    ("base", "tensors", "message"),
    [
        ("gone", FINE, "base of this difference cannot be opened: .*no such file"),
        (FILE, FINE, "lies in the folder that .* is written to"),
        ("fine/unet", FINE, "lies in the folder that .* is written to"),
        ("second/m.safetensors", FINE, "itself a difference; needed a whole checkpoint"),
        (ORIGIN, {"conv.weight": FINE["conv.weight"]}, "5 tensors expected, 1 found"),
        (ORIGIN, FINE | {"gain": np.zeros(2)}, r"gain: found \(2,\), expected \(\)"),
        (ORIGIN, FINE | {"to_q.weight": np.full((8, 5), np.nan)}, "to_q.weight: 40 of 40"),
        (ORIGIN, FINE | {"gain": np.array(np.inf)}, "gain: 1 of 1"),
        (ORIGIN, FINE | {"to_q.weight": np.full((8, 5), 1e200)}, "to_q.weight' is 1e[+]200 from"),
        ("broken/m.safetensors", FINE, "conv.weight less the base's: 1 of 216"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_said(place: Path, base: str, tensors: Any, message: str) -> None:
    broken = weights()
    broken["conv.weight"][0, 0, 0, 0] = np.nan
    for name in ("second", "broken"):
        (place / name).mkdir()
    write_difference(place / "second" / "m.safetensors", FINE, place / ORIGIN)
    write_tensors(place / "broken" / "m.safetensors", broken)
    before = (place / FILE).read_bytes()
    with pytest.raises(CheckpointError, match=message) as caught:
        write_difference(place / FILE, tensors, place / base)
    assert "m.safetensors" in str(caught.value)
    assert (place / FILE).read_bytes() == before
    assert [entry.name for entry in (place / FILE).parent.iterdir()] == ["m.safetensors"]


def changed(file: Path, edit: Callable[[dict[str, np.ndarray], dict[str, str]], None]) -> None:
    """The file with its tensors and metadata edited by hand."""
    tensors = safetensors.numpy.load_file(file)
    with safetensors.safe_open(file, "numpy") as held:
        notes = held.metadata()
    edit(tensors, notes)
    safetensors.numpy.save_file(tensors, file, notes)


@pytest.mark.parametrize(
    "named", ["", "/base/unet", "C:/base", "c:base", "..\\base", "//host/base", "\\base"]
)
def test_a_base_is_named_by_a_relative_path_alone(place: Path, named: str) -> None:
    changed(place / FILE, lambda _, notes: notes.update({BASE: named}))
    with pytest.raises(CheckpointError, match="needed a relative path from the file's folder"):
        open_tensors(place / FILE)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("../../gone", "cannot be opened: .*gone: no such file"),
        ("../../ba\0se", "cannot be opened"),
        ("../" + 300 * "x", "cannot be opened"),
        ("m.safetensors", "itself a difference"),
        (".", "itself a difference"),
        ("../../notes.txt", r"not a \.safetensors file"),
        ("../../model.bin", "pickle files are not loaded"),
    ],
)
def test_a_base_that_is_none(place: Path, named: str, message: str) -> None:
    (place / "notes.txt").touch()
    changed(place / FILE, lambda _, notes: notes.update({BASE: named}))
    with pytest.raises(CheckpointError, match=message) as caught:
        open_tensors(place / FILE)
    assert str(place / FILE) in str(caught.value)


def steps(value: float) -> np.ndarray:
    return np.full(8, value, np.float32)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda held, notes: notes.pop(BASE_HASH), "was made from weights ''"),
        (lambda held, notes: notes.update({BASE_HASH: "0" * 64}), "weights '0000000000000000'"),
        (lambda held, notes: held.pop("scale.conv.weight"), "'scale.conv.weight' is none, needed"),
        (lambda held, notes: held.pop("difference.conv.weight"), r"float32 \(6,\), needed none"),
        (lambda held, notes: held.update(more=np.zeros(2)), "'more' is float64 .*, needed none"),
        (lambda held, notes: held.update({"whole.conv.weight": np.zeros((2, 2))}), "broken diff"),
        (lambda held, notes: held.update({"difference.gain": np.zeros((), np.int8)}), "broken"),
        (lambda held, notes: held.update({"scale.conv.weight": np.ones((6, 1), np.float32)}),
         r"'scale.conv.weight' is float32 \(6, 1\), needed float32 \(6,\)"),
        (lambda held, notes: held.update({"difference.to_q.weight": np.zeros((8, 5), np.uint8)}),
         r"'difference.to_q.weight' is uint8 \(8, 5\), needed int8 \(8, 5\)"),
        (lambda held, notes: held.pop("whole.gain"), "does not fit: 5 tensors expected, 4 found"),
        (lambda held, notes: held.update({"whole.gain": np.zeros(3, np.float16)}),
         r"gain: found \(3,\), expected \(\)"),
        (lambda held, notes: held.update({"scale.to_q.weight": steps(np.nan)}),
         "to_q.weight: 40 of 40"),
        (lambda held, notes: held.update({"scale.to_q.weight": steps(np.inf)}),
         "to_q.weight: .* of 40"),
    ],
)  # fmt: skip
def test_a_broken_difference_is_one_clear_error(place: Path, edit: Any, message: str) -> None:
    changed(place / FILE, edit)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_tensors(place / FILE)
    assert str(place / FILE) in str(caught.value)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (weights(2, 1e-3), "holds .*; put back the base it was made from"),
        ({name: one.astype(np.float32) for name, one in weights().items()}, "put back the base"),
        ({n: a for n, a in weights().items() if n != "gain"}, r"unexpected \(1\):\s+gain"),
        (weights() | {"gain": np.zeros(2)}, r"gain: found \(\), expected \(2,\)"),
    ],
)
def test_a_base_that_changed_is_refused(place: Path, base: Any, message: str) -> None:
    write_tensors(place / ORIGIN / "model.safetensors", base)
    for opened in (open_tensors, read_tensors, tensor_shapes):
        with pytest.raises(CheckpointError, match=message):
            opened(place / FILE)


def test_the_header_is_text_that_any_reader_shows(place: Path) -> None:
    raw = (place / FILE).read_bytes()
    head = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert set(head["__metadata__"]) == {"made", BASE, BASE_HASH}
    assert len(head["__metadata__"][BASE_HASH]) == 64
