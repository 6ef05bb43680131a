"""Whether an image file is whole: decided by decoding it, because a header says nothing about the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import simplejpeg
from blake3 import blake3

from datasets.errors import DataError
from datasets.images import read_image
from datasets.regular import read_regular

_PNG, _PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class Inspection:
    """What decoding an image showed.

    Attributes:
        size: (width, height) in pixels; None where the image cannot be read.
        digest: Of the file's bytes; b"" where there is no file.
        problem: What is wrong, "" if nothing.
    """

    size: tuple[int, int] | None
    digest: bytes
    problem: str = ""


def inspect_image(path: Path) -> Inspection:
    """Decode an image completely and strictly.

    OpenCV fills a truncated JPEG with grey and succeeds; libjpeg-turbo in strict mode does not. Every
    coefficient is decoded, but to an eighth of the size, which saves a third of the time.
    """
    try:
        data = read_regular(path)
    except OSError as error:
        return Inspection(None, b"", f"cannot be read ({error.strerror})")
    digest = blake3(data).digest(length=16)
    if not data:
        return Inspection(None, digest, "is empty")
    if data[:2] != b"\xff\xd8":
        return _other_format(path, data, digest)
    size = None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        size = (int(width), int(height))
        wanted = "CMYK" if space in {"CMYK", "YCCK"} else "GRAY"
        simplejpeg.decode_jpeg(data, wanted, min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError as error:
        what = "is truncated" if "remature end" in str(error) else "is damaged"
        return Inspection(size, digest, f"{what} ({error})")
    return Inspection(size, digest)


def _other_format(path: Path, data: bytes, digest: bytes) -> Inspection:
    if data.startswith(_PNG) and _PNG_END not in data[-64:]:
        return Inspection(None, digest, "is truncated (a PNG without its end)")
    try:
        image = read_image(path)
    except DataError as error:
        return Inspection(None, digest, f"is unreadable ({error.problem})")
    return Inspection((image.shape[1], image.shape[0]), digest)
