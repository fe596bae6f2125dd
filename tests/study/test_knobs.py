"""Knob models: one declaration is slider, error and record."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.study.knobs import KnobError, Knobs, describe, knob


class Sampling(Knobs):
    steps: int = knob(50, ge=1, le=1000, unit="steps", paper=50)
    guidance: float = knob(2.0, ge=1, le=20, step=0.1, unit="×", help="How strongly.")
    sampler: Literal["ddim", "ddpm"] = knob("ddim", choices={"ddim": "DDIM"})
    interval: int | None = knob(None, ge=1, le=9, visible_when={"sampler": ("ddpm", "other")})
    keys: tuple[int, ...] = knob((0, 5))
    exact: bool = knob(True, static=True)
    noise: float = knob(0.0)


def test_fields_carry_what_a_form_needs():
    fields = {field.name: field for field in describe(Sampling)}
    assert fields["steps"].type == "int" and fields["steps"].step == 1
    assert (fields["steps"].ge, fields["steps"].le) == (1, 1000)
    assert fields["steps"].label == "Steps" and fields["steps"].paper == 50
    assert fields["guidance"].help == "How strongly."
    assert fields["sampler"].choices == (("ddim", "DDIM"), ("ddpm", "ddpm"))
    assert fields["interval"].type == "int" and fields["interval"].le == 9
    assert fields["keys"].type == "steps"
    assert fields["exact"].static
    assert not fields["interval"].visible({"sampler": "ddim"})
    assert fields["interval"].visible({"sampler": "ddpm"})


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({"steps": 0}, "steps", "Steps must be between 1 and 1000. You gave 0"),
        ({"steps": "many"}, "steps", "Steps must be a whole number between 1 and 1000"),
        ({"sampler": "euler"}, "sampler", "one of 'ddim', 'ddpm'. You gave 'euler'"),
        ({"exact": "perhaps"}, "exact", "Exact must be true or false"),
        ({"keys": 3.5}, "keys", "a list of step numbers"),
        ({"steps": True}, "steps", "a whole number between 1 and 1000. You gave True"),
        ({"guidance": True}, "guidance", "a number between 1 and 20. You gave True"),
        ({"interval": True}, "interval", "a whole number between 1 and 9. You gave True"),
        ({"keys": (0, True)}, "keys", "a list of step numbers"),
        ({"noise": float("nan")}, "noise", "Noise must be a number. You gave nan"),
        ({"noise": float("-inf")}, "noise", "Noise must be a number. You gave -inf"),
        ({"guidance": float("inf")}, "guidance", "a number between 1 and 20. You gave inf"),
        ({"stpes": 3}, "stpes", "There is no knob 'stpes'. Known: steps, guidance"),
    ],
)
def test_a_bad_value_is_one_error_that_names_it(values, field, message):
    with pytest.raises(KnobError) as caught:
        Sampling.parse(values)
    assert caught.value.field == field
    assert message in str(caught.value)


def test_knobs_are_immutable_and_hashable():
    knobs = Sampling()
    with pytest.raises(Exception, match="frozen"):
        knobs.steps = 3
    assert len({Sampling(), Sampling(steps=50), Sampling(steps=49)}) == 2


@given(st.integers(-5000, 5000))
def test_bounds_hold_for_every_whole_number(value):
    if 1 <= value <= 1000:
        assert Sampling.parse({"steps": value}).steps == value
    else:
        with pytest.raises(KnobError):
            Sampling.parse({"steps": value})


@given(st.builds(Sampling, steps=st.integers(1, 1000), guidance=st.floats(1, 20)))
def test_a_record_gives_the_same_knobs_back(knobs):
    assert Sampling.model_validate_json(knobs.model_dump_json()) == knobs


def test_an_unsupported_type_is_refused():
    class Odd(Knobs):
        table: dict[str, int] = knob({})

    with pytest.raises(TypeError, match="'table'"):
        describe(Odd)
