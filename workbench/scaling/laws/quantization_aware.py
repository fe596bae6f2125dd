"""How much of training to spend on quantisation: compute-optimal QAT (Dremov et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from workbench.scaling.laws.chinchilla import Chinchilla
from workbench.scaling.laws.law import Columns, Law, Parameter, Values


@dataclass(frozen=True)
class QATFraction(Law):
    """f = exp(-a / ln S): the best share of tokens under QAT (arXiv 2509.22935).

    S is tokens per byte of the parameters, D / (N bits / 8), and above 1.
    """

    key: ClassVar[str] = "qat-fraction"
    title: ClassVar[str] = "Share of QAT"
    source: ClassVar[str] = "arXiv 2509.22935"
    columns: ClassVar[tuple[str, ...]] = ("tokens_per_byte",)
    target: ClassVar[str] = "fraction"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """a."""
        return (Parameter("a", (1.0, 20.0), about="6.7297 in the paper"),)

    def predict(self, values: Values, runs: Columns) -> Any:
        """The share, from 0 to 1; 0 where S is not above 1."""
        logarithm = jnp.log(runs["tokens_per_byte"])
        share = jnp.exp(-values["a"] / jnp.where(logarithm > 0, logarithm, 1.0))
        return jnp.where(logarithm > 0, share, 0.0)

    def residuals(self, values: Values, runs: Columns) -> Any:
        """Share less the law's."""
        return runs["fraction"] - self.predict(values, runs)


@dataclass(frozen=True)
class QATLoss(Law):
    """The loss after full-precision and then quantisation-aware training (arXiv 2509.22935).

    L = Chinchilla(N, D) + theta 2^(-kappa b) + phi 2^(-chi b) N^-psi S_qat^-omega
    + lambda 2^(-mu b) N^-nu S_fp^-xi S_qat^-rho, at b bits, for D = D_fp + D_qat tokens and S of
    each. The print has more full-precision training reduce the last term, its text says the
    opposite: the sign of xi is left to the data. No constants are published but the base law's.

    Args:
        base: parameters of a Chinchilla law that are held, as pairs; None to fit them too.
    """

    base: tuple[tuple[str, float], ...] | None = None

    key: ClassVar[str] = "qat-loss"
    title: ClassVar[str] = "Loss after QAT"
    source: ClassVar[str] = "arXiv 2509.22935"
    columns: ClassVar[tuple[str, ...]] = ("n_params", "fp_tokens", "qat_tokens", "bits")

    @property
    def varied(self) -> tuple[str, ...]:
        """Every column: none of its terms can be told otherwise."""
        return self.columns

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The base law's where they are free, then those of the three terms."""
        rate, power = (0.1, 2.0), (0.05, 1.0)
        terms = (
            Parameter("theta", (1e-3, 3.0), about="cost of few bits alone"),
            Parameter("kappa", rate, bounds=(0.0, 8.0), about="its fall with bits"),
            Parameter("phi", (1e-2, 1e3), about="cost that QAT removes"),
            Parameter("chi", rate, bounds=(0.0, 8.0), about="its fall with bits"),
            Parameter("psi", power, False, (-2.0, 4.0), "its fall with size"),
            Parameter("omega", power, False, (-2.0, 4.0), "its fall with QAT"),
            Parameter("lambda", (1e-2, 1e3), about="cost of leaving full precision"),
            Parameter("mu", rate, bounds=(0.0, 8.0), about="its fall with bits"),
            Parameter("nu", power, False, (-2.0, 4.0), "its fall with size"),
            Parameter("xi", (-0.5, 0.5), False, (-2.0, 2.0), "its fall with full precision"),
            Parameter("rho", power, False, (-2.0, 4.0), "its fall with QAT"),
        )
        return terms if self.base is not None else (*Chinchilla().parameters, *terms)

    def predict(self, values: Values, runs: Columns) -> Any:
        """The loss of each run."""
        size, bits = runs["n_params"], runs["bits"]
        log_n, log_bytes = jnp.log(size), jnp.log(size * bits / 8)
        log_fp = jnp.log(runs["fp_tokens"]) - log_bytes
        log_qat = jnp.log(runs["qat_tokens"]) - log_bytes
        tokens = runs["fp_tokens"] + runs["qat_tokens"]
        base = values if self.base is None else dict(self.base)
        removed = values["psi"] * log_n + values["omega"] * log_qat
        left = values["nu"] * log_n + values["xi"] * log_fp + values["rho"] * log_qat
        return (
            Chinchilla().predict(base, {"n_params": size, "n_tokens": tokens})
            + values["theta"] * 2.0 ** (-values["kappa"] * bits)
            + values["phi"] * jnp.exp2(-values["chi"] * bits) * jnp.exp(-removed)
            + values["lambda"] * jnp.exp2(-values["mu"] * bits) * jnp.exp(-left)
        )
