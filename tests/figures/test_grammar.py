"""Charts load without the validator's grammar, and the validator still works."""

import subprocess
import sys

import pytest

pytest.importorskip("rfc3987_syntax", reason="JupyterLab did not bring rfc3987_syntax")

SCRIPT = """
import sys
import workbench.figures.charts
assert "lark" not in sys.modules and "rfc3987_syntax" not in sys.modules
from jsonschema import FormatChecker
assert FormatChecker().conforms("http://example.org/é", "iri")
assert not FormatChecker().conforms("::::", "iri")
import rfc3987_syntax
assert rfc3987_syntax.__file__
"""


@pytest.mark.slow
def test_the_grammar_of_addresses_waits_for_its_first_use():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
