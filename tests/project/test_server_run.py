"""The server's run: it parses, takes no input, and lets no browser test be skipped in silence."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.tracked import ROOT, is_checkout

pytestmark = is_checkout

SKIPS = ROOT / ".ci" / "skips.py"
FAILURES = ROOT / ".ci" / "failures.py"
REPORT = """<testsuites><testsuite>
<testcase classname="tests.browser.test_a" name="test_ran"/>
<testcase classname="tests.browser.test_a" name="test_left">{mark}</testcase>
</testsuite></testsuites>"""


SLOW_AND_LONG = r"pytest\.mark\.slow(?:\n@|, )pytest\.mark\.long\b"

STAGES = [
    "system", "environment", "ruff", "format", "types", "floors", "figures", "test", "slow",
    "browser", "parity", "bench-smoke", "kernels", "long",
]  # fmt: skip


def verdict(tmp_path, *marks: str, listing: str = "# nothing\n", report: str = REPORT):
    """What is said of one report a mark."""
    names = [f"{number}.xml" for number in range(len(marks))]
    for name, mark in zip(names, marks, strict=True):
        (tmp_path / name).write_text(report.format(mark=mark), encoding="utf-8")
    (tmp_path / "allowed.txt").write_text(listing, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(SKIPS), "allowed.txt", *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )


def run_lines() -> list[str]:
    return (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def would_run(target: str) -> str:
    """The commands of a make target that leaves reports in `there`."""
    command = ["make", "--dry-run", target, "REPORTS=there"]
    # The make that these tests may run under would have its say in the output.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True
    ).stdout


def test_run_parses_and_may_be_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    done = subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], capture_output=True)
    assert done.returncode == 0, done.stderr


def test_every_stage_is_run():
    assert [line.split()[1] for line in run_lines() if line.startswith("stage ")] == STAGES


@pytest.mark.parametrize("target", ["test-browser", "test-parity"])
def test_each_suite_leaves_a_report_of_its_own_and_all_are_read(target):
    commands = would_run(target).splitlines()
    written = [re.findall(r"--junitxml=there/(\S+)", command) for command in commands]
    assert all(len(names) == 1 for names in written)
    names = [name for (name,) in written]
    assert len(set(names)) == len(commands) == (2 if target == "test-browser" else 1)
    (stage,) = [line for line in run_lines() if f" unskipped {target} " in line]
    assert re.findall(r"/([\w.]+)\"", stage) == names


def test_each_test_that_is_not_for_a_browser_a_peer_or_a_benchmark_runs_in_one_of_three_stages():
    targets = ("test", "test-slow", "test-long")
    fast, slow, long = (re.search('-m (".*"|long) ', would_run(t))[1] for t in targets)
    assert fast == '"not slow and not browser and not parity and not bench"'
    assert slow == '"slow and not long and not browser and not parity and not bench"'
    assert long == "long"
    # So a long test has to be a slow one, or two stages ran it.
    for file in set((ROOT / "tests").rglob("test_*.py")) - {Path(__file__)}:
        code = file.read_text(encoding="utf-8")
        assert code.count("pytest.mark.long") == len(re.findall(SLOW_AND_LONG, code)), file


@pytest.mark.parametrize(
    ("took", "skipped", "said"),
    [
        (4100, 0, ["ran suite --seconds=100", "3"]),
        (4100, 2, ["ran suite --seconds=100", "3 tests of suite that no time was left for: 2"]),
        (4200, 0, ["0 no time was left for suite"]),
    ],
)
def test_a_suite_takes_what_time_is_left_and_what_is_left_out_is_counted(
    tmp_path, took, skipped, said
):
    (rule,) = re.findall(r"^until_passed\(\) \{.*?^\}", "\n".join(run_lines()), re.M | re.S)
    # As pytest writes it: the words twice, and once in `message`.
    skip = '<skipped message="no time was left">conftest.py:62: no time was left</skipped>'
    (tmp_path / "suite.xml").write_text(skip * skipped, encoding="utf-8")
    script = f"""set -u
        make() {{ echo ran $1 $(grep -o -e --seconds=[0-9]* <<<"$2"); return 3; }}
        {rule}
        summary=() REPORTS={shlex.quote(str(tmp_path))} SECONDS={took}
        until_passed 4200 suite
        echo $? "${{summary[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.rstrip("\n").split("\n") == said


