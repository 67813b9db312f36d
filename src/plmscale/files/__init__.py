"""Files that are written whole or not at all, and text and JSON of anybody's files, read as what they are or refused.

In: paths. Out: files; their text or values, or an `InputError` that says what is wrong and where. Every room uses it.
"""

from .reading import JsonObject, MissingKey, decoded, parse_json, read_as, read_json, read_object, read_text
from .writing import (
    BROKEN,
    FULL,
    atomic,
    atomic_folder,
    check_writable,
    no_room,
    sync_file,
    sync_folder,
    why_no_room,
    write_json,
)

__all__ = [
    "BROKEN", "FULL", "JsonObject", "MissingKey", "atomic", "atomic_folder", "check_writable", "decoded", "no_room",
    "parse_json", "read_as", "read_json", "read_object", "read_text", "sync_file", "sync_folder", "why_no_room",
    "write_json",
]  # fmt: skip
