"""What one process sampled with, a later one neither traces nor lowers: the same bits come out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SAMPLE = """
import hashlib
import jax
from tests.diffusion.conftest import random_unet, tiny_pipeline
from workbench.diffusion import driver
from workbench.diffusion.plan import Plan
from workbench.diffusion.unet import UNet2DCondition

traced, run, text = [], UNet2DCondition.run, UNet2DCondition.text_keys_values
UNet2DCondition.run = lambda *given, **named: traced.append(1) or run(*given, **named)
UNet2DCondition.text_keys_values = lambda *given: traced.append(1) or text(*given)
kinds = {"decode": {"largest_group": 2}, "shallow": {}}
found = hashlib.sha256()
for kind, more in kinds.items():
    pipeline = tiny_pipeline(random_unet()).with_plan(Plan.from_full_steps((0, 3), 6, kind, **more))
    found.update(driver.sample(pipeline, pipeline.inputs((0, 1)))["latents"].tobytes())
print(len(traced), found.hexdigest())
"""


def sampled(place: Path, **more: str) -> list[str]:
    kept = {k: v for k, v in os.environ.items() if k == "JAX_PLATFORMS" or not k.startswith("JAX_")}
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}
    env = kept | {"WORKBENCH_HOME": str(place), "PYTHONPATH": str(ROOT)} | quick | more
    command = [sys.executable, "-c", SAMPLE]
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.long
def test_a_later_process_traces_nothing_and_draws_the_same(tmp_path):
    programs = 6  # text, full for each kind of plan, encode, decode by one and by two, reuse
    traced, plain = sampled(tmp_path, JAX_ENABLE_COMPILATION_CACHE="false")
    assert int(traced) >= programs and not list(tmp_path.rglob("*.lowered"))
    traced, first = sampled(tmp_path)
    assert int(traced) >= programs
    kept = list((tmp_path / "compiled").glob("*.lowered"))
    assert len(kept) == int(traced), "every program is kept"
    assert sampled(tmp_path) == ["0", first]
    assert first == plain
