"""A block of one's own: a class, a function or a row, from a file or a notebook cell."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.vision.activations import Activation
    from workbench.vision.efficiency.layer import Layer

ARGUMENTS = ("channels", "make")


class BlockError(ValueError):
    """A block of one's own that is not what it must be; says what is wrong and what is right."""


@dataclass(frozen=True, eq=False)
class OwnBlock:
    """A block made by `block`.

    Args:
        name: on the screen.
        module: where it was written.
        maker: the class, function or row.
        settings: of the class.
    """

    name: str
    module: str
    maker: Any
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, **settings: Any) -> OwnBlock:
        """The same block with other settings.

        Raises:
            BlockError: settings it does not take.
        """
        if not isinstance(self.maker, type):
            raise BlockError(f"{self.name}: is no class, and has no settings")
        return _of_class(self.maker, self.name, {**self.settings, **settings})

    def build(self, channels: int, *, activation: Activation = "silu", eps: float = 1e-5) -> Any:
        """The block with fresh weights: a module, or the function.

        Args:
            channels: of its input.
            activation, eps: of layers that name none.

        Raises:
            BlockError: it cannot be made with so many channels.
        """
        import jax.numpy as jnp
        from flax import nnx

        from workbench.vision.making import Making

        make = Making(
            activation=activation, norm_eps=eps, dtype=jnp.float32, rngs=nnx.Rngs(params=0)
        )
        try:
            if hasattr(self.maker, "block"):  # a row of a table
                row = self.maker.model_copy(update={"channels": channels})
                return row.block(channels, 1, make, 0.0)
            if isinstance(self.maker, type):
                return _as_module(self.maker)(channels, make, **self.settings)
        except Exception as error:
            raise BlockError(
                f"{self.name}: cannot be made with {channels} channels: {_line(error)}"
            ) from error
        return self.maker


@dataclass(frozen=True)
class Counted:
    """A block on one picture.

    Args:
        layers: those of `workbench.vision` that it calls.
        macs: of all of it, products outside of these layers included.
        outputs: shape of its result, [h, w, K].
    """

    layers: tuple[Layer, ...]
    macs: int
    outputs: tuple[int, ...]

    @property
    def outside(self) -> int:
        """Multiply-accumulates in no layer, which no bar of a waterline holds."""
        return self.macs - sum(layer.macs for layer in self.layers)


def block(
    made: Any = None, *, name: str | None = None
) -> Any:  # an OwnBlock; a decorator where only a name is given
    """Makes a block of a class (as a decorator), a function x → y, or a row of a network's table.

        @block
        class Wide:
            skips = True
            folds = (("conv", "norm"),)

            def __init__(self, channels, make, expansion=6):
                self.conv = make.conv(channels, channels, 3, groups=channels // 8)
                self.norm = make.batch_norm(channels)
                self.widen = make.conv(channels, expansion * channels, bias=True)
                self.narrow = make.conv(expansion * channels, channels, bias=True)
                self.act = make.act("silu")

            def __call__(self, x):
                return x + self.narrow(self.act(self.widen(self.norm(self.conv(x)))))

    Its layers are counted as they are called: those that `make` gives, which is the `Making` of
    `workbench.vision.making`, or any of `workbench.vision.layers`. What is computed otherwise is
    counted as a whole.

    Args:
        made: the class, function or row.
        name: on the screen; its own where left out.

    `skips` says that the block adds its input, which is read once more; `folds` names convolutions
    with the batch norms that follow them, so that they are folded where the block is timed.

    Raises:
        BlockError: it is none of these, or takes other arguments.
    """
    if made is None:
        return lambda later: block(later, name=name)
    if isinstance(made, OwnBlock):
        return made
    if isinstance(made, type):
        return _of_class(made, name or made.__qualname__, {})
    if hasattr(made, "block") and hasattr(made, "kind"):
        return OwnBlock(name or str(made.kind), type(made).__module__, made)
    if not callable(made):
        raise BlockError(f"block: {made!r:.60} is no class, no function x → y and no row")
    label = name or str(getattr(made, "__qualname__", type(made).__name__))
    _takes(label, made, ("x",), "f(x)")
    return OwnBlock(label, getattr(made, "__module__", "") or "", made)


def count(own: OwnBlock, shape: Sequence[int]) -> tuple[Any, Counted]:
    """A block that was built for a shape, and what it costs there.

    Args:
        shape: [H, W, C] of its input.

    Raises:
        BlockError: it cannot be made or called, or its result is no picture.
    """
    import jax
    import jax.numpy as jnp

    from workbench.measure.macs import count as products
    from workbench.vision.efficiency.counting import layers_of_block
    from workbench.vision.observing import observed

    height, width, channels = shape
    activation: Any = "gelu" if getattr(own.maker, "kind", "") == "convnext" else "silu"
    built = own.build(channels, activation=activation)
    x = jax.ShapeDtypeStruct((1, height, width, channels), jnp.float32)
    try:
        y = jax.eval_shape(lambda x: built(x), x)
    except Exception as error:
        raise BlockError(
            f"{own.name}: cannot be called on [1, {height}, {width}, {channels}]: {_line(error)}"
        ) from error
    found = getattr(y, "shape", None)
    if found is None or len(found) != 4 or found[0] != 1:
        said = f"an array of shape {list(found)}" if found is not None else f"{type(y).__name__}"
        raise BlockError(f"{own.name}: returns {said}; must be pictures [B, h, w, K]")
    with observed():  # XLA's plain forms, whose products are counted
        macs = products(lambda x: built(x), x, weights=()).total
    return built, Counted(layers_of_block(built, shape), macs, tuple(found[1:]))


def _of_class(cls: type, name: str, settings: dict[str, Any]) -> OwnBlock:
    _takes(name, cls, ARGUMENTS, "__init__(self, channels, make)", settings)
    if not any("__call__" in vars(base) for base in cls.__mro__):
        raise BlockError(f"{name}: has no __call__(self, x)")
    return OwnBlock(name, cls.__module__, cls, settings)


def _takes(
    name: str,
    function: Callable[..., Any],
    arguments: Sequence[str],
    wanted: str,
    settings: Mapping[str, Any] | None = None,
) -> None:
    try:
        inspect.signature(function).bind(*arguments, **(settings or {}))
    except TypeError as problem:
        found = inspect.signature(function)
        raise BlockError(f"{name}: takes {found}; must be {wanted}: {problem}") from None


def _as_module(cls: type) -> type:
    """The class as a module of flax, with what blocks have."""
    from flax import nnx

    from workbench.vision.blocks.row import Block

    if issubclass(cls, nnx.Module):
        return cls

    def body(space: dict[str, Any]) -> None:
        space["skips"] = getattr(cls, "skips", False)
        space["__module__"] = cls.__module__

    return types.new_class(cls.__name__, (cls, Block), {}, body)


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
