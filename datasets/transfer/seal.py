"""The seal: a text in an HDF5 file's user block that covers every byte of the file by a digest.

    transfer-set seal 1
    boxes/teacher 11264 81920 <BLAKE3>      name, offset, length in bytes, digest (64 hexadecimal digits)
    ...
    frames/data 45056 9811234 rows          covered by /frames/digest instead
    structure 16711680 <BLAKE3>             size of the file, digest of the lines above and of all other bytes

followed by zeros up to the end of the block. A damaged file is recognised, and the damaged array named, without
letting the HDF5 library parse damaged structures, in which it may crash or hang. The digest of the text itself
is the file's fingerprint: sets store that of their frames.h5.

HDF5's own Fletcher-32 would need chunks (so no single offset per array) and does not cover metadata or attributes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from datasets.errors import DataError
from datasets.transfer.format import USER_BLOCK, VERSION

_TITLE = f"transfer-set seal {VERSION}"
_BY_ROWS = "rows"
_STEP = 1 << 22


@dataclass(frozen=True)
class Extent:
    """The bytes of one array: name, offset in the file, length, and digest ("rows": see above)."""

    name: str
    offset: int
    length: int
    digest: str = ""

    def line(self) -> str:
        """Its line of the seal."""
        return f"{self.name} {self.offset} {self.length} {self.digest}"


@dataclass(frozen=True)
class Seal:
    """What a user block says.

    Attributes:
        extents: The arrays' bytes by ascending offset.
        size: Size of the whole file in bytes.
        structure: Digest of the extents, and of all bytes after the user block that none of them holds.
    """

    extents: tuple[Extent, ...]
    size: int
    structure: str

    def text(self) -> str:
        """The canonical text."""
        lines = [e.line() for e in self.extents]
        return "\n".join([_TITLE, *lines, f"structure {self.size} {self.structure}", ""])

    @property
    def fingerprint(self) -> str:
        """Digest of everything that the seal covers, 64 hexadecimal digits."""
        return blake3(self.text().encode()).hexdigest()


def make_seal(path: Path, extents: Sequence[Extent], by_rows: str | None = None) -> Seal:
    """Digest a finished HDF5 file, write its user block, and return the seal.

    Args:
        path: A file with a user block of `USER_BLOCK` bytes.
        extents: Where its arrays lie; their digests are ignored.
        by_rows: The name of the array whose bytes another array's digests cover.
    """
    ordered = sorted((e for e in extents if e.length), key=lambda e: e.offset)
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        digested = tuple(
            Extent(
                e.name,
                e.offset,
                e.length,
                _BY_ROWS if e.name == by_rows else _digest(file, [(e.offset, e.length)]),
            )
            for e in ordered
        )
        seal = Seal(digested, size, _structure(file, digested, size))
        text = seal.text().encode()
        if len(text) > USER_BLOCK:
            raise ValueError(
                f"{path}: a seal of {len(text)} bytes does not fit the user block of {USER_BLOCK}"
            )
        file.seek(0)
        file.write(text.ljust(USER_BLOCK, b"\0"))
    return seal


def read_seal(path: Path, whole: bool = True) -> Seal:
    """Read a file's seal and check that the file has the size that it states.

    Args:
        path: The file.
        whole: Check the size; without, a file that was cut still says what it was.

    Raises:
        DataError: If the file has no seal of this version, or was cut.
        OSError: If it cannot be read.
    """
    remedy = "Restore it from a copy, or build it again with `dvc repro`"
    with path.open("rb") as file:
        block = file.read(USER_BLOCK)
        size = file.seek(0, os.SEEK_END)
    title, _, _ = block.partition(b"\n")
    if not title.startswith(b"transfer-set seal "):
        raise DataError(path, "is not a transfer set: its first line is not a seal", remedy)
    if title != _TITLE.encode():
        problem = f"has {title[13:40].decode('ascii', 'replace')!r}, this program reads 'seal {VERSION}'"
        raise DataError(path, problem, "Use the program version that wrote it, or build the set again")
    try:
        seal = _parse(block)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(
            path, f"the seal in its first {USER_BLOCK} bytes is damaged ({error})", remedy
        ) from error
    if whole and seal.size != size:
        raise DataError(
            path, f"has {size:,} bytes, its seal says {seal.size:,}: it was cut or extended", remedy
        )
    return seal


def read_whole(path: Path) -> Seal:
    """Read a file's seal and check by it every byte but the JPEG files', before HDF5 parses anything.

    A set of all of GOT-10k and its frames.h5 have 130 MB of such bytes: 0.03 s.

    Raises:
        DataError: If the file has no seal of this version, was cut, or is damaged.
        OSError: If it cannot be read.
    """
    seal = read_seal(path)
    for where, what in damage(path, seal):
        raise damaged(path, f"{where}: {what}")
    return seal


def damaged(path: Path, problem: str) -> DataError:
    """The error of a file that is not what its seal and digests say."""
    remedy = "`python -m datasets repair` mends it from another copy, or build it again with `dvc repro`"
    return DataError(path, problem, remedy)


def damage(path: Path, seal: Seal) -> Iterator[tuple[str, str]]:
    """Compare a file's bytes with its seal; gives (name of the array or "structure", what is wrong).

    Arrays covered by row digests are not read.
    """
    with path.open("rb") as file:
        for e in seal.extents:
            if e.digest != _BY_ROWS and _digest(file, [(e.offset, e.length)]) != e.digest:
                yield e.name, f"its {e.length:,} bytes at {e.offset:,} changed since it was written"
        if _structure(file, seal.extents, seal.size) != seal.structure:
            yield "structure", "attributes, links or HDF5's own structures changed since it was written"


def _parse(block: bytes) -> Seal:
    content = block.rstrip(b"\0").decode("ascii")
    _, *lines, last = content.removesuffix("\n").split("\n")
    extents = []
    for line in lines:
        name, offset, length, digest = line.split(" ")
        extents.append(Extent(name, int(offset), int(length), digest))
    word, size, structure = last.split(" ")
    seal = Seal(tuple(extents), int(size), structure)
    end = USER_BLOCK
    for e in seal.extents:
        if e.offset < end or e.length <= 0:
            raise ValueError(f"{e.name} at {e.offset} overlaps what lies before it")
        end = e.offset + e.length
    if word != "structure" or seal.text().encode().ljust(USER_BLOCK, b"\0") != block or end > seal.size:
        raise ValueError("it is not in canonical form")
    return seal


def gaps(extents: Sequence[Extent], size: int) -> list[tuple[int, int]]:
    """(offset, length) of what lies before, between and behind the arrays, and after the user block."""
    starts = [USER_BLOCK, *(e.offset + e.length for e in extents)]
    ends = [*(e.offset for e in extents), size]
    return [(start, end - start) for start, end in zip(starts, ends, strict=True)]


def _structure(file: object, extents: Sequence[Extent], size: int) -> str:
    """Digest of the seal's own lines, whose names nothing else covers, and of the bytes that no array holds."""
    return _digest(file, gaps(extents, size), "\n".join(e.line() for e in extents))


def _digest(file: object, ranges: Sequence[tuple[int, int]], first: str = "") -> str:
    h = blake3(first.encode())
    descriptor: int = file.fileno()  # type: ignore[attr-defined]
    for start, length in ranges:
        for offset in range(start, start + length, _STEP):
            h.update(os.pread(descriptor, min(_STEP, start + length - offset), offset))
    return h.hexdigest()