def test_a_suite_of_so_many_seconds_skips_what_would_begin_later():
    command = [sys.executable, "-m", "pytest", f"{__file__}::test_every_stage_is_run", "-rs", "-q"]
    for seconds, word in ((-1, "no time was left"), (600, "1 passed")):
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", f"--seconds={seconds}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and word in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("took", "fails", "said"), [(600, False, False), (840, False, True), (841, True, True)]
)
def test_more_time_than_promised_is_said_and_much_more_fails(took, fails, said):
    (rule,) = re.findall(r"^within\(\) \{.*?^\}", "\n".join(run_lines()), re.M | re.S)
    script = f'set -u; summary=()\n{rule}\nwithin it {took} 600; echo $? "${{summary[@]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    sentence = f" it took {took} s; 600 s are promised on 2 idle cores" if said else ""
    assert done.stdout == f"{int(fails)}{sentence}\n"


def test_skip_without_leave_fails_in_whichever_report(tmp_path):
    skip = '<skipped message="no Chromium"/>'
    for marks in ([skip], [skip, ""], ["", skip]):
        done = verdict(tmp_path, *marks)
        assert done.returncode == 1
        assert "tests.browser.test_a.test_left: no Chromium" in done.stdout


def test_skip_listed_with_its_reason_passes(tmp_path):
    skip, test = '<skipped message="no GPU"/>', "tests.browser.test_a.test_left"
    assert verdict(tmp_path, skip, listing=f"{test}: needs a GPU\n").returncode == 0
    assert verdict(tmp_path, skip, listing=f"{test}: \n").returncode == 1


def test_nothing_skipped_passes_and_nothing_run_fails(tmp_path):
    assert verdict(tmp_path, "", "").returncode == 0
    assert verdict(tmp_path).returncode == 1
    assert verdict(tmp_path, "", report="<testsuites/>").returncode == 1


def test_a_missing_report_is_named(tmp_path):
    (tmp_path / "allowed.txt").touch()
    command = [sys.executable, str(SKIPS), "allowed.txt", "none.xml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "no report at none.xml" in done.stdout


def test_failed_tests_are_told_again_with_the_end_of_what_they_said(tmp_path):
    lines = "\n".join(f"line {number}" for number in range(100))
    mark = f'<failure message="no">{lines}</failure>'
    (tmp_path / "a.xml").write_text(REPORT.format(mark=mark), encoding="utf-8")
    (tmp_path / "b.xml").write_text(REPORT.format(mark='<skipped message="no"/>'), encoding="utf-8")
    command = [sys.executable, str(FAILURES), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = [line.strip() for line in done.stdout.rstrip().splitlines()]
    assert told == ["tests.browser.test_a.test_left", *(f"line {n}" for n in range(60, 100))]


def test_no_make_variable_hides_one_that_a_user_sets():
    """Make hands its own value of an exported variable on: BROWSER=none would not reach the lab."""
    told = ["BROWSER", "PYTHONPATH", "WORKBENCH_HOME", "JAX_PLATFORMS", "DISPLAY", "HOME"]
    env = {"PATH": os.environ["PATH"], **dict.fromkeys(told, "mine")}
    makefile = f"include {ROOT / 'Makefile'}\ntell:\n\t@env\n"
    done = subprocess.run(
        ["make", "-f", "-", "tell"],
        input=makefile,
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {f"{name}=mine" for name in told} <= set(done.stdout.splitlines())
