"""timm, which imports torchvision for its data loaders alone, without torchvision."""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager


class _Anything(type):
    """A class that has every attribute."""

    def __getattr__(cls, name):
        return f"{cls.__name__}.{name}"


class _NoTorchvision(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules called torchvision in which every name is a class of every attribute."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] != "torchvision":
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        def attribute(name):
            if name.startswith("__"):
                raise AttributeError(name)
            return _Anything(name, (), {})

        module = types.ModuleType(spec.name)
        module.__getattr__ = attribute
        return module

    def exec_module(self, module):
        module.__path__ = []


@contextmanager
def stand_in() -> Iterator[None]:
    """Modules of timm imported inside find a stand-in, which is gone afterwards."""
    sys.meta_path.append(finder := _NoTorchvision())
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]


def randomised(network, seed: int = 0):
    """The network with norms, scales and running statistics away from where they start."""
    import torch

    torch.manual_seed(seed)
    for name, parameter in network.named_parameters():
        if name.endswith("gamma"):
            parameter.data.uniform_(0.5, 1.5)
        elif parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.8, 1.6)
    return network.eval()
