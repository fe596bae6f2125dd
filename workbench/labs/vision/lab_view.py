"""What every panel of this lab does alike."""

from workbench.labs.opened import OpenedView


class VisionView(OpenedView):
    """One panel of the vision lab."""

    lab = "vision"
    waits = 900
