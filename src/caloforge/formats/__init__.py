"""File formats: one module each; ``open_showers`` recognises which."""

from caloforge.formats.base import Format, ShowerReader, ShowerWriter
from caloforge.formats.detect import FORMATS, detect_format, format_named, open_showers
from caloforge.formats.native import NativeReader, NativeWriter
from caloforge.formats.saving import save

__all__ = [
    "FORMATS",
    "Format",
    "NativeReader",
    "NativeWriter",
    "ShowerReader",
    "ShowerWriter",
    "detect_format",
    "format_named",
    "open_showers",
    "save",
]
