"""Text and JSON from anywhere: read as what they are, or an `InputError` that says what is wrong and where."""

import codecs
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError

LARGEST_TEXT = 1 << 26
"""Bytes of the largest text or JSON that is read: parsed it may take thirty times as much memory."""

_WIDE = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_KINDS = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false", type(None): "null"}


class JsonObject(dict[str, Any]):
    """An object of a JSON file, which names the file where a key is missing."""

    __slots__ = ("where",)
    where: str

    def __missing__(self, key: str) -> Any:
        raise MissingKey(f"{self.where}: an object has no {key!r}, only {_few(list(self))}. The file is another's.")


class MissingKey(InputError, KeyError):
    """A key that a JSON file lacks. It is a KeyError too, for whoever asks for a key that may be missing."""

    __str__ = BaseException.__str__


def read_text(path: str | Path, *, largest: int = LARGEST_TEXT) -> str:
    """Read a text file in UTF-8; a byte-order mark is left out.

    Parameters
    ----------
    path : str or Path
    largest : int
        Bytes beyond which nothing is read.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, is larger, or is in another encoding, with the place of the first byte
        that is not UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(largest + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if len(data) > largest:
        raise InputError(f"{path} is larger than {largest:,} bytes, which is more than any such file has.")
    return decoded(data, where=str(path))


def decoded(data: bytes, *, where: str) -> str:
    """The text of bytes in UTF-8, without a byte-order mark.

    Raises
    ------
    InputError
        If they are in another encoding; UTF-16 and UTF-32 are named.
    """
    wide = next((name for mark, name in _WIDE.items() if data.startswith(mark)), None)
    if wide is None and b"\0" in data[:1024]:
        wide = "UTF-16 or binary data"
    if wide:
        raise InputError(f"{where} is {wide}, not text in UTF-8. Save it as UTF-8.")
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise InputError(
            f"{where}, line {line}, column {column}: byte 0x{error.object[error.start]:02x} is not UTF-8 (Latin-1?). "
            "Save the file as UTF-8."
        ) from None


def parse_json(text: str, *, where: str) -> Any:
    """The value of a JSON text; its objects are `JsonObject`.

    Raises
    ------
    InputError
        If it is no JSON, is nested too deeply, names a key twice, or holds half of a surrogate pair.
    """

    def build(pairs: list[tuple[str, Any]]) -> JsonObject:
        found = JsonObject(pairs)
        found.where = where
        if len(found) != len(pairs):
            twice = next(key for i, (key, _) in enumerate(pairs) if any(key == other for other, _ in pairs[:i]))
            raise InputError(f"{where}: {twice!r} is there twice in one object. Which one counts is not known.")
        return found

    try:
        value = json.loads(text, object_pairs_hook=build)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}, line {error.lineno}: not valid JSON ({error.msg}). Delete it and run again."
        ) from error
    except RecursionError:
        raise InputError(f"{where}: nested too deeply. Delete it and run again.") from None
    except UnicodeEncodeError:
        raise InputError(f"{where}: a text holds half of a surrogate pair, which is no character.") from None
    except InputError:
        raise
    except ValueError as error:  # a whole number of more digits than Python turns into one
        raise InputError(f"{where}: not valid JSON ({error}). Delete it and run again.") from error
    return value


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        If the file is missing, is not text in UTF-8 or is not JSON; the message names the file and, for bad JSON, the
        line. A key that is asked for and missing is one too (`JsonObject`).
    """
    return parse_json(read_text(path), where=str(path))


def read_object(path: str | Path) -> JsonObject:
    """Read a JSON file that holds an object.

    Raises
    ------
    InputError
        As `read_json`, and if it holds something else.
    """
    value = read_json(path)
    if not isinstance(value, JsonObject):
        raise InputError(f"{path} holds {_KINDS.get(type(value), type(value).__name__)}, not an object of JSON.")
    return value


@contextmanager
def read_as(what: str, *, where: object) -> Iterator[None]:
    """While the content of a file is taken apart: what is not of the expected shape is an error of the file.

    Parameters
    ----------
    what : str
        What the file should be, with an article.
    where : object
        The file, for the message.

    Raises
    ------
    InputError
    """
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        said = f"no {error}" if isinstance(error, KeyError) else "; ".join(line.strip() for line in lines[:3])
        raise InputError(f"{where} is not {what}: {said}.") from error


def _few(names: list[str], *, n: int = 8) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:n])
    return (shown + (f" and {len(names) - n} more" if len(names) > n else "")) or "nothing"
