"""Writing texts: one at a time or many at once, with whatever state the model keeps."""

from workbench.language.generation.batcher import Batcher
from workbench.language.generation.caches import with_cache
from workbench.language.generation.request import Report, Request
from workbench.language.generation.sampling import GREEDY, Sampling
from workbench.language.generation.text_stream import TextStream
from workbench.language.generation.writing import Writer, generate

__all__ = [
    "GREEDY",
    "Batcher",
    "Report",
    "Request",
    "Sampling",
    "TextStream",
    "Writer",
    "generate",
    "with_cache",
]
