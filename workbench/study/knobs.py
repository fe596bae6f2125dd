"""Knobs: the settings of one method, said once.

A field's type, bounds, unit and description are at once the slider on the screen, the error for
a bad value, and the JSON in the record.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any, Literal, Self, Union, get_args, get_origin

import annotated_types
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

Scale = Literal["linear", "log"]
KnobType = Literal["int", "float", "bool", "choice", "steps", "text"]


class KnobError(ValueError):
    """A knob was given a value it cannot take: `field` and `value` say which."""

    def __init__(self, field: str, value: Any, message: str):
        super().__init__(message)
        self.field = field
        self.value = value


class Knobs(BaseModel):
    """Base of every method's settings: immutable, hashable, no unknown fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python counts True as 1; a person who gave it meant something else."""
        name = str(info.field_name)
        kind = _knob_type(name, cls.model_fields[name].annotation)
        given = value if isinstance(value, list | tuple) else (value,)
        if kind in ("int", "float", "steps") and any(isinstance(part, bool) for part in given):
            raise PydanticCustomError("number", "true and false are no numbers")
        return value

    @classmethod
    def parse(cls, values: dict[str, Any]) -> Self:
        """Build from plain values; the first problem becomes one `KnobError`.

        Raises:
            KnobError: naming the field, the value given, and what would be right.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise _first_problem(cls, error) from None


def knob(
    default: Any,
    *,
    ge: float | None = None,
    le: float | None = None,
    step: float | None = None,
    scale: Scale = "linear",
    unit: str = "",
    label: str = "",
    help: str = "",
    static: bool = False,
    visible_when: dict[str, Any] | None = None,
    paper: Any = None,
    source: str = "",
    choices: dict[Any, str] | None = None,
    lines: int = 1,
) -> Any:
    """Declare one field of a `Knobs` model.

    Args:
        default: the value before anyone touches it.
        ge, le: bounds, both included.
        step: slider step; the number box takes any value within the bounds.
        scale: how the slider maps its track to values.
        unit: shown beside the number ("steps", "×").
        label: name on the screen; the field's name in words when empty.
        help: one sentence on what it does.
        static: True where a change compiles anew.
        visible_when: other fields' values under which this one matters, `{"mode": "uniform"}`;
            a tuple of values means any of them.
        paper: the value the paper uses, marked under the slider.
        source: paper and section the value comes from.
        choices: screen names of a Literal's values.
        lines: height of a text's box.
    """
    extra = {
        "step": step,
        "scale": scale,
        "unit": unit,
        "label": label,
        "static": static,
        "visible_when": visible_when,
        "paper": paper,
        "source": source,
        "choices": choices,
        "lines": lines,
    }
    return Field(default, ge=ge, le=le, description=help, json_schema_extra={"knob": extra})


@dataclass(frozen=True)
class KnobField:
    """What a form needs to draw one knob."""

    name: str
    label: str
    type: KnobType
    default: Any
    ge: float | None
    le: float | None
    step: float | None
    scale: Scale
    unit: str
    help: str
    static: bool
    visible_when: dict[str, Any] | None
    paper: Any
    source: str
    choices: tuple[tuple[Any, str], ...]
    lines: int = 1

    def visible(self, values: dict[str, Any]) -> bool:
        """Whether the knob matters, given the other fields' values."""
        return all(
            values.get(name) in (wanted if isinstance(wanted, tuple | list) else (wanted,))
            for name, wanted in (self.visible_when or {}).items()
        )


def describe(knobs: type[Knobs]) -> list[KnobField]:
    """The fields of a knob model in order, ready to be drawn."""
    return [_field(name, info) for name, info in knobs.model_fields.items()]


def _field(name: str, info: FieldInfo) -> KnobField:
    schema_extra: Any = info.json_schema_extra
    extra: dict[str, Any] = schema_extra.get("knob", {}) if isinstance(schema_extra, dict) else {}
    kind = _knob_type(name, info.annotation)
    bounds: list[Any] = info.metadata
    lower: Any = next((m.ge for m in bounds if isinstance(m, annotated_types.Ge)), None)
    upper: Any = next((m.le for m in bounds if isinstance(m, annotated_types.Le)), None)
    names = extra.get("choices") or {}
    literals = get_args(info.annotation) if kind == "choice" else ()
    return KnobField(
        name=name,
        label=extra.get("label") or name.replace("_", " ").capitalize(),
        type=kind,
        default=info.default,
        ge=lower,
        le=upper,
        step=extra.get("step") or (1 if kind == "int" else None),
        scale=extra.get("scale", "linear"),
        unit=extra.get("unit", ""),
        help=info.description or "",
        static=extra.get("static", False),
        visible_when=extra.get("visible_when"),
        paper=extra.get("paper"),
        source=extra.get("source", ""),
        choices=tuple((value, names.get(value, str(value))) for value in literals),
        lines=extra.get("lines", 1),
    )


def _knob_type(name: str, annotation: Any) -> KnobType:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        members = [a for a in get_args(annotation) if a is not type(None)]
        if len(members) == 1:
            return _knob_type(name, members[0])
    if origin is Literal:
        return "choice"
    if origin is tuple:
        return "steps"
    simple: dict[Any, KnobType] = {bool: "bool", int: "int", float: "float", str: "text"}
    if annotation in simple:
        return simple[annotation]
    raise TypeError(
        f"Knob {name!r} has type {annotation}; "
        "use int, float, bool, str, Literal or tuple[int, ...]"
    )


def _first_problem(knobs: type[Knobs], error: ValidationError) -> KnobError:
    problem = error.errors()[0]
    name = str(problem["loc"][0]) if problem["loc"] else ""
    value = problem["input"]
    if problem["type"] == "extra_forbidden":
        known = ", ".join(knobs.model_fields)
        return KnobError(name, value, f"There is no knob {name!r}. Known: {known}")
    if name not in knobs.model_fields:
        return KnobError(name, value, str(problem.get("ctx", {}).get("error", problem["msg"])))
    field = _field(name, knobs.model_fields[name])
    return KnobError(
        name, value, f"{field.label} must be {_allowed(field, problem)}. You gave {value!r}"
    )


def _allowed(field: KnobField, problem: Any) -> str:
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    if field.type == "choice":
        return "one of " + ", ".join(repr(value) for value, _ in field.choices)
    if field.type == "bool":
        return "true or false"
    if field.type == "steps":
        return "a list of step numbers"
    if field.type == "text":
        return "text"
    if problem["type"] in ("greater_than_equal", "less_than_equal"):
        return _range(field.ge, field.le)
    noun = "a whole number" if field.type == "int" else "a number"
    return f"{noun} {_range(field.ge, field.le)}".rstrip()


def _range(ge: float | None, le: float | None) -> str:
    if ge is not None and le is not None:
        return f"between {ge:g} and {le:g}"
    if ge is not None:
        return f"at least {ge:g}"
    return f"at most {le:g}" if le is not None else ""
