"""The card beside the shipped weights, made from the records of training and evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workbench.datasets import digits
from workbench.diffusion.digits import recipe as shipped
from workbench.diffusion.digits.augmentation import Augmentation

TRAINING, EVALUATION = "training-{part}.json", "evaluation.json"


def write_json(fields: dict[str, Any], file: Path) -> None:
    """Indented JSON with a newline at its end."""
    text = json.dumps(fields, indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def write_card(folder: Path) -> Path:
    """Writes `card.md`; what has not been measured yet is left out."""
    data = digits(shipped.SIZE).card
    parts = [
        "# Handwritten digits: a class-conditional diffusion model\n",
        "Trained from nothing on real images by the commands below. A toy by size: it is here so "
        "that methods can be compared in seconds on any machine.\n",
        f"- Data: {data.source}. Licence: {data.licence}.",
        f"- Preparation: {data.done}.",
        f"- Split: {data.split}. {data.sizes}. Only the training side is used in training.",
        "- Layout: diffusers (`unet`, `scheduler`); `class_tokens` stands where a text encoder "
        f"would: {shipped.TOKENS} learned tokens a class and the same for “no class”. UNet weights "
        "are stored in half precision and computed in float32.",
    ]
    parts += _trained(folder, "unet", "Diffusion model", shipped.UNET_AUGMENTATION)
    parts += _trained(folder, "classifier", "Classifier", shipped.CLASSIFIER_AUGMENTATION)
    parts += _evaluated(folder)
    file = folder / "card.md"
    file.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return file


def _trained(folder: Path, part: str, title: str, augmentation: Augmentation) -> list[str]:
    facts = _read(folder / TRAINING.format(part=part))
    if not facts:
        return []
    recipe = facts["recipe"]
    lines = [
        f"\n## {title}\n",
        f"- Command: `{facts['command']}`",
        f"- {facts['parameters']:,} parameters; {facts['steps']:,} of {recipe['steps']:,} updates "
        f"of {recipe['batch_size']} images; seed {recipe['seed']}; averaged weights, decay "
        f"{recipe['ema_decay']}",
        f"- {facts['seconds'] / 60:.1f} minutes on {facts['device']}, {facts['date']}; other work "
        "shared the cores",
        f"- Augmentation: turns of {augmentation.turn:g}°, shifts of {augmentation.shift:g} px, "
        f"stretches of {augmentation.stretch:.0%} and shears of {augmentation.shear:g} (standard "
        "deviations)",
    ]
    if part == "unet":
        lines.append(f"- {shipped.LABEL_DROPOUT:.0%} of labels dropped, for guidance")
    if "test_accuracy" in facts:
        lines.append(f"- Accuracy on the test images: {facts['test_accuracy']:.1%}")
    return lines


def _evaluated(folder: Path) -> list[str]:
    facts = _read(folder / EVALUATION)
    if not facts:
        return []
    return [
        f"\n## Judged on {facts['count']:,} samples\n",
        f"- Command: `{facts['command']}` ({facts['sampling_seconds']:.0f} s on {facts['device']}, "
        f"{facts['date']}; weights {facts['weights']})",
        f"- The classifier sees the class asked for in {facts['agreement']:.1%}; the worst class "
        f"has {min(facts['agreement_by_class']):.1%}",
        "- Diversity within a class, over that of real test images: "
        f"{facts['diversity_ratio']:.2f} in features, "
        f"{facts['pixel_diversity_ratio']:.2f} in pixels",
        f"- Median distance to the nearest training image, over that of real test images: "
        f"{facts['distance_ratio']:.2f}; {facts['too_near']:.1%} lie nearer than the nearest 1 % "
        "of test images",
        f"- Kernel distance to the test images: {facts['kernel_distance']:.3f} (training images: "
        f"{facts['kernel_distance_train']:.3f}); toy-FID {facts['toy_fid']:.1f} (training images: "
        f"{facts['toy_fid_train']:.1f}). Features: {facts['features']}; "
        f"n = {facts['distance_count']:,} each. "
        "Not comparable with FID",
    ]


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
