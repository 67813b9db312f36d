"""YAML as configurations have it: what is ambiguous, or made to fill the memory, is refused with its line."""

import re
from typing import Any

import yaml

from ..errors import InputError

LARGEST = 1 << 18
"""Bytes of the largest configuration that is read."""

LARGEST_EXPANDED = 100_000
"""Values of a configuration with each alias (`*name`) counted as all that it stands for."""

DEEPEST = 50
"""Blocks within each other."""

_BASE_60 = re.compile(r"[-+]?\d[\d_]*(:[0-5]?\d)+(\.\d*)?")
_OCTAL = re.compile(r"[-+]?0[\d_]*\d")
_MERGE = "tag:yaml.org,2002:merge"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def parse_yaml(text: str, *, where: str) -> Any:
    """The value of a YAML text.

    Parameters
    ----------
    text : str
    where : str
        Where it is from, for messages.

    Raises
    ------
    InputError
        With line and column, for what is no YAML, a key that is there twice or is no text, a number that YAML 1.1 reads
        to another base, and for aliases that go round in a circle or stand for more than anybody writes.
    """
    if len(text) > LARGEST:
        raise InputError(f"{where}: {len(text):,} characters are more than a configuration has ({LARGEST:,}).")
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _Check(where).size(root, depth=0)
        return loader.construct_document(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{where}{place}: no valid YAML: {what}.") from None
    except RecursionError:
        raise InputError(f"{where}: no valid YAML: nested more than {DEEPEST} deep.") from None
    except InputError:
        raise
    except (ValueError, OverflowError) as error:  # dates that there are not, numbers of too many digits
        raise InputError(f"{where}: no valid YAML: {error}.") from None


class _Check:
    """Walk over the nodes before anything is made of them."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._sizes: dict[int, int] = {}

    def size(self, node: yaml.Node, *, depth: int) -> int:
        """Values that a node stands for."""
        if id(node) in self._sizes:
            if not (known := self._sizes[id(node)]):
                raise self._error(node, "an alias stands for a block that holds it")
            return known
        self._sizes[id(node)] = 0
        if depth > DEEPEST:
            raise self._error(node, f"nested more than {DEEPEST} deep")
        if isinstance(node, yaml.MappingNode):
            self._keys(node)
            total = sum(self.size(part, depth=depth + 1) for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            total = sum(self.size(part, depth=depth + 1) for part in node.value)
        else:
            total = 0
            self._number(node)
        if total >= LARGEST_EXPANDED:
            raise self._error(node, f"it stands for more than {LARGEST_EXPANDED:,} values")
        self._sizes[id(node)] = 1 + total
        return 1 + total

    def _keys(self, node: yaml.MappingNode) -> None:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag == _MERGE:
                continue
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                shown = repr(key.value) if isinstance(key, yaml.ScalarNode) else "a block"
                raise self._error(key, f"the key {shown} is no text. Write it in quotes")
            if key.value in seen:
                raise self._error(key, f"{key.value} is already on line {seen[key.value]}. Which one counts?")
            seen[key.value] = key.start_mark.line + 1

    def _number(self, node: yaml.Node) -> None:
        if node.tag in _NUMBERS and _BASE_60.fullmatch(node.value):
            raise self._error(node, f"{node.value} is a number to base 60 in YAML. Write a plain number, or quotes")
        if node.tag in _NUMBERS and _OCTAL.fullmatch(node.value):
            raise self._error(node, f"{node.value} is a number to base 8 in YAML. Leave the leading 0 out, or quote it")

    def _error(self, node: yaml.Node, what: str) -> InputError:
        mark = node.start_mark
        return InputError(f"{self._where}, line {mark.line + 1}, column {mark.column + 1}: {what}.")
