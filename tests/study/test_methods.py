"""Methods: identity by code and settings, chains, and names where one comes twice."""

import linecache

import pytest

from tests.study.test_compare import Exact, Rounded, Signal
from workbench.study import Knobs, Method, compare, knob
from workbench.study.compare import distinct

CELL = """
def factor():
    return 2

class FromACell(Method):
    name = "From a cell"
    def apply(self, artifact, inputs):
        return {"value": inputs * factor()}
"""


def typed(source, number):
    """The class of a notebook cell: its code has lines on record, its module has no file."""
    name = f"<cell-{number}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    scope = {"Method": Method, "__name__": "__main__"}
    exec(compile(source, name, "exec"), scope)
    return scope["FromACell"]


def test_an_edited_cell_is_another_method():
    first, same = typed(CELL, 1)(), typed(CELL, 2)()
    assert first == same
    assert first != typed(CELL.replace("inputs *", "inputs +"), 3)()
    assert first != typed(CELL.replace("return 2", "return 3"), 4)(), "a helper was edited"
    assert first == typed(CELL.replace("class", "# a remark\nclass"), 5)()


def test_overriding_a_verb_does_not_inherit_the_version():
    class Floored(Rounded):  # under its parent's name, as a user may leave it
        def apply(self, artifact, inputs):
            return {"value": inputs // 1}

    class Declared(Rounded):
        version = "2"

    class Untouched(Rounded):
        version = "1"

    assert Floored() != Rounded() and Declared() != Rounded() and Floored() != Declared()
    assert Untouched() == Rounded()


def test_knob_bounds_are_part_of_a_versionless_method():
    def make(top):
        class Made(Method):
            name = "Made"

            class Knobs(Knobs):
                digits: int = knob(1, ge=0, le=top)

        return Made

    assert make(5)() == make(5)() != make(6)()


def test_the_name_on_the_screen_is_not_the_identity():
    alone = Rounded(digits=2)
    _, labelled, other = distinct([Exact(), Rounded(digits=2), Rounded(digits=3)])
    assert (labelled.name, other.name) == ("Rounded, digits 2", "Rounded, digits 3")
    assert labelled == alone and hash(labelled) == hash(alone) and labelled != other
    assert alone.name == "Rounded"


def test_chains_that_share_methods_get_names_of_their_own():
    chains = [Rounded(digits=d).then(Exact()) for d in (2, 3)]
    first, second = distinct(chains)
    assert first.name == "Rounded, then Exact, Rounded.digits 2"
    assert second.name == "Rounded, then Exact, Rounded.digits 3"
    assert first == chains[0]
    with pytest.raises(ValueError, match="is in methods twice with the same settings"):
        distinct([chains[0], Rounded(digits=2).then(Exact())])
    with pytest.raises(ValueError, match="methods is empty"):
        distinct([])


def test_a_long_chain_keeps_every_setting():
    chain = Rounded(digits=2).then(Rounded(digits=3)).then(Exact())
    assert chain.settings == {"Rounded.digits": 2, "Rounded 2.digits": 3}
    assert [link.code() for link in chain.links] == [
        "Rounded(digits=2)", "Rounded(digits=3)", "Exact()",
    ]  # fmt: skip
    right = Rounded(digits=2).then(Rounded(digits=3).then(Exact()))
    assert right.settings == chain.settings


class Trained(Method):
    name = "Trained"
    kind = "model"
    seeded = True
    version = "1"

    def prepare(self, subject, seed=0, report=None):
        return Signal(subject.length + seed, f"trained {seed}")

    def outline(self, subject):
        return Signal(1, "outline")

    def apply(self, artifact, inputs):
        return {"value": inputs * 0 + artifact.length}


class Halved(Method):
    name = "Halved"
    kind = "transform"
    version = "1"

    def check(self, subject):
        self.seen = subject
        return []

    def prepare(self, subject, seed=0, report=None):
        return Signal(subject.length // 2, f"half of {subject.name}")


def test_what_a_method_leaves_is_the_next_ones_subject():
    chain = Trained().then(Halved())
    assert (chain.kind, chain.seeded) == ("transform", True)
    assert chain.prepare(Signal(64), 6) == Signal(35, "half of trained 6")
    chain.check(Signal(64))
    assert chain.second.seen.name == "outline"


def test_a_transform_runs_as_what_it_transformed_did():
    from tests.study.test_compare import study

    found = compare([Exact(), Trained().then(Halved())], study(range(3)), repeats=0)
    made = found.outputs["Trained, then Halved"]["value"]
    assert made[:, 0].tolist() == [32, 32, 33]
