"""The compile report reads what compilers write, and says what a kernel must not do."""

import base64
import json
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from kernels_pallas.report import __main__ as report
from kernels_pallas.report import compiling, finding, page, reading
from kernels_pallas.report.case import Case
from kernels_pallas.report.devices import DEVICES
from workbench.launch import environment

V5E, H200 = DEVICES["TPU v5e"], DEVICES["H200"]
KERNEL = reading.Kernel("k", memory=100, limit=200, registers=40, spills=0, instruction="none")
CASE = Case("op", "forward", "340M", "mosaic_gpu", jnp.sin, [jax.ShapeDtypeStruct((4, 8), "int8")])


def hlo(body: bytes, given: str, used: str) -> str:
    text = base64.b64encode(body).decode()
    kernel = (
        "  ROOT %state.3 = f32[8,128]{1,0} custom-call(%other.2), "
        'custom_call_target="tpu_custom_call", '
        f'backend_config={{"scoped_memory_configs":[{given}],'
        f'"custom_call_config":{{"body":"{text}"}},"used_scoped_memory_configs":[{used}]}}'
    )
    return "\n".join(
        [
            "ENTRY %main.1 (x.1: f32[8,128]) -> f32[8,128] {",
            "  %x.1 = f32[8,128]{1,0} parameter(0)",
            '  %other.2 = f32[8,128]{1,0} custom-call(%x.1), custom_call_target="Sharding"',
            kernel,
            "}",
        ]
    )


def space(size: int) -> str:
    return f'{{"memory_space":"1","offset":"0","size":"{size}"}}'


def test_tpu_kernel_is_read_from_its_call():
    (call,) = reading.custom_calls(hlo(b"\0tpu.matmul\0", "", space(1 << 20)), "mosaic_tpu")
    kernel = reading.tpu_kernel(call, V5E.memory_limit)
    assert kernel == reading.Kernel("state.3", 1 << 20, 16 << 20, None, None, "MXU")


def test_a_limit_that_was_asked_for_counts():
    text = hlo(b"\0arith.addf\0", space(64 << 20), space(20 << 20))
    kernel = reading.tpu_kernel(reading.custom_calls(text, "mosaic_tpu")[0], V5E.memory_limit)
    assert (kernel.memory, kernel.limit, kernel.instruction) == (20 << 20, 64 << 20, "none")


def test_calls_of_another_form_do_not_count():
    assert reading.custom_calls(hlo(b"", "", ""), "mosaic_gpu") == []
    gpu = 'ROOT %k.1 = f32[8]{0} custom-call(%x), custom_call_target="mosaic_gpu_v2"'
    assert reading.custom_calls(gpu, "mosaic_gpu") == [gpu]


PTXAS = """ptxas info    : Compiling entry function 'k' for 'sm_90a'
ptxas info    : Function properties for k
    8 bytes stack frame, {stores} bytes spill stores, {loads} bytes spill loads
ptxas info    : Used 168 registers, used 2 barriers, 1 bytes smem
"""
PTX = """
wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%f1}, %rd1, %rd2, p, 1, 1, 0, 1;
wgmma.fence.sync.aligned;
mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1}, {%r1}, {%r2}, {%f1};
"""
PASSES = [
    "%c1 = arith.constant 1 : i32",
    "gpu.launch blocks(%a) in (%b = %c1) dynamic_shared_memory_size %c65544_i32 {",
]


def test_gpu_kernel_is_read_from_dumps():
    said = PTXAS.format(stores=0, loads=0)
    kernel = reading.gpu_kernel("k_0", PTX, said, PASSES, H200.memory_limit)
    assert kernel == reading.Kernel("k_0", 65544, 232448, 168, 0, "mma m16n8k16, wgmma m64n128k16")


def test_spills_are_added_up():
    kernel = reading.gpu_kernel("k", "", PTXAS.format(stores=40, loads=24), PASSES, 1)
    assert kernel.spills == 64 and kernel.instruction == "none"


