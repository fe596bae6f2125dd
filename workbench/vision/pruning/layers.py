"""Which layers of a network are pruned, and which stay dense."""

from __future__ import annotations

from collections.abc import Sequence

from flax import nnx

from workbench.vision.layers import Conv, Dense
from workbench.vision.networks.convnet import ConvNet
from workbench.vision.pruning.structures import Structure

STEMS = ("conv_stem", "conv1", "stem")
CLASSIFIERS = ("classifier", "fc", "head")


def prunable(
    model: ConvNet, structure: Structure, *, dense: Sequence[str] = ()
) -> dict[str, Conv | Dense]:
    """The layers whose kernels a structure prunes, by the names `layer_costs` has.

    The first convolution, depthwise ones and the classifier stay dense, as in Fast Sparse ConvNets'
    MobileNets (Elsen et al. 2020). So do squeeze-and-excitation's layers, which is ours.

    Args:
        model: the network.
        structure: what is pruned together.
        dense: names, or beginnings of names, of more layers that stay dense.

    Raises:
        ValueError: a name in `dense` that no layer begins with, a layer that cannot be pruned so,
            or a network without a layer that can.
    """
    layers = {
        ".".join(map(str, path)): node
        for path, node in nnx.iter_graph(model)
        if isinstance(node, (Conv, Dense))
    }
    for name in dense:
        if not any(_begins(layer, name) for layer in layers):
            raise ValueError(
                f"dense={name!r}: no layer is called so; there are {', '.join(sorted(layers))}"
            )
    found = {}
    for name, layer in layers.items():
        shape = tuple(layer.kernel[...].shape)
        kept = _ends(name) or ".se." in name or any(_begins(name, one) for one in dense)
        if not kept and structure.takes(shape):
            structure.check(shape, name)
            found[name] = layer
    if not found:
        raise ValueError(
            f"{model.config.architecture} has no layer that {structure} prunes: first convolution,"
            " depthwise ones, classifier and layers narrower than a block stay dense"
        )
    return found


def _ends(name: str) -> bool:
    """Whether a layer is the first convolution or the classifier."""
    first, *rest = name.split(".")
    return first in CLASSIFIERS or (first in STEMS and len(rest) < 2)


def _begins(name: str, start: str) -> bool:
    return name == start or name.startswith(f"{start}.")
