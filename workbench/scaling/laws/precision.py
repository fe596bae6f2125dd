"""What few bits cost, in training and after it: the precision laws of Kumar et al. 2024."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from workbench.scaling.laws.chinchilla import Chinchilla
from workbench.scaling.laws.law import Columns, Law, Parameter, Values

PARTS = ("w", "a", "kv")


@dataclass(frozen=True)
class PrecisionLaw(Law):
    """L = E + A Neff^-alpha + B D^-beta with fewer effective parameters (arXiv 2411.04330).

    Neff = N prod_j (1 - exp(n_j - P_j / gamma_j)) over weights (w), activations (a) and the cache
    of keys and values (kv), each of P_j bits: the form of the paper's appendix, with its offsets.

    Args:
        tied: one exponent for N and D.
        offsets: with n_j; the main text leaves them out.
        parts: which of w, a, kv the runs differ in.
    """

    tied: bool = True
    offsets: bool = True
    parts: tuple[str, ...] = PARTS

    key: ClassVar[str] = "precision"
    title: ClassVar[str] = "Precision"
    source: ClassVar[str] = "Kumar et al. 2024, arXiv 2411.04330"

    def __post_init__(self) -> None:
        if not self.parts or set(self.parts) - set(PARTS):
            raise ValueError(f"parts is {self.parts!r}, not some of {', '.join(PARTS)}")

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """Size, tokens, and the bits of each part."""
        return ("n_params", "n_tokens", *(f"bits_{part}" for part in self.parts))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those of the base, then gamma and n of each part."""
        found = [*Chinchilla(self.tied).parameters]
        for part in self.parts:
            about = f"bits of {part} that matter"
            found.append(Parameter(f"gamma_{part}", (0.3, 4.0), bounds=(0.05, 20.0), about=about))
            if self.offsets:
                about = f"offset of {part}"
                found.append(Parameter(f"n_{part}", (0.0, 1.5), False, (-2.0, 3.0), about))
        return tuple(found)

    def derived(self, values: Values) -> dict[str, Any]:
        """beta, where it is alpha."""
        return Chinchilla(self.tied).derived(values)

    def predict(self, values: Values, runs: Columns) -> Any:
        """The loss of each run."""
        kept = self.kept(values, {part: runs[f"bits_{part}"] for part in self.parts})
        few = {"n_params": runs["n_params"] * kept, "n_tokens": runs["n_tokens"]}
        return Chinchilla(self.tied).predict(values, few)

    def kept(self, values: Values, bits: dict[str, Any]) -> Any:
        """Neff / N at these bits of each part."""
        found: Any = 1.0
        for part, count in bits.items():
            offset = values[f"n_{part}"] if self.offsets else 0.0
            left = -jnp.expm1(offset - count / values[f"gamma_{part}"])
            found = found * jnp.maximum(left, 1e-12)
        return found


@dataclass(frozen=True)
class PostTraining(Law):
    """delta = C_T D^gamma_D N^-gamma_N exp(-P / gamma): what quantising after training loses.

    In nats a token above the loss before, for weights of P bits (arXiv 2411.04330). The longer a
    model of a size was trained, the more it loses. The paper's fit has an offset b = 1.1277 beside
    these; where it stands could not be confirmed, so the form is without it.
    """

    key: ClassVar[str] = "post-training"
    title: ClassVar[str] = "Quantised after training"
    source: ClassVar[str] = "Kumar et al. 2024, arXiv 2411.04330"
    columns: ClassVar[tuple[str, ...]] = ("n_params", "n_tokens", "bits_post")
    target: ClassVar[str] = "degradation"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """C_T, gamma_D, gamma_N, gamma."""
        return (
            Parameter("C_T", (1e-4, 10.0), about="of the whole, nats a token"),
            Parameter("gamma_D", (0.1, 1.0), False, (0.0, 4.0), "exponent of D"),
            Parameter("gamma_N", (0.1, 1.0), False, (0.0, 4.0), "exponent of N"),
            Parameter("gamma", (0.2, 4.0), bounds=(0.05, 20.0), about="bits that matter"),
        )

    def predict(self, values: Values, runs: Columns) -> Any:
        """The loss added to each run's, nats a token."""
        data = values["gamma_D"] * jnp.log(runs["n_tokens"])
        size = values["gamma_N"] * jnp.log(runs["n_params"])
        return jnp.exp(jnp.log(values["C_T"]) + data - size - runs["bits_post"] / values["gamma"])


def best_bits(values: Values, law: PrecisionLaw, *, most: float = 16.0) -> float:
    """Bits, the same for all parts, that training for a given cost wants: max of Neff / (N P).

    Cost grows with N D P, so a bit saved is size or data gained.

    Args:
        values: the law's.
        law: with which parts.
        most: bits looked at.
    """
    import numpy as np

    bits = np.arange(0.5, most + 0.005, 0.01)
    kept = np.asarray(law.kept(values, dict.fromkeys(law.parts, jnp.asarray(bits))))
    return float(bits[np.argmax(kept / bits)])


def constrained(values: Values, law: PrecisionLaw, bits: dict[str, float]) -> tuple[float, float]:
    """`(N* / N, D* / D)` at these bits against 16, for the same cost N D P.

    u^(-alpha / s) (P / 16)^(-beta / s) and u^(alpha / s) (P / 16)^(-alpha / s) with s = alpha +
    beta, u = Neff / N and P the bits of the weights: from the budget's identity, by us. A converted
    text of the paper prints the last exponent with another sign, which would not keep N D P.
    """
    found = dict(values) | law.derived(values)
    alpha, beta = float(found["alpha"]), float(found["beta"])
    both = alpha + beta
    kept, share = float(law.kept(values, bits)), bits["w"] / 16
    return (
        kept ** (-alpha / both) * share ** (-beta / both),
        kept ** (alpha / both) * share ** (-alpha / both),
    )
