"""Which small networks ship, on what they are trained, and for how long; all of it ours.

Commands    python -m workbench.vision.train --out data/vision-small
            python -m workbench.vision.train --data digits --architecture our_small_mobilenet_v1 \
                --out data/vision-digits
Hardware    CPU; the shipped weights were made on one core that other work shared
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.datasets import (
    Dataset,
    DatasetError,
    Images,
    digits,
    image_folder,
    photograph_patches,
)
from workbench.training import Recipe
from workbench.vision.training.augmentation import WRITING, Augmentation

PATCHES, DIGITS = "patches", "digits"
SIZES = {PATCHES: 32, DIGITS: 16}
FOLDER_SIZE = 32


@dataclass(frozen=True)
class Plan:
    """Networks and lengths.

    Attributes:
        networks: table names, those that ship.
        steps: updates.
        batch_size: pictures of an update.
        learning_rate: its peak.
        ema_decay: of averaged weights; None for the last ones.
    """

    networks: tuple[str, ...] = (
        "our_small_conv_first",
        "our_small_mobilenet_v1",
        "our_small_mobilenet_v2",
        "our_small_resnext",
    )
    steps: int = 700
    batch_size: int = 64
    learning_rate: float = 4e-3
    ema_decay: float | None = None

    def recipe(self, seed: int) -> Recipe:
        """AdamW, a short warm-up, a cosine to a hundredth."""
        return Recipe(
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup=min(50, self.steps // 4),
            schedule="cosine",
            final_fraction=0.01,
            weight_decay=0.02,
            clip_norm=5.0,
            ema_decay=self.ema_decay,
            log_every=max(1, self.steps // 40),
            checkpoint_every=200,
            seed=seed,
        )


def data_of(
    name: str,
    size: int | None = None,
    *,
    grey: bool = False,
    colour: bool = False,
    enlarge: bool = False,
) -> Dataset[Images]:
    """The digits, the patches, or a folder of the user's with a sub-folder for each class.

    Args:
        name: "digits", "patches" or a folder.
        size: side of a picture, pixels; 16 for digits and 32 for others where None.
        grey: one channel; digits have no other.
        colour: three channels, grey pictures of a folder among them too; without either a folder
            has what all its pictures have, and patches have colour.
        enlarge: allow pictures of a folder smaller than the size.

    Raises:
        DatasetError: a size or a choice there is not, or a folder that cannot be used.
    """
    size = SIZES.get(name, FOLDER_SIZE) if size is None else size
    if grey and colour:
        raise DatasetError("grey and colour: choose one of them")
    if name in SIZES and enlarge:
        raise DatasetError(f"enlarge: {name} are there at their own sizes alone")
    if name == DIGITS:
        if colour:
            raise DatasetError("colour: digits are grey")
        return digits(size)
    if name == PATCHES:
        return photograph_patches(size, colour=not grey)
    channels = 1 if grey else 3 if colour else None
    return image_folder(name, size, channels=channels, enlarge=enlarge)


def augmentation_of(name: str, size: int = FOLDER_SIZE) -> Augmentation:
    """How pictures of this data are moved: writing by a pixel, others by an eighth, and flipped.

    Args:
        name: as for `data_of`.
        size: side of a picture, pixels.
    """
    return WRITING if name == DIGITS else Augmentation(shift=size // 8)
