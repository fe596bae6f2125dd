"""Puts the notebooks and the data into a wheel; an editable install reads them in the checkout."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Shipped(BuildHookInterface):
    """What `workbench.shipped` looks for inside an installed package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        for folder in ("notebooks", "data"):
            build_data["force_include"][folder] = f"workbench/_shipped/{folder}"
