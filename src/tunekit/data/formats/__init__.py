"""The shapes in which training data is kept elsewhere, read and written."""

from __future__ import annotations

from tunekit.data.formats.base import Format, Loss
from tunekit.data.formats.columns import ColumnMapping
from tunekit.data.formats.huggingface import from_huggingface, to_huggingface
from tunekit.data.formats.meaning import meaning
from tunekit.data.formats.reading import FORMATS, detect, format_named, read
from tunekit.data.formats.writing import WriteReport, write

__all__ = [
    "FORMATS",
    "ColumnMapping",
    "Format",
    "Loss",
    "WriteReport",
    "detect",
    "format_named",
    "from_huggingface",
    "meaning",
    "read",
    "to_huggingface",
    "write",
]
