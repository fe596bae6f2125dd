"""`python -m kernels_pallas.report`: compiles the kernels for TPU v5e, TPU v6e, H200 and B200."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

from kernels_pallas.report import compiling, finding, page
from kernels_pallas.report.compiling import Result
from kernels_pallas.report.devices import DEVICES

NAME = "compile_report"
JOBS = min(4, os.cpu_count() or 1)
"""Each takes about a gigabyte and one core."""
_COMPILERS = {"mosaic_tpu": "libtpu", "mosaic_gpu": "jax_cuda13_plugin"}
_VERSIONS = ["jax", "jaxlib", "libtpu", "jax-cuda13-plugin", "jax-cuda13-pjrt"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compiles, writes, and returns 1 if any kernel does what it must not."""
    asked = _parser().parse_args(arguments)
    devices = [DEVICES[asked.device]] if asked.device else list(DEVICES.values())
    try:
        found = finding.cases(asked.op)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    todo = [
        (place, case, device) for place, case in found for device in devices if device.runs(case)
    ]
    if asked.fresh and not _is_fresh(Path(asked.out or ".")):
        print("The report is of other sources, or of another jax.")
        return 1
    if asked.check:
        return _recorded(Path(asked.out or "."), [compiling.empty(*one[1:]) for one in todo])
    for device in devices:
        if importlib.util.find_spec(_COMPILERS[device.form]) is None:
            print(f"No compiler for {device.name} here; `make kernels-report` fetches one.")
            return 2
    results = []
    with ThreadPoolExecutor(asked.jobs) as pool:
        for result in pool.map(lambda one: compiling.in_child(*one), todo):
            results.append(result)
            said = "FAILED" if result.violations else f"{result.seconds:.1f} s"
            who = f"{result.op} {result.direction} {result.model} on {result.device}"
            print(f"[{len(results)}/{len(todo)}] {who}: {said}", flush=True)
    versions = {name: metadata.version(name) for name in _VERSIONS if _has(name)}
    print(f"\n{page.table(results)}\n")
    if asked.out:
        held = {
            "versions": versions,
            "sources": sources(),
            "results": [result.row() for result in results],
        }
        _write(Path(asked.out) / f"{NAME}.json", json.dumps(held, indent=1, ensure_ascii=False))
        text = page.page(results, versions)
        _write(Path(asked.page or Path(asked.out) / f"{NAME}.md"), text)
    return _judge(results)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kernels_pallas.report", description=__doc__)
    parser.add_argument("--op", default="", help="one op alone, by its folder")
    parser.add_argument("--device", default="", choices=["", *DEVICES], help="one device alone")
    parser.add_argument(
        "--jobs", type=int, default=JOBS, help=f"compilations at a time ({JOBS} here)"
    )
    parser.add_argument("--out", default="", help=f"folder for {NAME}.json and the page")
    parser.add_argument(
        "--page", default="", help=f"the page's file; {NAME}.md in OUT if not given"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help=f"compile nothing: judge the {NAME}.json in OUT, and that it has every case",
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="with --check: the report must also be of these sources and of the jax that is here",
    )
    return parser


def sources() -> str:
    """A digest of every file of the package that decides what is compiled."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for file in sorted(file for suffix in ("py", "json") for file in package.rglob(f"*.{suffix}")):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _is_fresh(folder: Path) -> bool:
    held = json.loads((folder / f"{NAME}.json").read_text(encoding="utf-8"))
    here = {name: metadata.version(name) for name in ("jax", "jaxlib")}
    return held.get("sources") == sources() and here.items() <= held["versions"].items()


def _recorded(folder: Path, wanted: Sequence[Result]) -> int:
    held = json.loads((folder / f"{NAME}.json").read_text(encoding="utf-8"))
    results = [Result.of(row) for row in held["results"]]
    # A case is the same while its first six fields are: op, direction, model, form, device, shapes.
    having = {str(result[:6]) for result in results}
    missing = [result for result in wanted if str(result[:6]) not in having]
    for result in missing:
        who = f"{result.op} {result.direction} {result.model} on {result.device}"
        print(f"{who}: not in the report for {', '.join(result.arguments)}", file=sys.stderr)
    return _judge(results) or int(bool(missing))


def _judge(results: Sequence[Result]) -> int:
    violations = [line for result in results for line in result.violations]
    print(*violations, sep="\n", file=sys.stderr, end="\n" if violations else "")
    return int(bool(violations))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.rstrip() + "\n", encoding="utf-8")
    print(f"wrote {file}")


def _has(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
