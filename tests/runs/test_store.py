"""The store: index, results, timings; nothing is ever unpickled."""

import pickle
import sqlite3
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workbench.home import data
from workbench.runs import Identity, Results, Store


def fill(store: Store, count: int = 3) -> None:
    for seed in range(count):
        with store.run(Identity({"rate": 0.1}, seed=seed)).writing() as writer:
            writer.finish({"loss": float(seed)})


def test_table_has_a_row_a_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.table().empty and store.runs() == []
    fill(store)
    table = store.table()
    assert list(table["result.loss"]) == [0.0, 1.0, 2.0]
    assert list(table["config.seed"]) == [0, 1, 2] and set(table["state"]) == {"finished"}
    assert [run.id for run in store.runs()] == list(table["id"])


@pytest.mark.parametrize("damage", ["missing", "corrupt", "empty", "truncated", "foreign"])
def test_index_is_made_again_from_the_folders(tmp_path: Path, damage: str) -> None:
    store, file = Store(tmp_path), tmp_path / "index.sqlite"
    fill(store)
    wanted = store.table()
    if damage == "missing":
        file.unlink()
    elif damage == "corrupt":
        file.write_bytes(b"no database" * 1000)
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:-4096])
    else:
        file.unlink()
        database = sqlite3.connect(file)
        database.execute("CREATE TABLE runs (something INTEGER)")
        database.commit()
        database.close()
    for _ in range(2):
        assert store.table().equals(wanted)
    database = sqlite3.connect(file)
    assert database.execute("SELECT count(*) FROM runs").fetchone() == (3,)
    database.close()


def test_index_follows_the_folders(tmp_path: Path) -> None:
    import shutil

    store = Store(tmp_path)
    fill(store)
    assert len(store.table()) == 3
    run = store.runs()[0]
    with run.writing(again=True) as writer:
        writer.finish({"loss": 77.0})
    assert 77.0 in list(store.table()["result.loss"])
    shutil.rmtree(run.folder)
    assert len(store.table()) == 2


def test_reading_works_while_another_holds_the_index(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store)
    wanted = store.table()
    reader = sqlite3.connect(tmp_path / "index.sqlite")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM runs").fetchall()
    assert store.table().equals(wanted)
    reader.close()


def test_timings_append_and_are_never_merged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.timings().empty
    for _ in range(3):
        store.add_timing(trial="a", seconds=0.5)
    assert list(store.timings()["seconds"]) == [0.5, 0.5, 0.5]


@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.int8, np.uint8, np.complex64, np.bool_, np.float16]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
def test_what_is_remembered_is_recalled(tmp_path_factory: Any, array: np.ndarray) -> None:
    results = Results(tmp_path_factory.mktemp("results"))
    assert results.recall("key") is None
    results.remember("key", {"x": array, "t": array.T}, {"psnr": 3.5})
    arrays, record = results.recall("key") or ({}, {})
    assert record == {"psnr": 3.5}
    assert arrays["x"].dtype == array.dtype and arrays["x"].shape == array.shape
    assert arrays["x"].tobytes() == array.tobytes()
    np.testing.assert_array_equal(arrays["t"], array.T)


def test_half_precision_of_jax_is_kept(tmp_path: Path) -> None:
    results = Results(tmp_path)
    array = np.arange(4).astype(ml_dtypes.bfloat16)
    results.remember("k", {"x": array}, {})
    found = (results.recall("k") or ({}, {}))[0]["x"]
    assert found.dtype == array.dtype and (found == array).all()


def test_equal_arrays_are_kept_once_and_a_damaged_one_is_noticed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ones = np.ones((3, 3))
    store.remember("a", {"x": ones}, {"n": 1})
    store.remember("b", {"y": ones.copy()}, {"n": 2})
    (file,) = tmp_path.rglob("*.npy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert store.recall("a") is None
    store.remember("a", {"x": ones}, {"n": 1})
    assert store.recall("a") is not None and store.recall("b") is not None


class Bomb:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("exploded"),)


def test_pickles_are_neither_written_nor_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib
    import io

    monkeypatch.chdir(tmp_path)
    results = Results(tmp_path / "r")
    with pytest.raises(TypeError, match=r"arrays\['x'\]: holds Python objects"):
        results.remember("k", {"x": np.array([Bomb()])}, {})
    results.remember("k", {"x": np.ones(2)}, {})
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()]), allow_pickle=True)
    (record,) = (tmp_path / "r").rglob("*.json")
    (array,) = (tmp_path / "r").rglob("*.npy")
    for evil in (buffer.getvalue(), pickle.dumps(Bomb())):
        # Even one whose hash the record vouches for.
        sha256 = hashlib.sha256(evil).hexdigest()
        results.path(sha256).parent.mkdir(parents=True, exist_ok=True)
        results.path(sha256).write_bytes(evil)
        record.write_text(record.read_text().replace(array.stem, sha256))
        with pytest.raises(ValueError, match="pickle|allow_pickle"):
            results.recall("k")
        record.write_text(record.read_text().replace(sha256, array.stem))
    assert not Path("exploded").exists()
    for package in ("runs", "training"):
        for source in (Path(__file__).parents[2] / "workbench" / package).glob("*.py"):
            text = source.read_text()
            assert "import pickle" not in text and "allow_pickle=True" not in text


def test_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "mine"))
    assert Store().folder == tmp_path / "mine" == data()
    assert not (tmp_path / "mine").exists()
    monkeypatch.delenv("WORKBENCH_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("sys.platform", "linux")
    assert data() == tmp_path / "data" / "efficiency-workbench"
