"""From what the user brings to interactions, and to attributes of users and items."""

from fractalrs.reading.attributes import AttributeTable, read_attributes
from fractalrs.reading.downloading import PUBLISHED, download, located, terms_of
from fractalrs.reading.interactions import Interactions, write_interactions
from fractalrs.reading.readers import read_interactions
from fractalrs.reading.sample import MADE_UP, MADE_UP_LABEL, sample_interactions
from fractalrs.reading.source import format_names
from fractalrs.reading.stored import checked_encoding
from fractalrs.reading.times import checked_form

__all__ = [
    "MADE_UP",
    "MADE_UP_LABEL",
    "PUBLISHED",
    "AttributeTable",
    "Interactions",
    "checked_encoding",
    "checked_form",
    "download",
    "format_names",
    "located",
    "read_attributes",
    "read_interactions",
    "sample_interactions",
    "terms_of",
    "write_interactions",
]
