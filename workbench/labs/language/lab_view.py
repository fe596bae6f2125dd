"""What every panel of this lab does alike."""

from workbench.labs.opened import OpenedView


class LanguageView(OpenedView):
    """One panel of the language lab."""

    lab = "language"
