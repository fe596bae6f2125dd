"""Inception v3 against timm's, and in FID's form against timm's with that form's pools."""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types

import numpy as np
import pytest
from safetensors.numpy import save_file

from workbench.diffusion.quality.inception import Inception

pytestmark = pytest.mark.parity


class _Anything(type):
    """A class that has every attribute."""

    def __getattr__(cls, name):
        return f"{cls.__name__}.{name}"


class _NoTorchvision(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """timm imports torchvision for its data loaders, which nothing here uses."""

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


@pytest.fixture(scope="module")
def timm_inception():
    sys.meta_path.append(finder := _NoTorchvision())
    try:
        network = importlib.import_module("timm.models.inception_v3")
    finally:
        sys.meta_path.remove(finder)
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
    return network


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).uniform(size=(2, 128, 96, 3)).astype(np.float32)


def _network(timm_inception, classes):
    import torch

    torch.manual_seed(0)
    network = timm_inception.InceptionV3(num_classes=classes, aux_logits=False).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.8, 1.6)
    return network


def _peer_features(network, pictures):
    import torch

    with torch.no_grad():
        x = torch.nn.functional.interpolate(
            torch.from_numpy(pictures.transpose(0, 3, 1, 2)),
            size=(299, 299),
            mode="bilinear",
            align_corners=False,
        )
        return network.forward_features(2 * x - 1).mean((2, 3)).numpy()


def _saved(network, folder):
    file = folder / "inception.safetensors"
    save_file({name: value.numpy() for name, value in network.state_dict().items()}, file)
    return file


def test_torchvisions_form(timm_inception, pictures, tmp_path):
    network = _network(timm_inception, 1000)
    ours = Inception.load(_saved(network, tmp_path))
    assert ours.form == "torchvision"
    wanted = _peer_features(network, pictures)
    assert np.ptp(wanted) > 0.1
    np.testing.assert_allclose(ours.features(pictures), wanted, rtol=0, atol=1e-4 * wanted.max())


def test_the_form_fid_is_defined_on(timm_inception, pictures, tmp_path, monkeypatch):
    import torch.nn.functional as functional

    network = _network(timm_inception, 1008)
    ours = Inception.load(_saved(network, tmp_path))
    assert ours.form == "fid"
    calls = []

    def pool(x, kernel_size, stride, padding):
        calls.append(x.shape)
        if len(calls) == 9:  # the last block's
            return functional.max_pool2d(x, kernel_size, stride, padding)
        return plain(x, kernel_size, stride, padding, count_include_pad=False)

    plain = functional.avg_pool2d
    monkeypatch.setattr(timm_inception.F, "avg_pool2d", pool)
    wanted = _peer_features(network, pictures)
    monkeypatch.undo()
    assert len(calls) == 9
    np.testing.assert_allclose(ours.features(pictures), wanted, rtol=0, atol=1e-4 * wanted.max())
    usual = _peer_features(network, pictures)
    assert np.abs(usual - wanted).max() > 1e-2 * wanted.max()
