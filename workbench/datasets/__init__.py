"""Real data that is at hand without a network, and the user's own.

Every dataset says what it is (`card`), shows itself (`preview`), has a documented split, and
a fingerprint of its content. Heavy readers are imported when a dataset is made.
"""

from workbench.datasets.batches import Batch, batch_at, batches
from workbench.datasets.card import Card
from workbench.datasets.dataset import Dataset, DatasetError, Images, Text
from workbench.datasets.handwriting import digits

__all__ = [
    "Batch",
    "Card",
    "Dataset",
    "DatasetError",
    "Images",
    "Text",
    "batch_at",
    "batches",
    "digits",
]