CONSTANT = """
mov.b32 %r1, 1065369472;
mov.b16 %rs1, 0x3F80;
mov.b32 %r2, {%rs1, %rs1};
mov.b32 %r3, %r1;
"""
"""Constants in %r1 to %r3, of which the second is packed and the third a copy."""
READ = """
{ setp.ne.b32 p, 1, 0; wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%r90}, {REGISTERS}, %rd1, p, 1, 1, 1; }
"""  # noqa: E501
LOOP = """
mov.b32 %r4, 0;
mov.b32 %r4, %r5;
add.s32 %r5, %r4, 1;
selp.b32 %r6, 0, 1, %p1;
"""


@pytest.mark.parametrize(
    ("registers", "constants"),
    [("%r1,%r2,%r3", 3), ("%r4,%r5,%r6", 0), ("%r1,%r4,%r1", 1), ("%r7,%r8,%r9", 0)],
)
def test_constant_factors_are_counted(registers, constants):
    """Of products whose first factor is in registers; what an unknown instruction set is none."""
    text = CONSTANT + LOOP + READ.replace("REGISTERS", registers)
    assert reading.constant_factors(text) == constants


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({"failure": "ValueError: no"}, "op forward 340M on H200: ValueError: no"),
        ({}, "no custom call of mosaic_gpu"),
        ({"kernels": (KERNEL._replace(spills=8),)}, "k spills 8 bytes"),
        ({"kernels": (KERNEL._replace(constants=2),)}, "k multiplies 2 constant registers"),
        ({"kernels": (KERNEL._replace(memory=201),)}, "k takes 201 of 200 bytes"),
        ({"kernels": (KERNEL._replace(memory=None),)}, "memory is not known"),
    ],
)
def test_each_violation_is_one_line(known, says):
    (line,) = compiling.empty(CASE, H200, **known).violations
    assert says in line and "\n" not in line


def test_result_survives_json():
    result = compiling.empty(CASE, H200, kernels=(KERNEL,), seconds=1.5, temporary=3)
    assert result.violations == []
    assert compiling.Result.of(json.loads(json.dumps(result.row()))) == result


def test_table_says_the_most_of_several_kernels():
    kernels = (KERNEL, KERNEL._replace(memory=150, registers=90, instruction="wgmma m64n64k16"))
    row = page.table([compiling.empty(CASE, H200, kernels=kernels, seconds=1.26)]).splitlines()[2]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:5] == ["op", "forward 340M", "H200", "90", "0"]
    assert cells[6:] == ["wgmma m64n64k16", "1.3"]


def test_a_count_of_nothing_is_not_known_and_holds_no_limit():
    nothing = compiling.empty(CASE, V5E, kernels=(KERNEL._replace(memory=0),))
    assert nothing.violations == []
    assert "| not known of 0.2 KiB |" in page.table([nothing]) and "count is 0" in page.page([], {})


def test_a_device_compiles_what_an_op_runs_on_it():
    assert DEVICES["B200"].runs(CASE) and DEVICES["H200"].runs(CASE) and not V5E.runs(CASE)
    hoppers = CASE._replace(op="gated_linear_attention")
    assert H200.runs(hoppers) and not DEVICES["B200"].runs(hoppers)
    of_b200 = {case.op for _, case in finding.cases() if DEVICES["B200"].runs(case)}
    assert of_b200 >= {"gated_recurrence", "rms_norm_quantize", "bit_linear"}
    assert not [op for op in of_b200 if finding.ops()[op].wgmma]


def test_no_two_cases_of_an_op_have_one_name():
    names = [(case.form, case.name) for _, case in finding.cases()]
    assert len(set(names)) == len(names)


def test_memory_at_its_limit_is_not_rounded_down():
    assert page._size(232448) == "227 KiB" and page._size((16 << 20) + 1) == "16.1 MiB"


def test_page_holds_devices_and_versions():
    text = page.page([compiling.empty(CASE, H200, failure="a | b")], {"jax": "1.2"})
    assert "jax 1.2" in text and all(name in text for name in DEVICES) and "a / b" in text


def test_ops_without_cases_are_skipped_and_named():
    assert all(module.endswith(".cases") for module in finding.modules())
    with pytest.raises(ValueError, match="no cases of op 'nothing'"):
        finding.cases("nothing")


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(finding, "cases", lambda op: [(finding.Place("m", 0), CASE)])


