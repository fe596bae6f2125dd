"""Identity: the same for equal values in any order and process, another for any change."""

import copy
import functools
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from workbench.runs import Identity, digest, fingerprint

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    PLAIN | st.builds(Path, st.text("abc/.", min_size=1)),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
    max_leaves=8,
)


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(list(value))}
    if isinstance(value, list):
        return tuple(shuffled(part) for part in value)
    return copy.deepcopy(value)


def same(a: Any, b: Any) -> bool:
    """Python's equality, but with NaN equal to itself and True apart from 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    return (type(a) is type(b) and a == b) or _numbers(a, b)


def _numbers(a: Any, b: Any) -> bool:
    return isinstance(a, int | float) and isinstance(b, int | float) and a == b


@settings(deadline=None)
@given(VALUES)
def test_order_of_keys_does_not_count(value: Any) -> None:
    assert Identity({"a": value}).id == Identity({"a": shuffled(value)}).id


@settings(deadline=None)
@given(VALUES, VALUES)
def test_identities_are_equal_exactly_where_values_are(a: Any, b: Any) -> None:
    assert (digest(a) == digest(b)) == same(a, b)


@settings(deadline=None)
@given(st.lists(st.floats(width=32), min_size=1), st.integers(0), st.integers(0, 31))
def test_any_changed_bit_of_an_array_counts(values: list[float], where: int, bit: int) -> None:
    array = np.array(values, np.float32)
    changed = array.copy()
    changed.view(np.uint32)[where % len(values)] ^= np.uint32(1 << bit)
    assert digest({"x": array}) == digest({"x": array.copy()})
    assert digest({"x": array}) != digest({"x": changed})


def test_arrays_count_by_dtype_and_shape_and_not_by_layout() -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert digest(array) == digest(np.asfortranarray(array)) == digest(array.astype(">i4"))
    others = [array.reshape(3, 2), array.astype(np.int64), array.tolist()]
    assert len({digest(array), *map(digest, others)}) == 4
    with pytest.raises(TypeError, match="array of Python objects"):
        digest(np.array([object()]))


def test_each_part_of_an_identity_counts() -> None:
    base = {"config": {"lr": 0.1}, "subject": "a", "data": "b", "version": "1", "seed": 0}
    changes = [{"config": {"lr": 0.2}}, {"subject": "b"}, {"data": "a"}, {"version": "2"}]
    ids = {Identity(**{**base, **change}).id for change in [{}, *changes, {"seed": 1}]}
    assert len(ids) == 6
    assert Identity(**base).id in ids


class Settings(BaseModel):
    rate: float = 1.0
    folder: Path = Path("x")


@dataclass
class Pair:
    a: int
    b: Any


def test_models_and_dataclasses_count_by_content() -> None:
    assert digest(Settings()) == digest(Settings(rate=1))
    assert digest(Settings()) != digest(Settings(rate=2))
    assert digest(Pair(1, [2])) == digest(Pair(1, (2,)))
    assert digest(Pair(1, 2)) != digest(Pair(2, 1))


SCALE = 3


def scaled(x: float) -> float:
    return x * SCALE


def calls_scaled(x: float) -> float:
    return scaled(x) + 1


def test_functions_count_by_source_and_what_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def closing(k: int) -> Any:
        return lambda x: x + k

    assert digest(closing(1)) == digest(closing(1)) != digest(closing(2))
    a, b = (lambda x: x + 1), (lambda x: x + 2)
    assert digest(a) != digest(b)
    assert digest(functools.partial(scaled, 1)) != digest(functools.partial(scaled, 2))
    before = digest(calls_scaled)
    monkeypatch.setitem(globals(), "SCALE", 4)
    assert digest(calls_scaled) != before


def test_comments_do_not_make_another_function(tmp_path: Path) -> None:
    import linecache

    found = []
    for text in ("def f(x):\n    return x\n", "def f(x):\n    # a word\n    return x\n"):
        file = str(tmp_path / "cell.py")
        linecache.cache[file] = (len(text), None, text.splitlines(True), file)
        space: dict[str, Any] = {}
        exec(compile(text, file, "exec"), space)
        found.append(digest(space["f"]))
    assert found[0] == found[1]


def recursive(n: int) -> int:
    return recursive(n - 1) if n else 0


def test_a_recursive_function_and_a_looped_list_come_to_an_end() -> None:
    assert digest(recursive) == digest(recursive)
    loop: list[Any] = [1]
    loop.append(loop)
    assert digest(loop) != digest([1, 1])


def test_what_has_no_content_is_named() -> None:
    with pytest.raises(TypeError, match=r"config.a.b\[1\]: cannot make an identity of a object"):
        _ = Identity({"a": {"b": [1, object()]}}).id


def test_declared_fingerprint_is_taken() -> None:
    class Net:
        fingerprint = "net-1"

    assert fingerprint(Net()) == "net-1"
    assert digest({"net": Net()}) == digest({"net": Net()})


def test_same_in_another_process_with_another_hash_seed() -> None:
    code = (
        "from workbench.runs import Identity; from pathlib import Path; import sys\n"
        "print(Identity({'s': {'a', 'b', 'c'}, 'p': Path('x/y'), 'f': 0.1, 'e': 1e300}).id)\n"
        "assert 'jax' not in sys.modules and 'pandas' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    ids = set()
    for seed in ("1", "2"):
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root), "PATH": ""}
        answer = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stderr
        ids.add(answer.stdout)
    assert len(ids) == 1


TABLE = np.ones(3)


class Scaling:
    """Without content that could be compared."""

    def __init__(self, by: float):
        self.by = by


scaling = Scaling(2.0)


def reads_table(i: int) -> float:
    return float(TABLE[i])


def reads_shape(x: Any) -> Any:
    return x.TABLE  # an attribute that happens to be called as a global is


def builds(i: int) -> float:
    return Helper().value(i)


class Helper:
    rate = 2.0

    def value(self, i: int) -> float:
        return self.rate * i


def test_globals_count_by_content(monkeypatch: pytest.MonkeyPatch) -> None:
    before, attribute = digest(reads_table), digest(reads_shape)
    monkeypatch.setitem(globals(), "TABLE", np.full(3, 7.0))
    assert digest(reads_table) != before
    assert digest(reads_shape) == attribute


def test_a_global_without_content_is_named() -> None:
    def uses(i: int) -> float:
        return scaling.by * i

    with pytest.raises(TypeError, match=r"function\.scaling: cannot make an identity of a Scaling"):
        digest(uses)


def test_a_class_counts_by_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(builds)
    monkeypatch.setattr(Helper, "rate", 3.0)
    rate = digest(builds)
    monkeypatch.setattr(Helper, "value", lambda self, i: i)
    assert len({before, rate, digest(builds)}) == 3


def test_models_count_by_their_weights() -> None:
    import jax
    import jax.numpy as jnp
    from flax import nnx

    net = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    run = jax.jit(lambda x: net(x))
    before = digest(run)
    assert digest(run) == before
    net.bias[...] = jnp.ones(2)
    assert digest(run) != before


def test_a_function_is_the_same_in_another_process_with_another_hash_seed(tmp_path: Path) -> None:
    file = tmp_path / "cell.py"
    file.write_text(
        "from workbench.runs import digest\n"
        "print(digest(lambda x: x in {'a', 'b', 'c'}), digest([lambda x: x in ('a', 'b')]))\n"
    )
    root = str(Path(__file__).parents[2])
    answers = set()
    for seed in ("1", "2", "3"):
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": root, "PATH": ""}
        done = subprocess.run([sys.executable, file], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        answers.add(done.stdout)
    assert len(answers) == 1
