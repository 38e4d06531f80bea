"""
What users may write, decoded strictly: every problem at once, each with its place and a hint.

The rooms own the configuration types; this room knows none of them. It reads YAML into plain data, plain data into
msgspec Structs, and describes the same Structs as JSON Schema for editors and as rows for the reference page.
"""

from customhouse.settings.decode import decode
from customhouse.settings.kinds import tagged
from customhouse.settings.load import load_yaml
from customhouse.settings.reference import Field, describe, undescribed
from customhouse.settings.schema import json_schema
from customhouse.settings.secret import SecretRef, is_literal, resolve

__all__ = [
    "Field",
    "SecretRef",
    "decode",
    "describe",
    "is_literal",
    "json_schema",
    "load_yaml",
    "resolve",
    "tagged",
    "undescribed",
]
