"""Plan: what each sampling step computes, as plain data.

Every tuning-free acceleration of a diffusion UNet is one of these: the weights stay, the steps do
less. A plan holds no arrays and no model, so that changing it compiles nothing.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from workbench.diffusion.costs import Config

Action = Literal["full", "decode", "shallow", "inherit"]
ACTIONS: tuple[Action, ...] = get_args(Action)


class PlanError(ValueError):
    """A plan that no sampler can run."""


@dataclass(frozen=True, repr=False)
class Plan:
    """One action per step.

    * ``full``: the whole UNet.
    * ``decode``: encoder and middle block keep the features of the last full step; the decoder
      runs with the step's own time embedding (encoder propagation).
    * ``shallow``: only the outermost layers down to skip branch `branch`; the decoder's hidden
      state below them is the last full step's (DeepCache).

    Args:
        branch: depth of shallow steps, counted from the outermost skip connection (0).
        largest_group: decoder passes batched into one call at most, for decode steps.
        injection: share of the first noise added before each step of the last half.
        inherited: names of blocks, layers or units (`UNet2DCondition.run`) that inherit steps take
            from the last full step; a unit's value is its residual, the path around it stays live.
            In a name ``*`` stands for one part and ``**`` for any: ``**.self_attention`` is every
            self-attention of whatever model the plan runs on.
    """

    actions: tuple[Action, ...]
    branch: int = 0
    largest_group: int = 1
    injection: float = 0.0
    inherited: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.actions:
            raise PlanError("A plan needs at least one step")
        if self.actions[0] != "full":
            raise PlanError("Step 0 must run in full: there is nothing to reuse yet")
        unknown = set(self.actions) - set(ACTIONS)
        if unknown:
            raise PlanError(
                f"A step is full, decode, shallow or inherit. You gave {unknown.pop()!r}"
            )
        if "inherit" in self.actions and not self.inherited:
            raise PlanError("Steps that inherit need the names of what they inherit")
        if len(set(self.inherited)) != len(self.inherited):
            raise PlanError(f"A name is listed twice in {self.inherited}")
        if self.largest_group < 1:
            raise PlanError(f"Largest group must be at least 1. You gave {self.largest_group}")
        if self.branch < 0:
            raise PlanError(f"Branch must be at least 0. You gave {self.branch}")

    def __repr__(self) -> str:
        # Fingerprints of finished runs hold this text: what came later stands in it where used.
        fields = f"actions={self.actions!r}, branch={self.branch!r}, "
        fields += f"largest_group={self.largest_group!r}, injection={self.injection!r}"
        more = f", inherited={self.inherited!r}" if self.inherited else ""
        return f"Plan({fields}{more})"

    @property
    def steps(self) -> int:
        return len(self.actions)

    @property
    def full_steps(self) -> tuple[int, ...]:
        """Indices of the steps that run in full."""
        return tuple(i for i, action in enumerate(self.actions) if action == "full")

    @property
    def is_full(self) -> bool:
        return len(self.full_steps) == self.steps

    @property
    def batches(self) -> tuple[tuple[int, ...], ...]:
        """Steps computed together: decode steps in runs of powers of two, others one by one.

        The decoder pass of a full step that decode steps follow joins their first run, since all
        of them read the same features.
        """
        return tuple(run for span in self._spans() for run in split_run(span, self.largest_group))

    @property
    def longest(self) -> int:
        """Steps in the largest batch."""
        return max(len(run) for run in self.batches)

    def after(self, run: tuple[int, ...]) -> Action | None:
        """What the step after a run does; None at the end."""
        return self.actions[run[-1] + 1] if run[-1] + 1 < self.steps else None

    def reused_from(self, step: int) -> frozenset[Action]:
        """How the steps between a full step and the next one reuse it."""
        kinds: set[Action] = set()
        for action in self.actions[step + 1 :]:
            if action == "full":
                break
            kinds.add(action)
        return frozenset(kinds)

    def _spans(self) -> list[tuple[int, ...]]:
        """Decode steps in a row, with the full step before them where nothing else reuses it."""
        spans: list[list[int]] = []
        for index, action in enumerate(self.actions):
            if action == "decode" and self._takes_decode(index - 1):
                spans[-1].append(index)
            else:
                spans.append([index])
        return [tuple(span) for span in spans]

    def _takes_decode(self, step: int) -> bool:
        """Whether a decode step joins the batch of the step before it."""
        action = self.actions[step]
        return action == "decode" or (action == "full" and self.reused_from(step) == {"decode"})

    def record(self) -> dict[str, Any]:
        """As plain values for a file."""
        return {
            "actions": list(self.actions),
            "branch": self.branch,
            "largest_group": self.largest_group,
            "injection": self.injection,
            "inherited": list(self.inherited),
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Plan:
        """What `record` gave.

        Raises:
            PlanError: a field that is missing, unknown, or no part of a plan.
        """
        fields = {f.name: f.default for f in dataclasses.fields(cls)}
        unknown = [name for name in record if name not in fields]
        if unknown:
            raise PlanError(f"A plan has no {unknown[0]!r}; it has {', '.join(fields)}")
        if not isinstance(record.get("actions"), list | tuple):
            raise PlanError(f"actions must be a list of actions. You gave {record.get('actions')}")
        given = {**fields, **record}
        for name, kind in (("branch", int), ("largest_group", int), ("injection", int | float)):
            found = given[name]
            if not isinstance(found, kind) or isinstance(found, bool) or not math.isfinite(found):
                raise PlanError(f"{name} must be a number. You gave {given[name]!r}")
        for name in ("actions", "inherited"):
            listed = isinstance(given[name], list | tuple)
            if not listed or not all(isinstance(value, str) for value in given[name]):
                raise PlanError(f"{name} must be a list of names. You gave {given[name]!r}")
        actions, names = tuple(given["actions"]), tuple(given["inherited"])
        return cls(**{**given, "actions": actions, "inherited": names})

    def export(self, form: str = "json", config: Config | None = None) -> str:
        """The plan as text to take elsewhere.

        * ``json``: what `Plan.of_json` reads.
        * ``diffusers``: a Python file that makes a diffusers pipeline with a
          ``UNet2DConditionModel`` follow the plan; needs torch and diffusers alone.
        * ``deepcache``: a call of the DeepCache package, where it can express the plan.

        Both programs ask the pipeline for one step less where its scheduler is PNDM.

        Args:
            config: of the model that the plan runs on (``pipeline.config``), so that one which the
                program is not made for is refused, and branches are numbered as it numbers them;
                None for any UNet in Stable Diffusion's form.

        Raises:
            PlanError: a form there is not, or a plan or a model that the form cannot express,
                saying why.
        """
        from workbench.diffusion.plan_export import written

        return written(self, form, config)

    @classmethod
    def of_json(cls, text: str) -> Plan:
        """What ``export("json")`` wrote.

        Raises:
            PlanError: no JSON, or no plan.
        """
        try:
            found = json.loads(text)
        except ValueError as error:
            raise PlanError(f"A plan's file holds JSON; this is none ({error})") from error
        if not isinstance(found, dict):
            raise PlanError(f"A plan's file holds an object. It holds {found!r}")
        return cls.of_record(found)

    @classmethod
    def full(cls, steps: int) -> Plan:
        """Every step in full."""
        every: list[Action] = ["full"] * max(steps, 0)
        return cls(tuple(every))

    @classmethod
    def from_full_steps(
        cls, full_steps: Sequence[int], steps: int, otherwise: Action, **more: Any
    ) -> Plan:
        """Full at the given steps, `otherwise` at all others.

        Raises:
            PlanError: for a step outside the run, a repeated one, or step 0 left out.
        """
        outside = [i for i in full_steps if not 0 <= i < steps]
        if outside:
            raise PlanError(
                f"Step {outside[0]} is outside this run of {steps} steps (0–{steps - 1})"
            )
        chosen = set(full_steps)
        if len(chosen) != len(full_steps):
            raise PlanError(f"A step is listed twice in {tuple(full_steps)}")

        def action(step: int) -> Action:
            return "full" if step in chosen else otherwise

        actions = tuple(action(step) for step in range(steps))
        return cls(actions, **more)


def matching(names: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """The names of a model that `names` stand for, in the model's order.

    Raises:
        PlanError: a name, or a pattern of several, that stands for nothing there.
    """
    known = tuple(known)
    found: set[str] = set()
    for name in names:
        parts = (re.escape(part) for part in re.split(r"(\*+)", name))
        signs = {r"\*\*": ".+", r"\*": r"[^.]+"}
        pattern = re.compile("".join(signs.get(part, part) for part in parts))
        fits = [other for other in known if pattern.fullmatch(other)]
        if not fits:
            near = difflib.get_close_matches(name, known, n=3)
            blocks = [other for other in known if re.fullmatch(r"mid|(down|up)\.\d+", other)]
            hint = f"near: {', '.join(near)}" if near else f"blocks are {', '.join(blocks)}"
            raise PlanError(f"The UNet has nothing called {name!r} to inherit; {hint}")
        found.update(fits)
    return tuple(other for other in known if other in found)


def split_run(span: tuple[int, ...], largest: int) -> list[tuple[int, ...]]:
    """A run of steps in parts whose lengths are powers of two up to `largest`.

    Few distinct lengths mean few compilations: 15 steps with `largest` 8 become 8, 4, 2, 1.
    """
    parts, start = [], 0
    while start < len(span):
        left = min(len(span) - start, largest)
        size = 1 << (left.bit_length() - 1)
        parts.append(span[start : start + size])
        start += size
    return parts
