"""Networks against timm's, on folders timm wrote with random weights, and timm on ours."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image, ImageOps

from tests.parity.without_torchvision import randomised, stand_in
from tests.peers import peer
from tests.vision.state_dicts import STATE_DICTS
from workbench import vision
from workbench.vision.architectures import tables

torch = peer("torch")

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

NAMES = [name for name in tables() if not name.startswith("our_")]
# Each skeleton and each kind of block, with heads of both kinds.
SOME = (
    "convnext_atto",
    "convnext_tiny",
    "efficientnet_b0",
    "efficientnetv2_s",
    "mobilenetv1_100",
    "mobilenetv2_050",
    "mobilenetv3_small_100",
    "resnet50",
    "resnext50_32x4d",
    "tf_efficientnet_b0",
)


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def timm():
    with stand_in():
        library = importlib.import_module("timm")
        for part in ("models", "models._hub", "data.model_config"):
            importlib.import_module(f"timm.{part}")
    return library


def answered(model, x):
    graph, weights = nnx.split(model)
    return np.asarray(jax.jit(lambda weights, x: nnx.merge(graph, weights)(x))(weights, x))


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def pictures(size: int, channels: int = 3):
    return np.random.default_rng(0).standard_normal((4, size, size, channels)).astype(np.float32)


def their_answer(network, x):
    with torch.inference_mode():
        return network(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()


def made(timm, name: str, x, **how):
    """A network with the running statistics of x, so that rounding does not grow by layer."""
    network = randomised(timm.create_model(name, **how))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        network.train()(torch.from_numpy(x).permute(0, 3, 1, 2))
    return network.eval()


def same_both_ways(timm, network, folder: Path, x):
    """What timm wrote answers as timm does, folded too, and timm reads what was written here."""
    timm.models._hub.save_for_hf(network, folder / "theirs", safe_serialization=True)
    ours = vision.load(folder / "theirs")
    wanted = their_answer(network, x)
    close(answered(ours, jnp.asarray(x)), wanted)
    close(answered(vision.folded(ours), jnp.asarray(x)), wanted)
    vision.save(ours, folder / "ours")
    fields = json.loads((folder / "ours" / "config.json").read_text(encoding="utf-8"))
    assert fields["architecture"] != "workbench-convnet"
    again = timm.create_model(f"local-dir:{folder / 'ours'}", pretrained=True).eval()
    np.testing.assert_array_equal(their_answer(again, x), wanted)
    return ours


@pytest.mark.parametrize("name", SOME)
def test_both_ways(timm, name: str, tmp_path: Path) -> None:
    x = pictures(64 if name.startswith("convnext") else 65)
    same_both_ways(timm, made(timm, name, x, num_classes=7), tmp_path, x)


def test_groups_of_one_size(timm, tmp_path: Path) -> None:
    x = pictures(64)
    network = made(timm, "mobilenetv1_100", x, group_size=8, num_classes=5)
    ours = same_both_ways(timm, network, tmp_path, x)
    plain = vision.published("mobilenetv1_100", num_classes=5)
    rows = list(vision.constant_group_size(plain, 8).rows())
    assert list(ours.config.rows()) == rows


def test_grey_pictures(timm, tmp_path: Path) -> None:
    x = pictures(64, channels=1)
    network = made(timm, "mobilenetv3_small_050", x, in_chans=1, num_classes=5)
    assert same_both_ways(timm, network, tmp_path, x).config.in_chans == 1


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_keys(timm, name: str) -> None:
    from workbench.model_files import keys
    from workbench.model_files.abstract import abstract
    from workbench.vision.networks import build

    with torch.device("meta"):
        theirs = timm.create_model(name)
    config = vision.published(name)
    assert vision.parameters(config) == sum(p.numel() for p in theirs.parameters())
    ours = keys.file_shapes(abstract(build, config, dtype=jnp.float32))
    found = {key: tuple(tensor.shape) for key, tensor in theirs.state_dict().items()}
    assert len(found) == STATE_DICTS.get(name, len(found))
    weights = {k: s for k, s in found.items() if not k.endswith("num_batches_tracked")}
    assert ours == weights


@pytest.fixture
def evaluation(timm, monkeypatch):
    """timm's preparation for evaluation up to the crop, with Pillow in torchvision's place."""
    data = importlib.import_module("timm.data.transforms")
    factory = importlib.import_module("timm.data.transforms_factory")

    class Resize:
        """Both sides of a pair; else the shorter side, the longer one cut to a whole number."""

        def __init__(self, size, interpolation):
            self.size, self.interpolation = size, interpolation

        def __call__(self, picture):
            if isinstance(self.size, tuple):
                return resize(picture, self.size, self.interpolation)
            short, long = sorted(picture.size)
            longer = int(self.size * long / short)
            wide = picture.width > picture.height
            size = (self.size, longer) if wide else (longer, self.size)
            return resize(picture, size, self.interpolation)

    def resize(picture, size, interpolation):
        return picture.resize((size[1], size[0]), Image.Resampling[interpolation.upper()])

    def compose(steps):
        def run(picture):
            for step in steps:
                picture = step(picture)
            return picture

        return run

    pillow = SimpleNamespace(
        get_dimensions=lambda picture: (3, picture.height, picture.width),
        resize=resize,
        pad=lambda picture, sides, fill, padding_mode: ImageOps.expand(
            picture, tuple(sides), tuple(fill) if fill else 0
        ),
        crop=lambda picture, top, left, height, width: picture.crop(
            (left, top, left + width, top + height)
        ),
        pil_to_tensor=np.asarray,
    )
    steps = SimpleNamespace(
        Resize=Resize, CenterCrop=lambda size: data.CenterCropOrPad(size), Compose=compose
    )
    monkeypatch.setattr(data, "F", pillow)
    monkeypatch.setattr(factory, "transforms", steps)
    for module in (data, factory):
        monkeypatch.setattr(module, "str_to_interp_mode", lambda name: name)
    return factory.transforms_imagenet_eval


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(32, 32), (32, 48)])
def test_pictures_are_cropped_by_timms_modes(evaluation, mode: str, size) -> None:
    rng = np.random.default_rng(1)
    for crop_pct in (0.8, 0.875, 1.0):
        ours = vision.Preprocessing(input_size=(3, *size), crop_pct=crop_pct, crop_mode=mode)
        theirs = evaluation(
            img_size=size, crop_pct=crop_pct, crop_mode=mode, interpolation="bicubic",
            mean=ours.mean, std=ours.std, normalize=False,
        )  # fmt: skip
        for shape in ((61, 90, 3), (90, 43, 3), (31, 33, 3)):
            picture = Image.fromarray(rng.integers(0, 256, shape, np.uint8))
            wanted = (np.asarray(theirs(picture)) / 255 - ours.mean) / np.asarray(ours.std)
            np.testing.assert_allclose(ours.prepare([picture])[0], wanted, atol=1e-5)


def test_a_checkpoint_says_how_its_pictures_are_cropped(timm, tmp_path: Path) -> None:
    """timm writes the mode of its own tag; ConvNeXt's at 384 pixels squash."""
    name = "convnext_tiny.fb_in22k_ft_in1k_384"
    assert timm.get_pretrained_cfg(name).crop_mode == "squash"
    network = timm.create_model(name, pretrained=False, num_classes=3)
    timm.models._hub.save_for_hf(network, tmp_path, safe_serialization=True)
    found = vision.load(tmp_path).config.preprocessing
    assert (found.crop_mode, found.input_size, found.crop_pct) == ("squash", (3, 384, 384), 1.0)


def test_pictures_are_prepared_as_timm_has_them(timm) -> None:
    """Pillow resizes for both; timm's own crop and scale of what it resized."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    preprocessing = vision.Preprocessing(input_size=(3, 32, 32), crop_pct=0.8)
    found = preprocessing.prepare([Image.fromarray(noise)])
    resized = Image.fromarray(noise).resize((60, 40), Image.Resampling.BICUBIC)
    values = np.asarray(resized, np.float32)[4:36, 14:46] / 255
    wanted = (values - np.asarray(preprocessing.mean)) / np.asarray(preprocessing.std)
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)
