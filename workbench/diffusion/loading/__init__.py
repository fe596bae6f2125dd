"""Whole checkpoints: folders of diffusers, hub names, single files and LoRA files, and back."""
