"""What panels of several labs do alike: code that opens them again and runs them."""

from __future__ import annotations

from workbench.panels.charted import ChartedView, changed
from workbench.panels.view import Values


class OpenedView(ChartedView):
    """One panel of a lab.

    Attributes:
        lab: the module of `workbench.labs`.
        opener: its function that opens the panel.
        waits: seconds that the copied code waits for the run.
    """

    lab: str
    opener: str
    waits: int = 600
    automatic = False

    @property
    def file_name(self) -> str:
        """That of the opener."""
        return self.opener.replace("_", "-")

    def arguments(self) -> list[str]:
        """What the opener was given beside settings, as code."""
        return []

    def before(self) -> list[str]:
        """Imports and comments that these arguments need."""
        return []

    def code(self, values: Values) -> str:
        """Lines that open the same panel, run it, and show it."""
        call = ", ".join([*self.arguments(), f"settings={changed(values)}"])
        return "\n".join([
            *dict.fromkeys([f"from workbench.labs import {self.lab}", *self.before()]),
            "",
            f"panel = {self.lab}.{self.opener}({call})",
            "panel.run()",
            f"panel.wait({self.waits})",
            "panel",
            "",
        ])  # fmt: skip
