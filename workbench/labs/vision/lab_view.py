"""What every panel of this lab does alike: code that opens it again and runs it."""

from __future__ import annotations

from workbench.panels.charted import ChartedView, changed
from workbench.panels.view import Values


class VisionView(ChartedView):
    """One panel of the vision lab.

    Attributes:
        opener: the function of `workbench.labs.vision` that opens it.
        waits: seconds that the copied code waits for the run.
    """

    opener: str
    waits: int = 900
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
            *dict.fromkeys(["from workbench.labs import vision", *self.before()]),
            "",
            f"panel = vision.{self.opener}({call})",
            "panel.run()",
            f"panel.wait({self.waits})",
            "panel",
            "",
        ])  # fmt: skip
