"""The one error of this package."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, written, or made to fit a model."""
