"""All kinds of rows a table may have."""

from typing import Annotated

from pydantic import Field

from workbench.vision.blocks.bottleneck import BottleneckRow
from workbench.vision.blocks.conv_first import ConvFirstRow
from workbench.vision.blocks.conv_norm import ConvNormRow
from workbench.vision.blocks.convnext import ConvNeXtRow
from workbench.vision.blocks.depthwise_separable import DepthwiseSeparableRow
from workbench.vision.blocks.fused_inverted_residual import FusedInvertedResidualRow
from workbench.vision.blocks.inverted_residual import InvertedResidualRow

AnyRow = Annotated[
    BottleneckRow
    | ConvFirstRow
    | ConvNormRow
    | ConvNeXtRow
    | DepthwiseSeparableRow
    | FusedInvertedResidualRow
    | InvertedResidualRow,
    Field(discriminator="kind"),
]
"""A row, told by its `kind`."""
