"""Records, the README's table, and the tiny form of every benchmark."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from kernels_pallas import processor

FOLDER = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are in a checkout only")
NOT_BENCHMARKS = {
    "record", "run", "readme_table", "device_time", "sides", "ternary_models", "tuned", "rates",
    "sources", "grouped_shapes", "triton_ahead",
}  # fmt: skip
SCRIPTS = sorted(file.stem for file in FOLDER.glob("*.py") if file.stem not in NOT_BENCHMARKS)


def load(name, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    sys.modules.pop(name, None)
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def record(monkeypatch):
    return load("record", monkeypatch)


@pytest.fixture
def readme_table(monkeypatch, record):
    return load("readme_table", monkeypatch)


def bench(record, folder, *arguments):
    made, _ = record.Benchmark.from_command(
        "some/where/toy.py", "A toy", arguments=["--out", str(folder), *arguments]
    )
    made.add(record.Figure("toy time", 0.25, "s", low=0.2, high=0.3, at_most=0.3))
    made.raw["samples"] = [0.2, 0.25, 0.3]
    return made


def test_record_can_be_checked_and_made_again(record, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["toy.py", "--steps", "3", "--out", str(tmp_path)])
    file = bench(record, tmp_path).finish()
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["command"] == "python benchmarks/toy.py --steps 3"
    assert found["raw"]["samples"] == [0.2, 0.25, 0.3]
    assert found["figures"][0]["met"] is True
    assert found["machine"]["python"] and found["machine"]["threads"] >= 1
    assert set(found["commit"]) == {"hash", "dirty"}
    assert str(FOLDER.parent) not in file.read_text(encoding="utf-8"), "no path of this machine"
    assert "0.2 – 0.3" in capsys.readouterr().out


def test_tiny_form_writes_nothing_unless_asked(record, tmp_path):
    made, options = record.Benchmark.from_command("toy.py", "A toy", arguments=["--tiny"])
    assert options.tiny and made.tiny and made.out is None
    assert made.finish() is None
    full, _ = record.Benchmark.from_command("toy.py", "A toy", arguments=[])
    assert full.out == FOLDER / "results"


def test_targets(record):
    figure = record.Figure("f", 2.0, "s", at_most=1.0)
    assert figure.met is False
    assert record.cells(figure)[3] == "≤ 1 missed"
    assert record.Figure("f", 2.0, "", at_least=1.5).met is True
    assert record.Figure("f", 2.0, "").met is None


@pytest.mark.parametrize(
    "value, text",
    [(0, "0"), (0.25, "0.25"), (401.6367, "401.6"), (20080.4, "20080"), (-26.688, "−26.69"),
     (3.2e-6, "3.200e−06"), (4.016e11, "4.016e+11")],
)  # fmt: skip
def test_numbers_read_well(record, value, text):
    assert record.number(value) == text


def test_table_goes_between_the_markers_and_nowhere_else(record, readme_table, tmp_path):
    readme = tmp_path / "README.md"
    frame = f"# Title\n{readme_table.START}\nold\n{readme_table.END}\nafter\n"
    readme.write_text(frame, encoding="utf-8")
    bench(record, tmp_path / "results").finish()
    bench(record, tmp_path / "results" / "tiny", "--tiny").finish()
    call = ["--readme", str(readme), "--results", str(tmp_path / "results")]
    assert readme_table.main([*call, "--check"]) == 1
    assert readme.read_text(encoding="utf-8") == frame, "--check changes nothing"
    assert readme_table.main(call) == 0
    text = readme.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if "toy time" in line)
    assert [cell.strip() for cell in row.split("|")[1:5]] == [
        "toy time", "0.25 s", "0.2 – 0.3", "≤ 0.3",
    ]  # fmt: skip
    assert text.startswith("# Title\n") and text.endswith("\nafter\n") and "old" not in text
    assert readme_table.main([*call, "--check"]) == 0


def test_tiny_records_never_reach_the_readme(record, readme_table, tmp_path):
    bench(record, tmp_path, "--tiny").finish()
    assert readme_table.figures(tmp_path) == ""


def test_readme_without_markers_is_an_error(readme_table):
    with pytest.raises(ValueError, match="exactly once"):
        readme_table.filled("# Title\n", "body")


def test_committed_records_are_full_and_a_dirty_one_is_told(readme_table):
    """A record made with changes to its commit says so beside its figures."""
    page = (FOLDER.parent / "docs" / "figures.md").read_text(encoding="utf-8")
    for file in (FOLDER / "results").glob("*.json"):
        found = json.loads(file.read_text(encoding="utf-8"))
        assert not found["tiny"], file.name
        assert found["benchmark"] == file.stem.removesuffix("_one_thread")
        assert found["commit"]["hash"], file.name
        (line,) = [line for line in page.splitlines() if line == readme_table.note(found)]
        assert (", with changes" in line) == bool(found["commit"]["dirty"]), file.name


def test_a_record_names_the_instructions_of_its_processor(record, readme_table, tmp_path):
    found = json.loads(bench(record, tmp_path).finish().read_text(encoding="utf-8"))
    here = found["machine"]
    assert here["instructions"] == processor.instructions()
    assert f"{here['instructions']}, " in readme_table.note(found)
    assert here["processor_model"] in readme_table.note(found)
    del here["instructions"], here["processor_model"]
    assert "instructions not recorded" in readme_table.note(found)


def test_a_figure_is_older_than_code_that_changed_or_is_not_known(
    record, readme_table, tmp_path, monkeypatch
):
    file = bench(record, tmp_path).finish()
    assert "`toy` †" not in readme_table.figures(tmp_path, every=True)
    found = json.loads(file.read_text(encoding="utf-8"))
    found["sources"] = {"files": ["kernels_pallas/tuning.py"], "digest": "of other code"}
    file.write_text(json.dumps(found), encoding="utf-8")
    assert "`toy` †" in readme_table.figures(tmp_path, every=True)
    assert "†" not in readme_table.figures(tmp_path), "the README's table stays as it is"
    del found["sources"]
    file.write_text(json.dumps(found), encoding="utf-8")
    assert "`toy` †" in readme_table.figures(tmp_path, every=True)


def test_sources_are_the_ops_that_are_named_and_what_they_import(record):
    import sources

    script, package = FOLDER / "conv2d_cpu.py", FOLDER.parent / "kernels_pallas"
    here = sources.measured(str(script))
    assert "benchmarks/conv2d_cpu.py" in here["files"] and not sources.changed(here)
    assert "benchmarks/record.py" not in here["files"]
    assert sources.changed({**here, "files": [*here["files"], "kernels_pallas/gone.py"]})
    used = sources._used({script, *package.rglob("*.py")})
    assert {package / "conv2d" / "tuned.json", package / "dispatch.py", script} <= used
    assert package / "gated_recurrence" / "xla.py" not in used


@pytest.mark.parametrize(
    ("share", "status", "says"),
    [(0.7, 1, "not recorded"), (0.9, 0, "at 90% of"), (None, 0, "no rate of a plain product")],
)
def test_a_run_beside_other_work_is_not_recorded(
    record, readme_table, tmp_path, monkeypatch, capsys, share, status, says
):
    rates = load("rates", monkeypatch)
    known = tmp_path / "rates.json"
    if share is not None:
        known.write_text(json.dumps({rates.key(): {"flops_per_s": 100e9}}), encoding="utf-8")
    made = bench(record, tmp_path / "out")
    watch = rates.Watch(made, known)
    watch.add([2 * watch.edge**3 / (100e9 * one) for one in (0.1, share or 1.0, 2.0)])
    assert watch.finish() == status
    (file,) = [*(tmp_path / "out").glob("*.json")] or [None]
    said = capsys.readouterr().out
    if file is None:
        assert status == 1 and says in said
        return
    found = json.loads(file.read_text(encoding="utf-8"))
    assert status == 0 and says in readme_table.note(found)
    assert ("No rate is recorded of" in said) == (share is None)


def test_a_rate_is_kept_by_processor_and_threads(record, tmp_path, monkeypatch):
    rates, file = load("rates", monkeypatch), tmp_path / "rates.json"
    file.write_text('{"another": {"flops_per_s": 1.0}}', encoding="utf-8")
    rate = rates.measure(file, edge=64, repeats=2)
    found = json.loads(file.read_text(encoding="utf-8"))
    assert set(found) == {"another", rates.key()}
    assert rates.recorded(file) == rate
    found[rates.key()]["flops_per_s"] = 1e18
    file.write_text(json.dumps(found), encoding="utf-8")
    assert rates.measure(file, edge=64, repeats=2) < rates.recorded(file) == 1e18
    assert processor.instructions() in rates.key() and rates.key().endswith(("thread", "threads"))


def test_a_ratio_is_of_repeats_taken_by_turns(record):
    found = record.ratio("a over b", [1.0, 4.0, 9.0], [2.0, 2.0, 3.0], at_most=2.5)
    assert (found.value, found.low, found.high) == (2.0, 1.25, 2.5)
    assert found.met and found.unit == "×"
    with pytest.raises(ValueError, match="shorter"):
        record.ratio("a over b", [1.0, 2.0], [1.0])


def test_shapes_left_out_keep_what_the_same_processor_measured(record, tmp_path, monkeypatch):
    tuned, file = load("tuned", monkeypatch), tmp_path / "tuned.json"
    file.write_text('{"other": {"processor": "x", "measured": []}}', encoding="utf-8")

    def shapes():
        (mine,) = (v for k, v in json.loads(file.read_text("utf-8")).items() if k != "other")
        return {one["taps"]: one["seconds"] for one in mine["measured"]}

    tuned.write(file, "toy.py", [{"taps": 1, "seconds": 1.0}, {"taps": 9, "seconds": 2.0}])
    tuned.write(file, "toy.py", [{"taps": 9, "seconds": 3.0, "transformed": 1.0}])
    assert shapes() == {1: 1.0, 9: 3.0}
    older = file.read_text(encoding="utf-8").replace('"jaxlib": "', '"jaxlib": "0.')
    file.write_text(older, encoding="utf-8")
    tuned.write(file, "toy.py", [{"taps": 25, "seconds": 4.0}])
    assert shapes() == {25: 4.0}
    assert "other" in json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_gpu_task_that_fails_fails_the_run_and_leaves_the_others(record, tmp_path, monkeypatch):
    from types import SimpleNamespace

    import jax

    gpu = load("kernels_gpu", monkeypatch)
    tried = []

    def measure(bench, task, peaks, repeats):
        tried.append(task.name)
        if task.name == "one":
            raise RuntimeError("no such kernel")

    tasks = [SimpleNamespace(name=name) for name in ("one", "two")]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(
        gpu, "measured_peaks", lambda tiny: SimpleNamespace(flops_per_s={}, bytes_per_s=1.0)
    )
    monkeypatch.setattr(gpu, "TASKS", {"ternary": lambda tiny: tasks})
    monkeypatch.setattr(gpu, "measure", measure)
    command = ["kernels_gpu.py", "--only", "ternary", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    assert gpu.main() == 1 and tried == ["one", "two"]
    found = json.loads((tmp_path / "kernels_gpu.json").read_text(encoding="utf-8"))
    assert found["raw"]["one"] == {"failed": "RuntimeError: no such kernel"}
    tasks.pop(0)
    assert gpu.main() == 0


def test_there_are_benchmarks():
    assert {"import_time", "unet_macs"} <= set(SCRIPTS)


@pytest.mark.bench
@pytest.mark.parametrize("name", SCRIPTS)
def test_tiny_form_runs(name, tmp_path):
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--tiny", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert found["tiny"] and found["figures"] and found["raw"]
