"""Puts the notebooks and the data into a wheel; an editable install reads them in the checkout."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Shipped(BuildHookInterface):
    """What `workbench.shipped` looks for inside an installed package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name every file under the two folders, but for hidden ones such as checkpoints."""
        if version == "editable":
            return
        root = Path(self.root)
        for folder in ("notebooks", "data"):
            for file in sorted((root / folder).rglob("*")):
                inside = file.relative_to(root)
                if file.is_file() and not any(part[0] in "._" for part in inside.parts):
                    place = f"workbench/_shipped/{inside.as_posix()}"
                    build_data["force_include"][str(file)] = place
