"""Prepare the environment of a make target: a virtual environment, filled once.

`.venv` serves the lab and the tests, `.venv-parity` the comparisons with torch, `.venv-kernels` the
compilation of kernels for devices that are not here.

Runs under the system's own Python before anything is installed, so only the standard library is
imported here. A stamp holding a digest of what was asked for makes the second call immediate.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import struct
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OLDEST = (3, 11)

# What each purpose installs, and what that downloads with an empty cache: the wheels for Linux
# x86-64 and Python 3.11, added up by `python workbench/launch/environment.py --sizes` (torch in
# its CPU build; where the index only has the CUDA build, that is some gigabytes more).
PURPOSES = {
    "lab": {"folder": ".venv", "extras": "", "megabytes": 315, "minutes": "1 to 4"},
    "test": {"folder": ".venv", "extras": "[test]", "megabytes": 400, "minutes": "1 to 5"},
    "parity": {"folder": ".venv-parity", "extras": "[test]", "megabytes": 620, "minutes": "2 to 6"},
    "kernels": {"folder": ".venv-kernels", "extras": "", "megabytes": 460, "minutes": "1 to 5"},
}
# The environment of the tests holds all that the lab needs.
SERVED_BY = {"lab": ("lab", "test")}
# Torch by its exact version and first, so that no later step can choose another build of it.
PEER_FIRST = ["torch==2.13.0"]
PEERS = ["diffusers==0.42.1", "transformers==5.23.0"]
# Alone: of fla-core reference functions are read file by file, as a package it wants Triton; timm
# wants torchvision, for its data loaders only; DeepCache would choose versions of the others.
PEER_FILES = ["fla-core==0.6.0", "timm==1.0.31", "DeepCache==0.1.1"]
# What compiles kernels: jax as pinned in constraints.txt with the TPU's compiler; then, without
# the libraries that only running needs, XLA's compiler for NVIDIA GPUs of the same version as jax,
# and ptxas, which reports registers and spills.
COMPILER = ["jax", "jaxlib", "absl-py", "libtpu==0.0.52"]
GPU_COMPILERS = ["jax-cuda13-plugin", "jax-cuda13-pjrt"]
PTXAS = "nvidia-cuda-nvcc==13.5.37"


def unsupported() -> str:
    """One line on why this machine cannot run the lab, or nothing."""
    if sys.version_info < OLDEST:
        return (
            f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed; this is "
            f"{platform.python_version()} ({sys.executable}). With uv installed, a newer one is "
            "fetched for you."
        )
    if struct.calcsize("P") != 8:
        return f"A 64-bit Python is needed; JAX has no 32-bit build ({sys.executable})."
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        return "Macs with an Intel processor are not supported: JAX stopped building for them."
    if sys.platform.startswith("linux"):
        built_for = (
            f"{sysconfig.get_config_var('SOABI')} {sysconfig.get_config_var('HOST_GNU_TYPE')}"
        )
        if "musl" in built_for:
            return "Linux with musl (Alpine) is not supported: JAX has builds for glibc only."
        if platform.machine() not in ("x86_64", "aarch64"):
            machine = platform.machine()
            return f"Linux is supported on x86-64 and aarch64; JAX has no build for {machine}."
    if sys.platform == "win32" and platform.machine().upper() not in ("AMD64", "X86_64"):
        return f"Windows is supported on x86-64 only; JAX has no build for {platform.machine()}."
    return ""


def without_kernels() -> str:
    """One line on why kernels cannot be compiled on this machine, or nothing."""
    if sys.platform.startswith("linux") and platform.machine() == "x86_64":
        return ""
    return (
        "Kernels are compiled on Linux x86-64 only: libtpu has no build for "
        f"{sys.platform} on {platform.machine()}."
    )


def pinned(package: str) -> str:
    """`package` with the version that constraints.txt gives it."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line.split()[0] for line in lines if line.startswith(f"{package}=="))


def python_of(folder: Path) -> Path:
    """The interpreter inside the virtual environment `folder`."""
    if sys.platform == "win32":
        return folder / "Scripts" / "python.exe"
    return folder / "bin" / "python"


def digest(purpose: str) -> str:
    """What the environment for `purpose` is made from: its stamp is stale when this changes."""
    state = hashlib.sha256(repr((purpose, sorted(PURPOSES[purpose].items()))).encode())
    state.update(repr((PEER_FIRST, PEERS, PEER_FILES)).encode() if purpose == "parity" else b"")
    if purpose == "kernels":
        state.update(repr((COMPILER, GPU_COMPILERS, PTXAS)).encode())
    for name in ("pyproject.toml", "constraints.txt"):
        state.update((ROOT / name).read_bytes())
    return state.hexdigest()


