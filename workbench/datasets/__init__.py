"""Real data that is at hand without a network, and the user's own.

Every dataset says what it is (`card`), shows itself (`preview`), has a documented split, and
a fingerprint of its content. Heavy readers are imported when a dataset is made.
"""

from workbench.datasets.batches import Batch, batch_at, batch_indices, batches
from workbench.datasets.card import Card
from workbench.datasets.dataset import Dataset, DatasetError, Images, Text
from workbench.datasets.handwriting import digits
from workbench.datasets.own_images import (
    MixedColours,
    SmallPicture,
    image_folder,
    smallest_picture,
)
from workbench.datasets.own_text import text_file
from workbench.datasets.photograph_patches import photograph_patches
from workbench.datasets.photography import PHOTOGRAPHS, photographs
from workbench.datasets.prose import english
from workbench.datasets.rendered import text_pages
from workbench.datasets.typeset import Glyphs, TypesetPages, typeset, typeset_pages

__all__ = [
    "PHOTOGRAPHS",
    "Batch",
    "Card",
    "Dataset",
    "DatasetError",
    "Glyphs",
    "Images",
    "MixedColours",
    "SmallPicture",
    "Text",
    "TypesetPages",
    "batch_at",
    "batch_indices",
    "batches",
    "digits",
    "english",
    "image_folder",
    "photograph_patches",
    "photographs",
    "smallest_picture",
    "text_file",
    "text_pages",
    "typeset",
    "typeset_pages",
]
