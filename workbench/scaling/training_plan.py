"""A training run laid on devices: what each must hold, how many are needed, how long it takes.

ZeRO's stages over replicas, Megatron-LM's pipeline between stages (1F1B, or interleaved), its
tensor and sequence parallelism within one, ZeRO-Infinity's activations. Logits, buffers of
communication and fragmentation come on top.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from workbench.scaling.training_cost import (
    HEAD,
    Cluster,
    Cost,
    Decoder,
    bubble,
    checkpoint_bytes,
    kept_bytes,
    live_chunks,
    of_tokens,
    state_bytes,
    working_bytes,
)


@dataclass(frozen=True)
class Layout:
    """How a run lies on devices.

    Attributes:
        counted: bytes of state, of `training_cost.BYTES`.
        zero: stage of ZeRO, 0 to 3, over the replicas.
        recompute: activations of a layer are computed again for the backward pass.
        rows: of a micro-batch on one replica.
        batch: rows of a step, all replicas together.
        stages: of the pipeline.
        interleaved: pieces of the model on each stage.
        tensor: devices that share every layer of a stage, norms by the row's tokens. What they
            exchange slows the rate that each achieves, which is given.
    """

    counted: str = "adam"
    zero: int = 3
    recompute: bool = False
    rows: int = 1
    batch: int = 1024
    stages: int = 1
    interleaved: int = 1
    tensor: int = 1

    def __post_init__(self) -> None:
        for name in ("rows", "batch", "stages", "interleaved", "tensor"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not a number from 1")
        if self.batch < self.rows:
            raise ValueError(f"batch is {self.batch} rows, fewer than {self.rows} of a micro-batch")

    @property
    def devices(self) -> int:
        """Of one replica."""
        return self.stages * self.tensor

    @property
    def most_replicas(self) -> int:
        """So many have a micro-batch each."""
        return self.batch // self.rows

    def micro_batches(self, replicas: int) -> int:
        """Of a step on one replica."""
        return max(1, self.batch // (replicas * self.rows))


@dataclass(frozen=True)
class Held:
    """Bytes on the device that holds most.

    Attributes:
        state: weights, gradients and optimiser states.
        activations: kept for the backward pass, with those of one layer computed again.
        operator: the weights and gradients of the largest operator, gathered by ZeRO's stage 3.
    """

    state: float
    activations: float
    operator: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.state + self.activations + self.operator


def held(model: Decoder, params: float, layout: Layout, replicas: int) -> Held:
    """What a device must hold.

    The first stage of a pipeline keeps activations of as many micro-batches as there are stages,
    and of more where they are interleaved.

    Args:
        model: its shape.
        params: N, whose state is held.
        layout: how it lies.
        replicas: devices over those of one replica.
    """
    part = replace(model, layers=math.ceil(model.layers / layout.stages))
    state = state_bytes(
        params / layout.devices, counted=layout.counted, shards=replicas, stage=layout.zero
    )
    micro_batches = layout.micro_batches(replicas)
    flying = live_chunks(layout.stages, micro_batches, layout.interleaved) / layout.interleaved
    operator, inner = working_bytes(model, max(1, model.width // HEAD), layout.rows)
    if layout.recompute:
        activations = (flying * checkpoint_bytes(part, layout.rows) + inner) / layout.tensor
    else:
        activations = flying * kept_bytes(part, layout.rows, tensor=layout.tensor)
    gathered = operator / layout.tensor if layout.zero == 3 and replicas > 1 else 0.0
    return Held(state, activations, gathered)


def fewest(model: Decoder, params: float, layout: Layout, memory: float) -> int | None:
    """The fewest devices on which state and activations fit; None where no number does.

    Args:
        memory: of a device, bytes.
        model, params, layout: as of `held`.
    """
    for sharing in (False, True):  # one replica gathers nothing, so it is no step of the search
        low, high = (2, layout.most_replicas) if sharing else (1, 1)
        if low > high or held(model, params, layout, high).total > memory:
            continue
        while low < high:
            middle = (low + high) // 2
            fits = held(model, params, layout, middle).total <= memory
            low, high = (low, middle) if fits else (middle + 1, high)
        return low * layout.devices
    return None


def trained(model: Decoder, tokens: float, layout: Layout, cluster: Cluster) -> Cost:
    """Days, device hours and price, idle time of the pipeline included.

    Devices beyond whole replicas, and replicas beyond the batch, have no work and cost nothing.

    Args:
        model: its shape.
        tokens: of training.
        layout: how it lies.
        cluster: devices, the rate each achieves while it computes, and a price.

    Raises:
        ValueError: fewer devices than a replica has.
    """
    if cluster.devices < layout.devices:
        of = f"{layout.stages} stages of the pipeline"
        of = of if layout.tensor == 1 else f"{layout.devices} of a replica, {layout.tensor} a stage"
        raise ValueError(f"devices is {cluster.devices}, fewer than the {of}")
    replicas = min(cluster.devices // layout.devices, layout.most_replicas)
    used = replace(cluster, devices=replicas * layout.devices)
    busy = of_tokens(model, tokens, layout.batch, used, recompute=layout.recompute)
    longer = 1 + bubble(layout.stages, layout.micro_batches(replicas), layout.interleaved)
    return Cost(*(longer * value for value in (busy.days, busy.device_hours, busy.price)))
