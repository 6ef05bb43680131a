"""What of a set or a frames.h5 is damaged, and where its very bytes can be had: the seal decides.

Nothing here asks HDF5, which damaged structures may crash. The seal says where every array lies and what its digest
is, so that the bytes of an array come from any file whose seal states that digest; the digest of each JPEG file does
the same for single rows. What is copied is checked first, so a source may be damaged itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError
from datasets.transfer.encoding import row_digest
from datasets.transfer.format import DIGEST_BYTES, PIXELS
from datasets.transfer.pixels import existing_file
from datasets.transfer.seal import Seal, damage, gaps, read_seal
from datasets.transfer.standalone import Advance

STRUCTURE = "structure"
"""What `damage` calls everything but the arrays."""

_ROW_ARRAYS = ("frames/offset", "frames/digest")
"""Where the JPEG files lie, and what they are."""

_STEP = 1 << 22


@dataclass(frozen=True)
class Patch:
    """Bytes to put right.

    Attributes:
        offset, length: Which of the damaged file.
        source, start: Where they come from.
    """

    offset: int
    length: int
    source: Path
    start: int


@dataclass(frozen=True, eq=False)
class Findings:
    """What is damaged in a file, and what can be done.

    Attributes:
        path: The file.
        seal: What it was.
        size: What it has now, bytes.
        parts: Its damaged arrays, and "structure".
        rows: int64, its damaged rows of /frames.
        patches: What can be had.
        lost_parts: Those of `parts` that cannot.
        lost_rows: Those of `rows` that cannot.
    """

    path: Path
    seal: Seal
    size: int
    parts: tuple[str, ...]
    rows: NDArray[np.int64]
    patches: tuple[Patch, ...]
    lost_parts: tuple[str, ...]
    lost_rows: NDArray[np.int64]

    @property
    def whole(self) -> bool:
        """Nothing is damaged, nor is the file cut or extended."""
        return not self.parts and not len(self.rows) and self.size == self.seal.size

    def write(self, out: Path) -> None:
        """Write the file with all patches."""
        shutil.copyfile(self.path, out)
        with out.open("r+b") as file:
            file.truncate(self.seal.size)
            for patch in self.patches:
                file.seek(patch.offset)
                with patch.source.open("rb") as source:
                    source.seek(patch.start)
                    for done in range(0, patch.length, _STEP):
                        file.write(source.read(min(_STEP, patch.length - done)))


class _Copy:
    """A file as its seal describes it, of which some parts may be damaged."""

    def __init__(self, path: Path) -> None:
        existing_file(path, "Name a transfer set, or a frames.h5")
        self.path = path
        self.seal = read_seal(path, whole=False)
        self.damaged = [where for where, _ in damage(path, self.seal)]
        self.extents = {e.name: e for e in self.seal.extents}

    def digest(self, part: str) -> str | None:
        if part == STRUCTURE:
            # The seal's lines as well: they say where the structure lies, and may be what is damaged.
            return self.seal.text()
        return self.extents[part].digest if part in self.extents else None

    def ranges(self, part: str) -> list[tuple[int, int]]:
        if part == STRUCTURE:
            return gaps(self.seal.extents, self.seal.size)
        return [(self.extents[part].offset, self.extents[part].length)]

    def bytes(self, part: str) -> bytes:
        ((start, length),) = self.ranges(part)
        with self.path.open("rb") as file:
            return os.pread(file.fileno(), length, start)


@dataclass(frozen=True, eq=False)
class _RowTable:
    """Where the JPEG files of a file lie, int64 (M + 1,), counted from its first byte, and uint8 (M, 16) digests."""

    path: Path
    place: NDArray[np.int64]
    digest: NDArray[np.uint8]

    @classmethod
    def of(cls, copy: _Copy, offset: bytes, digest: bytes) -> _RowTable:
        data = copy.extents[PIXELS]
        place = np.frombuffer(offset, "<i8") + data.offset
        ends = [data.offset, data.offset + data.length]
        if [place[0], place[-1]] != ends or (np.diff(place) <= 0).any():
            problem = "frames/offset: its rows do not fill frames/data"
            raise DataError(
                copy.path, problem, "It was so when it was written: build it again with `dvc repro`"
            )
        return cls(copy.path, place, np.frombuffer(digest, np.uint8).reshape(-1, DIGEST_BYTES))

    def broken(self, advance: Advance) -> Iterator[int]:
        """Rows whose bytes are not what their digest says."""
        with self.path.open("rb") as file:
            for m in range(len(self.digest)):
                if not self.holds(file.fileno(), m):
                    yield m
                advance(1, len(self.digest))

    def holds(self, descriptor: int, m: int) -> bool:
        """Tell whether the bytes of row m are what its digest says."""
        data = os.pread(descriptor, int(self.place[m + 1] - self.place[m]), int(self.place[m]))
        return np.array_equal(row_digest(data), self.digest[m])


def examine(
    path: Path, others: Sequence[Path] = (), advance: Advance = lambda _count, _total: None
) -> Findings:
    """Find what is damaged in a file, and its bytes in other files.

    Args:
        path: A set or a frames.h5; cut or extended, it may be.
        others: Sets and frames.h5 to take from, whatever they are of: digests find what is the same.
        advance: Told the number of images read since the last call, and of all.

    Raises:
        DataError: If a file is missing, or its seal: then nothing says what the file was.
    """
    own, sources = _Copy(path), [_Copy(other) for other in others]
    patches: list[Patch] = []
    lost = []
    origin = dict.fromkeys(own.extents, own)
    for part in own.damaged:
        source = next(
            (s for s in sources if part not in s.damaged and s.digest(part) == own.digest(part)), None
        )
        if source is None:
            lost.append(part)
            continue
        origin[part] = source
        pairs = zip(own.ranges(part), source.ranges(part), strict=True)
        patches += [Patch(offset, length, source.path, start) for (offset, length), (start, _) in pairs]
    rows: list[int] = []
    lost_rows: list[int] = []
    if PIXELS in own.extents and not set(_ROW_ARRAYS) & set(lost):
        table = _RowTable.of(own, *(origin[name].bytes(name) for name in _ROW_ARRAYS))
        rows = list(table.broken(advance))
        found = _find_rows(table, rows, sources)
        patches += found.values()
        lost_rows = [m for m in rows if m not in found]
    size = path.stat().st_size
    if size < own.seal.size and not own.damaged and not rows:
        lost = [STRUCTURE]  # nothing is missing, so it is the seal that is wrong about the size
    return Findings(
        path=path,
        seal=own.seal,
        size=size,
        parts=tuple(own.damaged),
        rows=np.array(rows, dtype=np.int64),
        patches=tuple(patches),
        lost_parts=tuple(lost),
        lost_rows=np.array(lost_rows, dtype=np.int64),
    )


def _find_rows(table: _RowTable, rows: Sequence[int], sources: Sequence[_Copy]) -> dict[int, Patch]:
    found: dict[int, Patch] = {}
    wanted = {bytes(table.digest[m]) for m in rows}
    for source in sources:
        if len(found) == len(rows):
            break
        if PIXELS not in source.extents or set(_ROW_ARRAYS) & set(source.damaged):
            continue
        other = _RowTable.of(source, *(source.bytes(name) for name in _ROW_ARRAYS))
        place = {d: n for n, d in enumerate(map(bytes, other.digest)) if d in wanted}
        with source.path.open("rb") as file:
            for m in rows:
                n = place.get(bytes(table.digest[m]))
                if m not in found and n is not None and other.holds(file.fileno(), n):
                    start, end = other.place[n : n + 2].tolist()
                    found[m] = Patch(int(table.place[m]), end - start, source.path, start)
    return found
