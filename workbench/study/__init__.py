"""The spine: methods act on subjects, studies look at what comes out, tables keep it."""

from __future__ import annotations

from workbench.measure.intervals import Interval
from workbench.progress import Cancelled, Report, silent
from workbench.study.compare import compare
from workbench.study.comparison import Comparison, Verdict
from workbench.study.knobs import KnobError, Knobs, describe, knob
from workbench.study.method import Method, MethodError, Problem, Subject
from workbench.study.paper import Paper
from workbench.study.study import Outcome, Probe, Study
from workbench.study.tables import Column, TableError, Tables

__all__ = [
    "Cancelled",
    "Column",
    "Comparison",
    "Interval",
    "KnobError",
    "Knobs",
    "Method",
    "MethodError",
    "Outcome",
    "Paper",
    "Probe",
    "Problem",
    "Report",
    "Study",
    "Subject",
    "TableError",
    "Tables",
    "Verdict",
    "compare",
    "describe",
    "knob",
    "silent",
]
