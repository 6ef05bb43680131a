"""Files that appear complete or not at all."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets.errors import DataError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that becomes `path` when the block ends without an error.

    The content reaches the disk before the name does, so that a kill or a power cut at any moment leaves either
    the old file or the new one. After an error the temporary file is removed; what a kill leaves of large files
    is removed by `clear_leftovers`.

    Raises:
        DataError: If `path` is a folder, or the disk is full or cannot be written.
    """
    if path.is_dir():
        raise DataError(path, "is a folder", "Name a file")
    temporary = path.with_name(_temporary_name(path, "tmp"))
    with room_for(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            # A disk that cannot be written refuses to remove even what is not there.
            if temporary.exists():
                temporary.unlink()


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Say of `path` what a disk that is full or cannot be written answers without a name.

    Raises:
        DataError: If the block ends with such an error.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = _no_room(error)
        if reason is None:
            raise
        problem = f"cannot be written ({reason})"
        raise DataError(path, problem, "Make room there, or have it written elsewhere") from error


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Give a new, empty, hidden folder beside `path`, on the same disk; it is removed when the block ends.

    What killed processes left for the same `path` is removed first (see `clear_leftovers`).

    Raises:
        DataError: If the disk is full or cannot be written.
    """
    folder = path.with_name(_temporary_name(path, "parts"))
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(path)
        shutil.rmtree(folder, ignore_errors=True)  # of a killed process that had this one's number
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def clear_leftovers(path: Path) -> None:
    """Remove the temporary files and folders that killed processes of this machine left for `path`.

    Those of processes that live, and of other machines, are not touched. It reads the whole folder, so it is for
    files that are large and few.
    """
    left = re.compile(rf"\.{re.escape(path.name)}\.{re.escape(platform.node())}-(\d{{1,9}})\..+")
    for entry in path.parent.iterdir() if path.parent.is_dir() else ():
        match = left.fullmatch(entry.name)
        if match is None or _lives(int(match[1])):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)  # another process may be clearing up as well
        else:
            entry.unlink(missing_ok=True)


def _temporary_name(path: Path, kind: str) -> str:
    # The machine's name, because folders are shared and another machine's processes have the same numbers.
    return f".{path.name}.{platform.node()}-{os.getpid()}.{kind}"


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        return True
    return True


def _no_room(error: OSError | RuntimeError) -> str | None:
    """Why a disk takes no more, None where that is not the error."""
    # PyTorch's writer, which could not end a file, complains of that instead of what the system said.
    cause = error if isinstance(error, OSError) else error.__context__
    number = cause.errno if isinstance(cause, OSError) else None
    return os.strerror(number) if number in _NO_ROOM else None
