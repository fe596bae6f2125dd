"""Lowered programs on disk: what tells them apart, what is not believed, and who may write."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workbench import lowered_once
from workbench.atomic import TEMPORARY

ROOT = Path(__file__).resolve().parents[1]
TRACED: list[str] = []


class Pair(NamedTuple):
    total: jax.Array
    parts: dict[str, jax.Array]


jax.export.register_namedtuple_serialization(Pair, serialized_name="tests.Pair")


def ours(function):
    """As if it stood in one of the packages whose sources are compared."""
    function.__module__ = "workbench.of_a_test"
    return function


@ours
def paired(names, scale, x):
    TRACED.append("paired")
    found = {name: jnp.sin(x) * scale + i for i, name in enumerate(names)}
    return Pair(sum(found.values()), found)


X = np.linspace(0, 3, 8, dtype=np.float32)


def made(**more):
    return lowered_once.jit(paired, **{"of": "a test", "static_argnums": 0, **more})


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A folder for programs, and no trace so far."""
    monkeypatch.setattr(lowered_once, "store", lambda: tmp_path)
    TRACED.clear()
    return tmp_path


def test_a_second_program_is_read_and_gives_the_same_bits(store):
    plain = jax.jit(paired, static_argnums=0)(("a", "b"), np.float32(2), X)
    TRACED.clear()
    first = made()(("a", "b"), np.float32(2), X)
    assert TRACED == ["paired"]
    second = made()(("a", "b"), np.float32(2), X)
    assert TRACED == ["paired"], "the second is not traced"
    assert isinstance(second, Pair) and list(second.parts) == ["a", "b"]
    jax.tree.map(np.testing.assert_array_equal, plain, first)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    assert [file.suffix for file in store.iterdir()] == [".lowered"]


def test_what_decides_a_program_is_asked_for(store):
    run = made()
    run(("a",), np.float32(2), X)
    run(("a",), np.float32(3), X + 1)  # values do not
    assert len(list(store.iterdir())) == 1
    run(("b",), np.float32(2), X)
    run(("a",), np.float32(2), X[:4])
    run(("a",), np.float32(2), X.astype(np.float16).astype(np.int32) * 0 + jnp.int32(1))
    run(("a",), 2.0, X)  # weakly typed
    made(of="another test")(("a",), np.float32(2), X)
    with jax.default_matmul_precision("highest"):
        run(("a",), np.float32(2), X)
    assert len(list(store.iterdir())) == 7


def asked(function=paired, settings=("a test", {}), arguments=("tree", "types")):
    return lowered_once.digest(function, settings, arguments)


