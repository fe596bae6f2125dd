"""Compiled programs serve later processes, started by whatever, unless the user said otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench import home

ROOT = Path(__file__).resolve().parents[1]

ASK = """
import jax
jax.jit(lambda x: x + 1)(1.0).block_until_ready()
from workbench import home
assert jax.config.jax_compilation_cache_dir is None, "importing has no side effect"
home.keep_compiled()
print(jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.jit(lambda x: x * 2)(1.0).block_until_ready()
"""


def outside(place: Path, *arguments: str, **more: str) -> str:
    """What a process with a store of its own and none of the tests' settings prints."""
    kept = {k: v for k, v in os.environ.items() if k == "JAX_PLATFORMS" or not k.startswith("JAX_")}
    env = kept | {"WORKBENCH_HOME": str(place), "PYTHONPATH": str(ROOT)} | more
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kept(folder: Path) -> list[Path]:
    return list(folder.glob("*-cache"))


def test_programs_are_kept_even_where_jax_was_in_use_before(tmp_path):
    assert outside(tmp_path, "-c", ASK).split() == [str(tmp_path / "compiled"), "0.1"]
    assert len(kept(tmp_path / "compiled")) == 1


@pytest.mark.slow
def test_what_the_user_chose_stays(tmp_path):
    said = outside(tmp_path, "-c", ASK, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="7")
    assert said.split()[-1] == "7.0"
    mine = tmp_path / "mine"
    ask = ASK.replace(" is None", "")
    assert outside(tmp_path, "-c", ask, JAX_COMPILATION_CACHE_DIR=str(mine)).split()[0] == str(mine)
    (tmp_path / "off").mkdir()
    outside(tmp_path / "off", "-c", ASK, JAX_ENABLE_COMPILATION_CACHE="false")
    assert not kept(tmp_path / "off" / "compiled")


@pytest.mark.slow
@pytest.mark.long
def test_the_headless_twin_keeps_what_it_compiled(tmp_path):
    small = ["--set", "sampling.steps=6", "--set", "sampling.seeds=8", "--repeats", "0"]
    outside(tmp_path, "-m", "workbench", "compare", "diffusion", *small)
    assert [file for file in kept(tmp_path / "compiled") if file.name.startswith("jit__full")]


def test_home_follows_the_system(monkeypatch):
    monkeypatch.delenv("WORKBENCH_HOME")
    monkeypatch.setattr(home.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert home.home() == Path("/caches/efficiency-workbench")
    assert home.compile_cache() == Path("/caches/efficiency-workbench/compiled")
