"""Verdicts whichever way; the commands at a few updates, stopped and gone on with."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.diffusion.super_resolution.small import VAE4, network
from workbench.diffusion.checkpoint import save_vae
from workbench.diffusion.super_resolution import study, train
from workbench.diffusion.super_resolution.plan import Plan
from workbench.diffusion.super_resolution.restorer import load_restorer
from workbench.diffusion.super_resolution.verdict import summary, verdicts


def rows(**differences: float) -> list[dict]:
    found = []
    for seed, wobble in enumerate((0.0, 0.1, -0.1)):
        for arm, extra in (("4×", 1.0), ("8×", 0.0)):
            row = {"arm": arm, "seed": seed, "task": "reconstruction", "kind": "pages"}
            spread = wobble if arm == "8×" else 0.0
            values = {name: 20 + seed + extra * d + spread for name, d in differences.items()}
            found.append({**row, **values})
    return found


def test_verdicts_go_either_way() -> None:
    found = verdicts(rows(psnr_y=2.0, ssim_y=-2.0, edges=0.05), "4×", "8×")
    assert [one.better for one in found] == ["4×", "8×", ""]
    assert found[0].difference.value == pytest.approx(2)
    assert "PSNR-Y [dB]: 4× 23, 8× 21; +2 (+1.75 to +2.25): 4× is better" in found[0].sentence
    assert found[2].sentence.endswith("seeds do not tell which is better")
    assert summary(found) == "4× against 8×: better in 1 of 3, worse in 1, not told apart in 1"
    with pytest.raises(ValueError, match="no arm '2×'; there are 4×, 8×"):
        verdicts(rows(psnr_y=1.0), "4×", "2×")


@pytest.mark.slow
@pytest.mark.long
def test_costs_of_a_picture_are_those_of_the_forms() -> None:
    found = study.costs(Plan())
    four, eight = (found[f"{n}×, full size, 512 px"] for n in (4, 8))
    assert four["encoder"] + four["decoder"] == pytest.approx(1114e9, rel=2e-3)
    assert eight["encoder"] + eight["decoder"] == pytest.approx(1816e9, rel=2e-3)
    assert four["unet"] == pytest.approx(450e9, rel=2e-3)
    assert eight["unet"] == pytest.approx(402e9, rel=2e-3)


def test_a_teacher_of_another_form_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    save_vae(network(VAE4.model_copy(update={"latent_channels": 8})).model(), tmp_path / "vae")
    for module in (study, train):
        assert module.main(["--vae", str(tmp_path / "vae"), "--tiny"]) == 2
        said = capsys.readouterr().err
        assert said == "teacher has latent_channels=8; the student has 4\n"
    assert study.main(["--vae", str(tmp_path / "none")]) == 2
    assert "cannot be read" in capsys.readouterr().err


CALLS = """import json, sys
from workbench.diffusion.super_resolution import study, train
for name, *words in json.loads(sys.argv[1]):
    status = {"study": study, "train": train}[name].main(words)
    print("status", status, flush=True)
"""


def commands(place: Path, *calls: list[str]) -> tuple[list[int], str]:
    """Commands one after the other in a process of their own; each status, and what was said.

    They share what is imported and compiled, and are compiled for speed of compiling.
    """
    common = ["--tiny", "--store", str(place / "store")]
    lines = [[name, *common, "--out", str(place / name), *more] for name, *more in calls]
    quick = {
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "WORKBENCH_HOME": str(place / "home"),
        "PYTHONUTF8": "1",
    }
    own = {name: value for name, value in os.environ.items() if "PROMOTION" not in name}
    done = subprocess.run(
        [sys.executable, "-c", CALLS, json.dumps(lines)],
        env={**own, **quick},
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^status (\d)$", done.stdout, re.M)
    return [int(status) for status in found], done.stderr


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_commands_at_a_few_updates(tmp_path: Path) -> None:
    """A study is stopped and goes on; the pair is then read from the same runs."""
    seed = ["--seeds", "1"]
    calls = [["study", *seed, "--minutes", "0"], ["study", *seed], ["train"]]
    statuses, said = commands(tmp_path, *calls)
    assert statuses == [3, 0, 0], said
    assert said.count("goes on from here") == 1
    card = json.loads((tmp_path / "study" / "card.json").read_text(encoding="utf-8"))
    assert card["finished"]
    assert [one.split(":")[0] for one in card["summary"]] == [
        f"4× against 8×, equal {equal}" for equal in ("updates", "multiply-adds")
    ]
    quality = (tmp_path / "study" / "quality.csv").read_text(encoding="utf-8")
    for arm in ("4×", "8×, equal updates", "8×, equal multiply-adds", "bicubic"):
        assert arm in quality
    restorer = load_restorer(tmp_path / "train" / "4x")
    assert restorer.multiple == 2  # its UNet halves latents once, and a latent stands for one pixel
    text = (tmp_path / "train" / "card.md").read_text(encoding="utf-8")
    assert "`4x/unet`:" in text
    assert "Held out, restored by 8×, pages: psnr_y" in text
    assert load_restorer(tmp_path / "train" / "8x").multiple == 2