def test_every_part_of_a_key_counts(monkeypatch):
    keys = [asked(), asked(test_every_part_of_a_key_counts), asked(settings=("a test", {0: "a"}))]
    keys += [asked(arguments=("tree", "other types")), asked(arguments=("other tree", "types"))]
    with jax.numpy_dtype_promotion("standard"):
        keys.append(asked())
    with monkeypatch.context() as changed:
        changed.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
        keys.append(asked())
    for name in ("current_target", "instructions"):
        with monkeypatch.context() as changed:
            changed.setattr(lowered_once, name, lambda: "another")
            keys.append(asked())
    assert len(set(keys)) == len(keys) == 9
    before = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", before + 1)
    assert asked() == keys[0], "where and when executables are kept changes no program"
    jax.config.update("jax_persistent_cache_min_compile_time_secs", before)


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The only file of the sources, older than this process."""
    file = tmp_path / "ours.py"
    file.write_text("x = 1", encoding="utf-8")
    os.utime(file, (1, 1))
    monkeypatch.setattr(lowered_once, "sources", lambda: iter([file]))
    lowered_once.origin.cache_clear()
    yield file
    lowered_once.origin.cache_clear()


def anew():
    lowered_once.origin.cache_clear()
    return lowered_once.origin()


def test_an_origin_is_the_code_and_what_it_traces_with(source, monkeypatch):
    first = anew()
    assert first is not None and anew() == first
    source.write_text("x = 2", encoding="utf-8")
    os.utime(source, (1, 1))
    second = anew()
    monkeypatch.setattr(lowered_once.importlib.metadata, "version", lambda package: "0")
    assert len({first, second, anew()}) == 3


def test_files_changed_under_a_process_are_not_believed(source, store):
    os.utime(source, (time.time() + 1, time.time() + 1))
    assert anew() is None
    made()(("a",), np.float32(2), X)
    made()(("a",), np.float32(2), X)
    assert TRACED == ["paired", "paired"] and not list(store.glob("*.lowered"))


def test_our_sources_are_all_there():
    names = {str(file.relative_to(ROOT)) for file in lowered_once.sources()}
    assert {"workbench/lowered_once.py", "kernels_pallas/conv2d/tuned.json"} <= names
    assert not [name for name in names if lowered_once.SHIPPED in name]


@pytest.mark.parametrize("how", ["empty", "short", "turned", "of other code", "a folder"])
def test_a_broken_or_stale_file_is_made_again(store, monkeypatch, how):
    expected = made()(("a",), np.float32(2), X)
    (file,) = store.iterdir()
    good = file.read_bytes()
    middle = len(good) // 2
    if how == "of other code":
        monkeypatch.setattr(lowered_once, "origin", lambda: b"another")
    elif how == "a folder":
        file.unlink()
        file.mkdir()
    else:
        turned = good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]
        file.write_bytes({"empty": b"", "short": good[:-9], "turned": turned}[how])
    assert lowered_once.read(file) is None
    found = made()(("a",), np.float32(2), X)
    jax.tree.map(np.testing.assert_array_equal, expected, found)
    assert len(TRACED) == 2
    made()(("a",), np.float32(2), X)
    assert len(TRACED) == (3 if how == "a folder" else 2)
    assert not list(store.glob(f"{TEMPORARY}*"))


def test_where_nothing_is_kept_it_is_jit(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert lowered_once.store() is None, "the tests keep nothing"
    TRACED.clear()
    made()(("a",), np.float32(2), X)
    made()(("a",), np.float32(2), X)
    assert len(TRACED) == 2


def test_the_store_is_that_of_the_executables(monkeypatch):
    jax.config.update("jax_compilation_cache_dir", "/programs")
    jax.config.update("jax_enable_compilation_cache", True)
    try:
        assert lowered_once.store() == Path("/programs")
        monkeypatch.setattr(lowered_once, "backends", lambda: {"cpu": 0, "cuda": 1})
        assert lowered_once.store() is None
        monkeypatch.undo()
        jax.config.update("jax_compilation_cache_dir", "gs://far/away")
        assert lowered_once.store() is None
    finally:
        jax.config.update("jax_enable_compilation_cache", False)
        jax.config.update("jax_compilation_cache_dir", None)


def test_what_cannot_be_exported_is_traced(store):
    @ours
    def called_back(x):
        TRACED.append("called_back")
        return jax.pure_callback(np.negative, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    for _ in range(2):
        out = lowered_once.jit(called_back, of="")(X)
        np.testing.assert_array_equal(out, -X)
    assert not list(store.iterdir())


def test_a_functions_own_error_is_its_own(store):
    @ours
    def picky(x):
        raise ValueError("x has one axis too many")

    with pytest.raises(ValueError, match="one axis too many"):
        lowered_once.jit(picky, of="")(X)


def test_a_full_disk_is_no_error(store, monkeypatch):
    def full(target, pieces):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lowered_once, "replace_file", full)
    assert made()(("a",), np.float32(2), X).total.shape == X.shape
    assert not list(store.iterdir())


def test_what_cannot_be_told_apart_is_refused(store):
    with pytest.raises(ValueError, match="does not say what it is"):
        made(of=object())(("a",), np.float32(2), X)
    with pytest.raises(ValueError, match="only the sources of"):
        lowered_once.jit(test_a_full_disk_is_no_error, of="")


ASK = """
import sys
import jax, numpy as np
from workbench import home, lowered_once
home.keep_compiled()
traced = []
def program(x):
    traced.append(1)
    for _ in range(40):
        x = jax.numpy.sin(x) + 1
    return x
program.__module__ = "workbench.of_a_test"
sys.stdin.readline()
out = lowered_once.jit(program, of="")(np.ones(3, np.float32))
print(len(traced), np.asarray(out).tobytes().hex())
"""


@pytest.mark.slow
def test_processes_at_once_share_a_store(tmp_path):
    kept = {k: v for k, v in os.environ.items() if k == "JAX_PLATFORMS" or not k.startswith("JAX_")}
    env = kept | {"WORKBENCH_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def begun():
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, "-c", ASK], env=env, cwd=tmp_path, **pipes)

    together = [begun() for _ in range(3)]
    said = [one.communicate("go\n", timeout=120)[0].split() for one in together]
    later = begun().communicate("go\n", timeout=120)[0].split()
    assert all(int(traced) <= 1 for traced, _ in said) and later[0] == "0"
    assert {out for _, out in [*said, later]} == {later[1]}
    files = list((tmp_path / "compiled").glob("program-*.lowered"))
    assert len(files) == 1 and files[0].stat().st_size > lowered_once.DIGEST
    assert not list((tmp_path / "compiled").glob(f"{TEMPORARY}*"))
