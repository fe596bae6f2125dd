"""Networks as timm's folders: the fields of `config.json`, and which tensors are weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic

from workbench.model_files.fields import accepted
from workbench.model_files.part import Part
from workbench.vision.architectures import published, tables
from workbench.vision.architectures.conv_first import CONV_FIRST
from workbench.vision.architectures.small import SMALL
from workbench.vision.blocks.row import GroupedRow
from workbench.vision.group_size import constant_group_size, group_size_of
from workbench.vision.networks import NetworkConfig, build, network_of
from workbench.vision.preprocessing import Preprocessing

OWN_FORMAT = "workbench-convnet"
"""The `architecture` of a network that timm does not have; its table stands beside it."""

# Values of timm's constructors; those that change nothing of what is computed here pass in any.
FIXED: dict[str, tuple[Any, ...]] = {"global_pool": ("avg",), "output_stride": (32,)}
IDLE = ("drop_rate", "drop_path_rate", "pretrained", "img_size", "scriptable")


class TimmFields:
    """Stands for a configuration where a folder is read and written."""

    @staticmethod
    def from_file_fields(fields: Mapping[str, Any]) -> NetworkConfig:
        """The table a `config.json` means, of today's form and of the old one without parts.

        Raises:
            ValueError: names the field that is missing, unknown or not supported.
        """
        name = fields.get("architecture")
        if name is None:
            raise ValueError("architecture is missing; needed the name of a network")
        if name == OWN_FORMAT:
            return network_of(dict(fields.get("network") or {}))
        notes = fields.get("pretrained_cfg", fields)
        known = ("num_classes", "in_chans", "group_size")
        given = fields.get("model_args") or {}
        args = accepted("timm model_args", given, known, FIXED, IDLE)
        pool = fields.get("global_pool", "avg")
        if pool != "avg":
            raise ValueError(f"global_pool={pool!r} is not supported; supported: 'avg'")
        classes = fields.get("num_classes", notes.get("num_classes", 1000))
        size, group_size = notes.get("input_size", (3, 224, 224)), args.pop("group_size", None)
        shape = {"num_classes": classes, "in_chans": size[0]}
        for field, value in args.items():
            if field in fields and fields[field] != value:
                raise ValueError(f"{field}={fields[field]!r}, but model_args has {field}={value!r}")
        shape |= args
        try:
            config = published(name, **shape)
            preprocessing = Preprocessing.from_file_fields(notes)
        except pydantic.ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(step) for step in problem["loc"])
            raise ValueError(f"{where}={problem['input']!r}: {problem['msg']}") from error
        config = config.model_copy(update={"preprocessing": preprocessing})
        return config if group_size is None else constant_group_size(config, group_size)

    @staticmethod
    def to_file_fields(config: NetworkConfig) -> dict[str, Any]:
        """The fields of a `config.json` of timm's, or of ours where timm has no such network."""
        args = _timm_args(config)
        if args is None:
            return {"architecture": OWN_FORMAT, "network": config.record()}
        first, last = _ends(config)
        return {
            "architecture": config.architecture,
            "num_classes": config.num_classes,
            "global_pool": "avg",
            "model_args": args,
            "pretrained_cfg": {
                **config.preprocessing.model_dump(mode="json"),
                "num_classes": config.num_classes,
                "pool_size": None,
                "first_conv": first,
                "classifier": last,
            },
        }


def _timm_args(config: NetworkConfig) -> dict[str, Any] | None:
    """Arguments by which timm makes this very network; None where it cannot."""
    name = config.architecture
    if name not in tables() or name in CONV_FIRST or name in SMALL:
        return None
    plain = {"num_classes": config.num_classes, "in_chans": config.in_chans}
    base = published(name, **plain).model_copy(
        update={"preprocessing": config.preprocessing, "drop_path": config.drop_path}
    )
    if base == config:
        return plain
    size = group_size_of(config)
    grouped = config.kind == "mobile" and any(isinstance(r, GroupedRow) for r in config.rows())
    if grouped and size is not None and constant_group_size(base, size) == config:
        return plain | {"group_size": size}
    return None


def _ends(config: NetworkConfig) -> tuple[str, str]:
    """timm's names of the first convolution and the classifier."""
    ends = {
        "mobile": ("conv_stem", "classifier"),
        "resnet": ("conv1", "fc"),
        "patchified": ("stem.0", "head.fc"),
    }
    return ends[config.kind]


def weight_of(name: str) -> str | None:
    """The key of a tensor; None for a batch norm's count of batches, which nothing here reads."""
    return None if name.endswith(".num_batches_tracked") else name


PART = Part(build, TimmFields, rename=weight_of)
"""Reads and writes the folders."""
