"""From what the user brings to interactions, and to attributes of users and items."""

from fractalrs.reading.attributes import AttributeTable, read_attributes
from fractalrs.reading.interactions import Interactions, write_interactions
from fractalrs.reading.readers import read_interactions
from fractalrs.reading.sample import sample_interactions
from fractalrs.reading.source import format_names
from fractalrs.reading.stored import checked_encoding
from fractalrs.reading.times import checked_form

__all__ = [
    "AttributeTable",
    "Interactions",
    "checked_encoding",
    "checked_form",
    "format_names",
    "read_attributes",
    "read_interactions",
    "sample_interactions",
    "write_interactions",
]
