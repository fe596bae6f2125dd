"""The recipe: every number that decides how a training run goes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Schedule = Literal["constant", "cosine", "linear", "wsd", "two_stage"]

# Fields that came later: a run that leaves them at their defaults is the run it was before.
_LATER = (
    "accumulation",
    "switch_at",
    "first_final_fraction",
    "second_peak_fraction",
    "second_weight_decay",
)


class Recipe(BaseModel):
    """How a task is trained: length, optimiser, schedule, averaging, and what is kept.

    Two runs with equal recipes, tasks and seeds are the same run. `checkpoint_every` says only how
    much work an interruption may cost, so it is the one field that is not part of a run's identity.
    Raise `version` when the meaning of a recipe changes while its numbers stay.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(1000, ge=1, description="number of updates")
    batch_size: int = Field(64, ge=1, description="examples in one update, over all devices")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate")
    warmup: int = Field(0, ge=0, description="updates of linear warm-up from near zero")
    schedule: Schedule = Field("cosine", description="shape of the learning rate after warm-up")
    final_fraction: float = Field(0.0, ge=0, le=1, description="last rate over peak rate")
    decay_fraction: float = Field(0.2, gt=0, le=1, description="share of a wsd run that decays")
    switch_at: float = Field(0.5, gt=0, lt=1, description="share of a two_stage run at its switch")
    first_final_fraction: float = Field(
        0.5, ge=0, description="rate at the end of the first stage over peak rate"
    )
    second_peak_fraction: float = Field(
        0.3, gt=0, description="rate at the start of the second stage over peak rate"
    )
    weight_decay: float = Field(0.0, ge=0, description="decoupled decay of matrices and kernels")
    second_weight_decay: float | None = Field(
        None, ge=0, description="decay in the second stage; that of the first when None"
    )
    accumulation: int = Field(
        1, ge=1, description="parts of a batch whose gradients are summed before one update"
    )
    betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the two Adam moments")
    epsilon: float = Field(1e-8, gt=0, description="added to the root of the second moment")
    clip_norm: float | None = Field(
        1.0, gt=0, description="global gradient norm is held below this"
    )
    ema_decay: float | None = Field(None, gt=0, lt=1, description="decay of the averaged weights")
    log_every: int = Field(10, ge=1, description="updates between two rows of the history")
    evaluate_every: int = Field(0, ge=0, description="updates between evaluations; 0: at the end")
    checkpoint_every: int = Field(500, ge=1, description="updates between two checkpoints")
    seed: int = Field(
        0, ge=0, lt=2**32, description="seed of the weights and of every step's noise"
    )
    version: str = Field("1", description="version of what these numbers mean")

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.warmup >= self.steps:
            raise ValueError(f"warmup={self.warmup}: must be below steps={self.steps}")
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"accumulation={self.accumulation}: must divide batch_size={self.batch_size}"
            )
        if self.second_weight_decay is not None and self.schedule != "two_stage":
            raise ValueError(
                f"second_weight_decay={self.second_weight_decay}: schedule={self.schedule!r} has "
                "no second stage; only 'two_stage' has"
            )
        if self.schedule == "two_stage" and self.warmup >= self.switch:
            raise ValueError(
                f"warmup={self.warmup}: must be below update {self.switch}, where the second "
                "stage begins"
            )
        for beta in self.betas:
            if not 0 <= beta < 1:
                raise ValueError(f"betas={self.betas}: each must be at least 0 and below 1")
        return self

    @property
    def switch(self) -> int:
        """The first update of the second stage, where there are two."""
        return round(self.steps * self.switch_at)

    def identity(self) -> dict[str, Any]:
        """The fields that make a run the run it is, as plain JSON values."""
        defaults = {name: type(self).model_fields[name].default for name in _LATER}
        unused = {name for name in _LATER if getattr(self, name) == defaults[name]}
        return self.model_dump(mode="json", exclude={"checkpoint_every", *unused})
