"""A checkout on disk: whether it is the project that it is taken for, and what its code is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from blake3 import blake3

from datasets.errors import DataError


def check_project(checkout: Path, project: str, files: Sequence[str], address: str) -> None:
    """See that a folder is a checkout of a project.

    Args:
        checkout: The folder.
        project: The project's name.
        files: What every version of it has.
        address: Where the project is.

    Raises:
        DataError: If one of the files is missing.
    """
    missing = [file for file in files if not (checkout / file).is_file()]
    if missing:
        inner = next((c for c in (checkout / project, checkout.parent) if _complete(c, files)), None)
        remedy = (
            f"Give {inner}" if inner else f"Clone {address} and give its folder, the one that holds README.md"
        )
        raise DataError(checkout, f"this is no checkout of {project}: it has no {missing[0]}", remedy)


def check_choice(folder: Path, pattern: str, wanted: str, what: str) -> None:
    """See that a checkout has a tracker, a parameter file or an experiment.

    Args:
        folder: Where they are.
        pattern: What all of them match: the name is the file's, or its folder's where the pattern has a folder.
        wanted: The one wanted.
        what: What they are called.

    Raises:
        DataError: If it is not there; the message lists those that are.
    """
    found = sorted(path.parent.name if "/" in pattern else path.stem for path in folder.glob(pattern))
    found = [name for name in found if name != "__init__"]
    if wanted not in found:
        raise DataError(
            folder, f"there is no {what} {wanted!r}", f"Choose one of {', '.join(found) or '(none)'}"
        )


def fingerprint(
    checkout: Path, folders: Iterable[str], files: Iterable[Path], versions: Iterable[str]
) -> int:
    """A number that changes with the code of a checkout, the files given and the versions of libraries.

    Args:
        checkout: The checkout.
        folders: Whose Python and YAML files count.
        files: Others that count (weights), by content.
        versions: Of the libraries.

    Returns:
        An integer in [0, 2**48).
    """
    h = blake3()
    for folder in folders:
        for path in sorted(_sources(checkout / folder)):
            content = path.read_bytes()
            h.update(f"{path.relative_to(checkout).as_posix()}\0{len(content)}\0".encode())
            h.update(content)
    for path in files:
        h.update(blake3().update_mmap(path).digest())
    h.update("\0".join(versions).encode())
    return int.from_bytes(h.digest(6), "little")


def _sources(folder: Path) -> Iterable[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(place) / name for name in names if name.endswith((".py", ".yaml")))


def _complete(folder: Path, files: Sequence[str]) -> bool:
    return all((folder / file).is_file() for file in files)
