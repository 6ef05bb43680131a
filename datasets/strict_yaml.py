"""YAML as this project reads it: plain values only, and a key that stands twice in one mapping is an error.

PyYAML keeps the last of two equal keys without a word, so that a teacher, or an option, that was written twice would
be lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from datasets.errors import DataError

_NOT_VALUES = frozenset({"tag:yaml.org,2002:merge", "tag:yaml.org,2002:value"})
"""Tags of `<<` and `=`, which are read as they stand."""


class RepeatedKeyError(yaml.MarkedYAMLError):
    """A key stands twice in one mapping.

    Args:
        key: Its dotted name, `teachers.kcf`.
        first, second: Where.

    Attributes:
        key: See above.
        lines: Both 1-based lines.
    """

    def __init__(self, key: str, first: yaml.Mark, second: yaml.Mark) -> None:
        self.key = key
        self.lines = (first.line + 1, second.line + 1)
        super().__init__(problem=self.told, problem_mark=second)

    @property
    def told(self) -> str:
        """What is wrong, in words."""
        first, second = self.lines
        where = f"twice in line {first}" if first == second else f"in line {first} and in line {second}"
        return f"{self.key} stands {where}, and only the last one would count"


def parse_yaml(text: str | bytes) -> Any:  # noqa: ANN401 - what YAML holds
    """Read one document of plain values.

    Raises:
        RepeatedKeyError: If a mapping has a key twice.
        yaml.YAMLError: If it is not YAML, or holds a value that there cannot be (the 31st of February).
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        for repeated in _repeated(loader, node, (), set()):
            raise repeated
        return loader.construct_document(node)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
    except (
        ValueError,
        KeyError,
        AttributeError,
    ) as error:  # as Python raised them in PyYAML: `!!int x`, `!!bool x`
        raise yaml.YAMLError(f"a value is not what it says it is: {error}") from error
    finally:
        loader.dispose()


def parse_yaml_file(text: str | bytes, path: Path, remedy: str) -> Any:  # noqa: ANN401 - what YAML holds
    """`parse_yaml` of a file's content.

    Args:
        text: The content.
        path: The file, for errors.
        remedy: What to do about a file that is not YAML.

    Raises:
        DataError: If it is not YAML, or a mapping has a key twice; with the line.
    """
    try:
        return parse_yaml(text)
    except RepeatedKeyError as error:
        raise DataError(path, error.told, "Delete one of the two, or rename it", error.lines[1]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        row = mark.line + 1 if mark is not None else None
        raise DataError(path, f"this is not YAML ({' '.join(str(error).split())})", remedy, row) from error


def _repeated(
    loader: yaml.SafeLoader, node: yaml.Node, place: tuple[str, ...], seen: set[int]
) -> Iterator[RepeatedKeyError]:
    """All keys below a node, at this place, that stand twice; a node that aliases name is looked at once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _repeated(loader, item, (*place, str(number)), seen)
    elif isinstance(node, yaml.MappingNode):
        found: dict[object, yaml.Mark] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):  # PyYAML itself refuses others
                # As Python compares them: 1 and 0x1 are one key.
                plain = key.value if key.tag in _NOT_VALUES else loader.construct_object(key)
                if plain in found:
                    yield RepeatedKeyError(".".join((*place, key.value)), found[plain], key.start_mark)
                found[plain] = key.start_mark
            yield from _repeated(loader, value, (*place, str(key.value)), seen)
