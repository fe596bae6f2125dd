"""What the layers of one network share, and how they are made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from flax import nnx

from workbench.vision.activations import ACTIVATIONS, Activation, Gate
from workbench.vision.convolution import Padding
from workbench.vision.layers import Conv, Dense
from workbench.vision.norms import BatchNorm, LayerNorm
from workbench.vision.squeeze import SqueezeExcite

Sides = Literal["symmetric", "same"]
"""Padding of k // 2 on every side, or TensorFlow's."""

MULTIPLE = 8


def rounded(channels: float) -> int:
    """The nearest multiple of 8, from 8 on and not below nine tenths of it; MobileNets' rule."""
    near = max(MULTIPLE, int(channels + MULTIPLE / 2) // MULTIPLE * MULTIPLE)
    return near + MULTIPLE if near < 0.9 * channels else near


@dataclass(frozen=True)
class Making:
    """Makes the layers of one network.

    Args:
        activation: where a block names none.
        norm_eps: ε of its norms.
        sides: how convolutions are padded.
        squeeze_of: whether a gate squeezes a share of the block's input, as EfficientNet's, or of
            its expanded channels in multiples of eight and through ReLU, as MobileNetV3's.
        gate: of squeeze-and-excitation.
        spread: standard deviation of fresh kernels; None for He's.
        dtype: computed in.
        rngs: random numbers of fresh weights.
    """

    activation: Activation
    norm_eps: float
    dtype: Any
    rngs: nnx.Rngs
    sides: Sides = "symmetric"
    squeeze_of: Literal["input", "expanded"] = "input"
    gate: Gate = "sigmoid"
    spread: float | None = None

    def act(self, name: str | None = None) -> Any:
        """An activation; the network's own where none is named."""
        return ACTIVATIONS[name or self.activation]

    def conv(
        self,
        inputs: int,
        outputs: int,
        taps: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> Conv:
        """A convolution, padded as the network pads."""
        padding: Padding = "same" if self.sides == "same" else taps // 2
        return Conv(
            inputs,
            outputs,
            taps,
            stride=stride,
            groups=groups,
            padding=padding,
            bias=bias,
            spread=self.spread,
            dtype=self.dtype,
            rngs=self.rngs,
        )

    def patches(self, inputs: int, outputs: int, size: int, *, bias: bool) -> Conv:
        """A convolution over patches that do not overlap."""
        return Conv(
            inputs,
            outputs,
            size,
            stride=size,
            padding=0,
            bias=bias,
            spread=self.spread,
            dtype=self.dtype,
            rngs=self.rngs,
        )

    def dense(self, inputs: int, outputs: int) -> Dense:
        """A dense layer with bias."""
        return Dense(inputs, outputs, dtype=self.dtype, rngs=self.rngs)

    def batch_norm(self, channels: int) -> BatchNorm:
        """A batch norm."""
        return BatchNorm(channels, eps=self.norm_eps, dtype=self.dtype)

    def layer_norm(self, channels: int) -> LayerNorm:
        """A layer norm."""
        return LayerNorm(channels, eps=self.norm_eps, dtype=self.dtype)

    def squeeze(
        self, share: float, block_inputs: int, channels: int, activation: str | None
    ) -> SqueezeExcite | None:
        """Squeeze-and-excitation of a block's widest channels; None for a share of nothing."""
        if not share:
            return None
        if self.squeeze_of == "expanded":
            reduced, activation = rounded(share * channels), "relu"
        else:
            reduced = round(share * block_inputs)
        return SqueezeExcite(
            self.conv(channels, reduced, bias=True),
            self.conv(reduced, channels, bias=True),
            activation=activation or self.activation,
            gate=self.gate,
        )
