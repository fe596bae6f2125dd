"""A sweep of a function that stands in a notebook's cell, and a look at it from a new kernel."""

TRAIN = """
SCALE = 3

def scaled(x):
    return SCALE * x

def train(settings, job):
    import os
    for step in range(1, 6):
        job.log(step=step, loss=scaled(settings["x"]) / step)
        job.report(step, 5)
    return {"y": scaled(settings["x"]), "elsewhere": os.getpid() != settings["kernel"]}
"""
SWEEP = """
import os
from workbench.runs import Store
from workbench.sweeps import sweep

grid = {{"x": [1, 2], "seed": [0, 1], "kernel": os.getpid()}}
sweep(train, grid, study="cell", store=Store({store!r}))
"""
LOOK = """
from workbench.sweeps import Study

study = Study("cell", {store!r})
assert list(study.table()["elsewhere"]) == [True] * 4
assert list(study.table()["y"]) == [3, 3, 6, 6]
assert len(study.curves()) == 20
study
"""


def test_a_function_of_a_cell(lab_page, tmp_path):
    store = str(tmp_path / "store")
    lab = lab_page([TRAIN, SWEEP.format(store=store)])
    lab.run_all(timeout=120)
    assert lab.output_errors() == []
    assert lab.output("table tbody tr").count() == 4
    assert lab.output("p").filter(has_text="cell: 4 of 4 finished").count() == 1
    again = lab_page([LOOK.format(store=store)])
    again.run_all()
    assert again.output_errors() == []
    assert again.output("table tbody tr").filter(has_text="finished").count() == 4
