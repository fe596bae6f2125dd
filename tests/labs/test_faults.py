"""Faults: bad model folders, values that are not finite, kills, a full disk, two at once."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from tests.labs import tiny
from workbench.checkpoints import CheckpointError, read_tensors, write_tensors
from workbench.labs import diffusion
from workbench.runs import Store
from workbench.study import compare

ROOT = Path(__file__).parents[2]
UNET = Path("unet") / "diffusion_pytorch_model.safetensors"
TOKENS = Path("class_tokens") / "model.safetensors"

RUN = """
import sys
from pathlib import Path
from tests.labs import tiny
from workbench.diffusion.feature_inheritance import FeatureInheritance
from workbench.diffusion.full_sampling import FullSampling
from workbench.labs import diffusion
from workbench.runs import Store
from workbench.study import compare

done = []
class Watched(FullSampling):
    version = "1"
    def apply(self, artifact, inputs):
        out = super().apply(artifact, inputs)
        done.append(1)
        return out

class Kept(Store):
    def remember(self, *more):
        super().remember(*more)
        print("kept", flush=True)

study = diffusion.study(tiny.pipeline(), steps=6, seeds=int(sys.argv[1]))
found = compare([Watched(), FeatureInheritance(interval=3)], study, repeats=0, memory=Kept())
frame = found.tables.trials
print("computed", len(done), flush=True)
print(frame[["trial_id", "quality.ssim", "quality.psnr"]].to_json(double_precision=15), flush=True)
"""


def process(home: Path, seeds: int) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_NUMPY", "JAX_ENABLE"))}
    env |= {"PYTHONPATH": str(ROOT), "WORKBENCH_HOME": str(home)}
    env["JAX_COMPILATION_CACHE_DIR"] = str(home.parent / "compiled")
    command = [sys.executable, "-c", RUN, str(seeds)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def shipped_like(tmp_path_factory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("model") / "tiny-unet")


@pytest.fixture
def folder(shipped_like: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped_like, tmp_path / "model"))


def refused(folder: Path) -> str:
    """The words with which the folder is refused."""
    with pytest.raises((CheckpointError, ValueError)) as raised:
        diffusion.open(pipeline=diffusion.pipeline(folder))
    line, *details = str(raised.value).splitlines()
    assert str(folder) in line, "the first line, which a panel shows, says where"
    return "\n".join([line, *details])


@pytest.mark.parametrize("part", [UNET, TOKENS])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.6, 0.999])
def test_truncated_weights_name_the_file(folder, part, keep):
    content = (folder / part).read_bytes()
    (folder / part).write_bytes(content[: int(keep * len(content))])
    assert str(folder / part) in refused(folder)


def test_weights_of_another_part(folder):
    (folder / UNET).write_bytes((folder / TOKENS).read_bytes())
    line = refused(folder)
    assert str(folder / "unet") in line and "table" in line


def test_a_tensor_under_another_name(folder):
    tensors = dict(read_tensors(folder / UNET))
    tensors["conv_in.kernel"] = tensors.pop("conv_in.weight")
    write_tensors(folder / UNET, tensors)
    line = refused(folder)
    assert str(folder / "unet") in line and "conv_in.weight" in line


def test_a_tensor_of_another_shape(folder):
    tensors = dict(read_tensors(folder / UNET))
    tensors["conv_in.weight"] = tensors["conv_in.weight"][..., :2]
    write_tensors(folder / UNET, tensors)
    line = refused(folder)
    assert "conv_in.weight" in line and "3" in line and "2" in line


@pytest.mark.parametrize("content", [b"\x80\x04\x95pickle", b"PK\x03\x04zip", b"<html>"])
def test_a_file_that_only_has_the_name(folder, content):
    (folder / UNET).write_bytes(content + 64 * b"x")
    assert str(folder / UNET) in refused(folder)


def test_a_header_that_lies_about_its_length(folder):
    content = (folder / UNET).read_bytes()
    (folder / UNET).write_bytes((2**50).to_bytes(8, "little") + content[8:])
    assert str(folder / UNET) in refused(folder)


@pytest.mark.parametrize("part", ["unet", "class_tokens", "scheduler"])
def test_a_missing_part_is_named(folder, part):
    shutil.rmtree(folder / part)
    assert str(folder / part) in refused(folder)


def test_tokens_that_do_not_fit_the_unet(folder):
    from workbench.diffusion.conditioning import ClassTokens

    ClassTokens(jnp.zeros((11, 2, 7))).save(folder / "class_tokens")
    line = refused(folder)
    assert "7" in line and "6" in line


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(folder, value):
    tensors = {name: np.array(t) for name, t in read_tensors(folder / UNET).items()}
    tensors["mid_block.resnets.0.conv1.weight"].reshape(-1)[5] = value
    write_tensors(folder / UNET, tensors)
    line = refused(folder)
    assert str(folder / "unet") in line and "mid_block.resnets.0.conv1.weight" in line


def test_no_folder_at_all(tmp_path):
    assert str(tmp_path / "nothing") in refused(tmp_path / "nothing")


@pytest.mark.slow
def test_a_model_whose_pictures_are_not_finite(workbench_home):
    """Weights are finite, what they make is not: one line, and no numbers made up from NaN."""
    from workbench.diffusion.full_sampling import FullSampling

    sound = tiny.pipeline()
    broken = replace(
        sound, weights=tuple(1e30 * w for w in sound.weights), weights_hash="not finite"
    )
    study = diffusion.study(broken, steps=6, seeds=8)
    with pytest.raises(ValueError, match="not finite") as raised:
        compare([FullSampling()], study, repeats=0)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
@pytest.mark.long
def test_a_kill_costs_no_finished_group(tmp_path):
    home = tmp_path / "home"
    with process(home, 24) as first:
        assert first.stdout is not None and first.stdout.readline() == "kept\n"
        first.kill()
    with process(home, 24) as second:
        out, _ = second.communicate(timeout=200)
    assert second.returncode == 0
    lines = out.splitlines()
    computed = int(next(line for line in lines if line.startswith("computed")).split()[1])
    assert computed < 3
    with process(tmp_path / "untouched", 24) as third:
        fresh = third.communicate(timeout=200)[0].splitlines()
    assert json.loads(fresh[-1]) == json.loads(lines[-1])


@pytest.mark.slow
@pytest.mark.long
def test_two_notebooks_on_one_store(tmp_path):
    home = tmp_path / "home"
    both = [process(home, 16) for _ in range(2)]
    outputs = [p.communicate(timeout=250)[0].splitlines() for p in both]
    assert [p.returncode for p in both] == [0, 0]
    assert json.loads(outputs[0][-1]) == json.loads(outputs[1][-1])
    store = Store(home)
    keys = [
        json.loads(file.read_text(encoding="utf-8"))
        for file in (store.folder / "results").rglob("*.json")
    ]
    assert len(keys) == 4  # two methods, two groups of eight
    for content in keys:
        found = store.recall(content["key"])
        assert found is not None and found[0]["image"].shape == (8, 16, 16, 1)
    assert not list(home.rglob(".writing-*"))


@pytest.mark.slow
@pytest.mark.parametrize("small_disk", ["256k"], indirect=True)
def test_a_full_disk_is_one_line_and_costs_nothing(small_disk, monkeypatch):
    from workbench.labs.diffusion.view import DiffusionView
    from workbench.panels import Panel

    home = small_disk / "home"
    monkeypatch.setenv("WORKBENCH_HOME", str(home))
    Store().remember("before", {"a": np.arange(100)}, {"words": "kept"})
    panel = Panel(DiffusionView(pipeline=tiny.pipeline()), quiet=0.0)
    panel.load({"sampling": {"steps": 8, "seeds": 64}})
    panel.run()
    deadline = time.monotonic() + 120
    while panel.status["kind"] not in ("error", "done") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert panel.wait(60)
    assert panel.status["kind"] == "error", panel.status
    assert "no room to write" in panel.status["text"] and "\n" not in panel.status["text"]
    assert "intact" in panel.status["text"]
    assert panel.picture.contents["time_quality"].rows
    found = Store().recall("before")
    assert found is not None and (found[0]["a"] == np.arange(100)).all()
    assert not list(home.rglob(".writing-*"))
    panel.close()