def test_without_a_compiler_it_says_how_to_get_one(tiny, monkeypatch, capsys):
    monkeypatch.setattr(report.importlib.util, "find_spec", lambda name: None)
    assert report.main(["--device", "H200"]) == 2
    assert "make kernels-report" in capsys.readouterr().out


def test_writes_and_judges(tiny, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(report.importlib.util, "find_spec", lambda name: True)
    results = iter([KERNEL, KERNEL._replace(spills=8)])
    monkeypatch.setattr(
        compiling,
        "in_child",
        lambda place, case, device: compiling.empty(case, device, kernels=(next(results),)),
    )
    asked = ["--device", "H200", "--out", str(tmp_path)]
    assert report.main([*asked, "--page", str(tmp_path / "docs" / "page.md")]) == 0
    assert "| op | forward 340M | H200 |" in (tmp_path / "docs" / "page.md").read_text("utf-8")
    assert report.main([*asked, "--check"]) == 0
    assert report.main(asked) == 1
    assert "spills 8 bytes" in capsys.readouterr().err
    assert report.main([*asked, "--check"]) == 1


def test_a_report_is_fresh_while_sources_and_jax_are_its_own(tiny, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(report.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(
        compiling,
        "in_child",
        lambda place, case, device: compiling.empty(case, device, kernels=(KERNEL,)),
    )
    asked = ["--out", str(tmp_path), "--check", "--fresh"]
    assert report.main(["--out", str(tmp_path)]) == 0
    assert report.main(asked) == 0
    monkeypatch.setattr(report, "sources", lambda: "others")
    assert report.main(asked) == 1
    assert "of other sources, or of another jax" in capsys.readouterr().out


def test_check_misses_a_case_that_is_not_recorded(tiny, capsys, tmp_path):
    (tmp_path / "compile_report.json").write_text('{"results": []}', encoding="utf-8")
    assert report.main(["--out", str(tmp_path), "--check"]) == 1
    assert "not in the report for int8[4, 8]" in capsys.readouterr().err


def toolchain() -> str:
    python = environment.python_of(environment.ROOT / ".venv-kernels")
    if not python.exists():
        pytest.skip("no .venv-kernels; `make kernels-report` makes it")
    return str(python)


def in_tests(index: int) -> tuple[finding.Place, Case]:
    place = finding.Place("tests.kernels_pallas.report_cases", index)
    return place, finding.at(place)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("index", "device", "memory", "instruction"),
    [(0, V5E, 512 * 1024, "MXU"), (1, H200, 128 * 128 * 4 + 8, "none")],
)
def test_a_tiny_kernel_compiles(index, device, memory, instruction):
    result = compiling.in_child(*in_tests(index), device, toolchain())
    assert result.violations == []
    (kernel,) = result.kernels
    assert (kernel.memory, kernel.instruction) == (memory, instruction)
    assert (kernel.registers or 0) > 0 or device is V5E


@pytest.mark.slow
@pytest.mark.parametrize(
    ("index", "says"), [(2, "exceeds available shared memory"), (3, "no custom call")]
)
def test_what_does_not_compile_is_a_violation(index, says):
    (line,) = compiling.in_child(*in_tests(index), H200, toolchain()).violations
    assert says in line


def test_a_process_that_dies_is_a_failure(monkeypatch):
    def died(*_, **__):
        return subprocess.CompletedProcess([], -11, "", "noise\nlast words\n")

    monkeypatch.setattr(compiling.subprocess, "run", died)
    result = compiling.in_child(finding.Place("m", 0), CASE, H200)
    assert result.failure == "exit -11: last words"


def test_children_are_told_where_to_dump():
    told = compiling.environment(Path("there"))
    assert told["MOSAIC_GPU_DUMP_TO"] == "there" and told["JAX_PLATFORMS"] == "cpu"


def test_the_report_that_ships_has_every_case_and_no_violation(capsys):
    shipped = Path(__file__).resolve().parents[2] / "data" / "kernels"
    assert report.main(["--check", "--out", str(shipped)]) == 0, capsys.readouterr().err
