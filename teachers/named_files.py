"""The files that a teacher's options name, and what is in them: its boxes depend on that as on the options."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3

from datasets.rows import read_bytes
from teachers import pool, registry


def files_of(use: str, options: Mapping[str, Any]) -> list[Path]:
    """All files that a teacher's options name, or leave to the folder of checkpoints; folders of recorded results.

    Those of the teachers beside it (TRAST, TRASFUST) are among them.

    Args:
        use: The teacher's name in the registry, or `module:callable`.
        options: As YAML gives them.

    Raises:
        TeacherConfigError: If there is no such teacher, or an option of one is wrong.
    """
    every = (registry.completed_options(*part) for part in pool.parts(use, options))
    return sorted({path for completed in every for path in _named(completed)})


def content_digest(path: Path) -> str:
    """Of a file its content; of a folder the names and contents of all text files below it.

    Raises:
        DataError: If a file cannot be read.
    """
    h = blake3()
    for file in [path] if path.is_file() else sorted(path.rglob("*.txt")):
        h.update(f"{file.relative_to(path)}\0".encode())
        h.update(read_bytes(file))
    return h.hexdigest(length=16)


def _named(value: Any) -> Iterator[Path]:  # noqa: ANN401 - YAML
    if isinstance(value, str | Path) and (path := Path(os.path.expanduser(value))).is_file():  # noqa: PTH111
        yield path
    elif isinstance(value, Mapping):
        if "results" in value and "tracker" in value:
            root = Path(os.path.expanduser(str(value["results"])))  # noqa: PTH111
            tracker = root / str(value["tracker"])
            yield tracker if tracker.is_dir() else root
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)
