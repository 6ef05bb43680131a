"""Lists of video names: read with suspicion, because a name becomes a path."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from datasets.errors import DataError, DataWarning
from datasets.rows import read_bytes

_noted: ContextVar[list[DataError] | None] = ContextVar("_noted", default=None)


@contextmanager
def noting_faults() -> Iterator[list[DataError]]:
    """While this lasts, `read_names` notes what is wrong with a list and gives the other names, none if need be.

    For the audit, which looks at a dataset that nobody else should open. Lists to leave out are read strictly even so.
    """
    faults: list[DataError] = []
    token = _noted.set(faults)
    try:
        yield faults
    finally:
        _noted.reset(token)


def read_names(path: Path) -> tuple[str, ...]:
    """Read a list of videos' names, one per line; blank lines and lines that start with '#' do not count.

    Raises:
        DataError: If the file is missing or holds no name; if a name leaves its folder ('../x', '/x', 'a/b')
            or stands there twice; see `noting_faults`.
    """
    names, faults = _names_and_faults(path)
    noted = _noted.get()
    if faults and noted is None:
        raise faults[0]
    if noted is not None:
        noted.extend(faults)
    return names


def _names_and_faults(path: Path) -> tuple[tuple[str, ...], list[DataError]]:
    try:
        text = read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        remedy = "Save the list as UTF-8, one name per line"
        return (), [DataError(path, f"the list is not text ({error.reason})", remedy)]
    faults = []
    first_at: dict[str, int] = {}
    for row, line in enumerate(text.splitlines(), start=1):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        if name in {".", ".."} or any(c in name for c in '/\\\0:*?"<>|'):
            remedy = "Write the video's plain folder name, without a path"
            faults.append(DataError(path, f"{name!r} is not a video name but leads elsewhere", remedy, row))
        elif name in first_at:
            problem = f"{name!r} stands here a second time (first in line {first_at[name]})"
            faults.append(DataError(path, problem, "Remove one of the two lines", row))
        else:
            first_at[name] = row
    if not first_at and not faults:
        faults.append(DataError(path, "the list holds no video name", "Write one video name per line"))
    return tuple(first_at), faults


def without(names: Sequence[str], exclude: Path) -> tuple[str, ...]:
    """`names` in their order without those listed in the file `exclude`.

    Names that the dataset does not have are reported by a `DataWarning`: an exclusion list for another
    dataset, or with a slip, must not pass for an applied one.

    Raises:
        DataError: If the list cannot be read, or nothing would be left.
    """
    if not exclude.is_file():
        raise DataError(exclude, "there is no such list of videos to leave out", "Give its path, or no list")
    excluded, faults = _names_and_faults(exclude)
    if faults:
        raise faults[0]
    unknown = sorted(set(excluded) - set(names))
    if unknown:
        close = difflib.get_close_matches(unknown[0], names[:10_000], n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        warnings.warn(
            f"{exclude}: {len(unknown)} of {len(excluded)} excluded names are not in the dataset, such as "
            f"{unknown[0]!r}{hint}",
            DataWarning,
            stacklevel=3,
        )
    dropped = set(excluded)
    kept = tuple(name for name in names if name not in dropped)
    if names and not kept:
        raise DataError(exclude, f"the list excludes all {len(names)} videos", "Remove the names to be kept")
    return kept