def stamp(folder: Path, purpose: str) -> Path:
    """The file that says for which digest the environment in `folder` was filled."""
    return folder / f".ready-{purpose}"


def ready(folder: Path, purpose: str) -> bool:
    """Whether `folder` was filled for `purpose` as it is asked for today."""
    file = stamp(folder, purpose)
    return file.exists() and file.read_text(encoding="utf-8") == digest(purpose)


def steps(purpose: str, python: Path, uv: str | None) -> list[list[str]]:
    """The install commands for `purpose`, in order."""
    target = str(ROOT) + str(PURPOSES[purpose]["extras"])
    limits = ["-c", str(ROOT / "constraints.txt")]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if purpose == "parity":
        return [
            [*pip, *PEER_FIRST],
            [*pip, *limits, *PEER_FIRST, *PEERS, "-e", target],
            [*pip, "--no-deps", *PEER_FILES],
        ]
    if uv:
        pip = [uv, "pip", "install", "--quiet", "--python", str(python)]
    if purpose == "kernels":
        version = pinned("jax").removeprefix("jax==")
        compilers = [f"{package}=={version}" for package in GPU_COMPILERS]
        return [[*pip, *limits, *COMPILER], [*pip, "--no-deps", *compilers, PTXAS]]
    return [[*pip, *limits, "-e", target]]


def create(folder: Path, uv: str | None) -> None:
    """Make the empty virtual environment `folder`, with uv when there is one."""
    if uv:
        wanted = sys.executable if not unsupported() else f">={OLDEST[0]}.{OLDEST[1]}"
        command = [uv, "venv", "--quiet", "--seed", "--python", wanted, str(folder)]
    else:
        command = [sys.executable, "-m", "venv", str(folder)]
    if subprocess.run(command).returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        raise SystemExit(
            f"The virtual environment could not be made ({' '.join(command)}). On Debian and "
            "Ubuntu the system package python3-venv is needed."
        )


def prepare(purpose: str) -> Path:
    """Make the environment for `purpose` unless its stamp is fresh.

    Args:
        purpose: one of `PURPOSES`.

    Returns:
        The interpreter of the environment.
    """
    plan = PURPOSES[purpose]
    folder = ROOT / str(plan["folder"])
    python = python_of(folder)
    if python.exists() and any(ready(folder, made) for made in SERVED_BY.get(purpose, (purpose,))):
        return python
    uv = None if os.environ.get("WORKBENCH_NO_UV") else shutil.which("uv")
    by = "uv" if uv and purpose != "parity" else "venv and pip"
    problem = unsupported()
    if problem and not (uv and sys.version_info < OLDEST):
        raise SystemExit(problem)
    if purpose == "kernels" and without_kernels():
        raise SystemExit(without_kernels())
    print(
        f"Setting up {plan['folder']} (once): downloads up to about {plan['megabytes']} MB, "
        f"{plan['minutes']} minutes, by {by}.",
        flush=True,
    )
    began = time.monotonic()
    if not python.exists():
        create(folder, uv)
    for command in steps(purpose, python, uv):
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            raise SystemExit("Installing failed; the lines above say why. Call again to go on.")
    stamp(folder, purpose).write_text(digest(purpose), encoding="utf-8")
    print(f"{plan['folder']} is ready after {time.monotonic() - began:.0f} s.", flush=True)
    return python


def sizes() -> None:
    """Print the megabytes that each purpose downloads: all wheels are fetched into a new folder."""
    import tempfile

    for purpose in PURPOSES:
        python = prepare(purpose)
        with tempfile.TemporaryDirectory() as folder:
            for command in steps(purpose, python, None):
                fetch = [part for part in command if part != "-e"]
                fetch[3] = "download"
                subprocess.run([*fetch, "--no-cache-dir", "-d", folder], cwd=ROOT, check=True)
            total = sum(file.stat().st_size for file in Path(folder).iterdir())
            print(f"{purpose}: {total / 1e6:.0f} MB", flush=True)


def main(arguments: list[str]) -> int:
    """``environment.py PURPOSE [command ...]``: prepare, then run the command in it."""
    if arguments[:1] == ["--sizes"]:
        sizes()
        return 0
    if not arguments or arguments[0] not in PURPOSES:
        print(f"usage: environment.py {'|'.join(PURPOSES)} [arguments of its python ...]")
        return 2
    python = prepare(arguments[0])
    if len(arguments) == 1:
        return 0
    command = [str(python), *arguments[1:]]
    if sys.platform != "win32":
        os.execv(command[0], command)
    return subprocess.run(command).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
