"""The transfer-set format, version 1, on one page: every group, array, type, shape, unit and attribute.

A transfer set is one small HDF5 file per (pool of teachers, β). Its `/frames` is an HDF5 external link to the
group of that name in `frames.h5`, which lies in the same folder and holds the pixels of all sets once; a
standalone set has `/frames` inside. Both kinds of file read alike with plain h5py and need no plug-in.

The writer creates what the tables below say, in their order; the validator checks a file against the same
tables. Everything is little-endian, every array is contiguous and unfiltered, nothing holds a time or an
absolute path, so equal content is equal bytes. Text is UTF-8 of fixed length in arrays, of variable length in
attributes. Boxes are (x, y, w, h) in source pixels, 0-based, where pixel i covers [i, i + 1).

Before the HDF5 structure lies a user block of `USER_BLOCK` bytes, which HDF5 libraries skip: the seal
(`datasets.transfer.seal`), a short text that holds a BLAKE3 digest of every array and of all remaining bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Final

FORMAT: Final = "transfer-set"
FRAMES_FORMAT: Final = "transfer-frames"
VERSION: Final = 1
MOST_TEACHERS: Final = 127
"""What overlap/best, of one byte, can count."""
PIXELS: Final = "frames/data"
USER_BLOCK: Final = 4096
DIGEST_BYTES: Final = 16
"""BLAKE3, cut to 128 bits, of each JPEG."""


@dataclass(frozen=True)
class Array:
    """One HDF5 dataset.

    Attributes:
        name: Path from the root.
        dtype: NumPy's type string; "|S" is UTF-8 text of a fixed length, as long as the longest value needs.
        shape: A letter is a dimension that has the same value wherever it stands (`DIMENSIONS`); "M+1" is
            one more.
        unit: What one value counts, or "" where it is a name or an index.
        meaning: One sentence.
    """

    name: str
    dtype: str
    shape: tuple[str | int, ...]
    unit: str
    meaning: str


@dataclass(frozen=True)
class Attribute:
    """One attribute of the root (of `/frames` where the name says so).

    Attributes:
        name: Its name.
        type: "str", "int", "float" or "str[]".
        meaning: One sentence.
    """

    name: str
    type: str
    meaning: str


DIMENSIONS: Final = {
    "V": "videos of the set",
    "N": "windows of the set",
    "L": "frames of a window (32)",
    "K": "teachers of the pool",
    "U": "videos in frames.h5",
    "M": "stored frames: each distinct (video, frame) once",
    "B": "bytes of all JPEGs",
}

ATTRIBUTES: Final = (
    Attribute("format", "str", f'"{FORMAT}".'),
    Attribute("format_version", "int", f"{VERSION}."),
    Attribute("pool", "str", 'Name of the pool of teachers: "P", or a teacher\'s own name.'),
    Attribute("teachers", "str[]", "The pool's teachers; the order of the dimension K."),
    Attribute(
        "beta", "float", "β: a teacher is positive on a video when its IoU exceeds β on every frame t ≥ 1."
    ),
    Attribute("window_length", "int", "L."),
    Attribute("window_stride", "int", "Candidate windows start at frames 0, stride, 2 stride, ..."),
    Attribute("windows_per_video", "int", "At most so many of the candidates are drawn."),
    Attribute("seed", "int", "Seed of that draw, which is keyed by the video's name."),
    Attribute(
        "absent_policy", "str", '"fail": an absent frame fails a trajectory; "ignore": it does not count.'
    ),
    Attribute("source_dataset", "str", 'Kind of the source dataset, "got10k".'),
    Attribute("source_split", "str", "Its split, or the empty text."),
    Attribute("source_fingerprint", "str", "Digest of its annotations and images' names and sizes."),
    Attribute(
        "frames_fingerprint", "str", "Fingerprint (of the seal) of the frames.h5 that the set was made with."
    ),
    Attribute("created_by", "str", "Program and version."),
)

ARRAYS: Final = (
    Array("videos/name", "|S", ("V",), "", "Name in the source dataset, unique."),
    Array("videos/length", "<i4", ("V",), "frames", "Length of the whole source video."),
    Array("videos/width", "<i4", ("V",), "pixels", "Width of its source images (of the first stored frame)."),
    Array(
        "videos/height", "<i4", ("V",), "pixels", "Height of its source images (of the first stored frame)."
    ),
    Array("videos/object_class", "|S", ("V",), "", "What the target is, or the empty text."),
    Array("windows/video", "<i4", ("N",), "", "Row of /videos."),
    Array("windows/start", "<i4", ("N",), "frames", "First frame of the window in its video, 0-based."),
    Array("windows/frame", "<i8", ("N", "L"), "", "Row of /frames; the rows of one window are consecutive."),
    Array(
        "boxes/ground_truth", "<f4", ("N", "L", 4), "pixels", "As annotated; not a valid box where absent."
    ),
    Array(
        "boxes/absent",
        "|u1",
        ("N", "L"),
        "",
        "1 where the target is marked absent or has no valid box, else 0.",
    ),
    Array(
        "boxes/teacher",
        "<f4",
        ("N", "L", "K", 4),
        "pixels",
        "NaN where that teacher is not positive on the video.",
    ),
    Array(
        "overlap/iou", "<f4", ("N", "L", "K"), "", "IoU of teacher and ground truth; NaN where not positive."
    ),
    Array(
        "overlap/best",
        "|i1",
        ("N", "L"),
        "",
        "The positive teacher of highest IoU, the first of equals (Eq. 4).",
    ),
)

FRAMES_ATTRIBUTES: Final = (
    Attribute("format", "str", f'"{FRAMES_FORMAT}".'),
    Attribute("format_version", "int", f"{VERSION}."),
    Attribute("created_by", "str", "Program and version."),
    Attribute(
        "frames/encoding",
        "str",
        '"source": untouched source files; "region": wide windows around the target.',
    ),
    Attribute(
        "frames/window_scale", "float", "region: windows contain the ground truth scaled so many times."
    ),
    Attribute(
        "frames/oversampling", "float", "region: stored pixels per pixel of the student's crop, per axis."
    ),
    Attribute(
        "frames/crop_context", "float", "region: the crop is so many times as large as its box (paper: 1.5)."
    ),
    Attribute("frames/crop_size", "int", "region: width and height of the crop after resizing (paper: 128)."),
    Attribute("frames/quality", "int", "region: JPEG quality."),
    Attribute("frames/subsampling", "str", "region: JPEG chroma subsampling, 444 or 420."),
)

FRAMES_ARRAYS: Final = (
    Array("frames/data", "|u1", ("B",), "bytes", "All JPEG files end to end, ordered as the rows."),
    Array(
        "frames/offset", "<i8", ("M+1",), "bytes", "Row m is data[offset[m]:offset[m + 1]]; offset[0] = 0."
    ),
    Array("frames/digest", "|u1", ("M", DIGEST_BYTES), "bytes", "BLAKE3 of each JPEG, first 16 bytes."),
    Array(
        "frames/window",
        "<f4",
        ("M", 4),
        "pixels",
        "Where the stored pixels lie in the source image, (x, y, w, h).",
    ),
    Array("frames/size", "<i4", ("M", 2), "pixels", "Width and height of the stored image."),
    Array("frames/image_size", "<i4", ("M", 2), "pixels", "Width and height of the source image."),
    Array("frames/video", "<i4", ("M",), "", "Row of frames/video_name; rows are grouped by video."),
    Array("frames/index", "<i4", ("M",), "frames", "Frame in the video, 0-based; ascending within a video."),
    Array("frames/video_name", "|S", ("U",), "", "Name in the source dataset, unique."),
)


def created_by() -> str:
    """Program and version, the same for every file that this installation writes."""
    try:
        return f"tracking-by-trackers {metadata.version('tracking-by-trackers')}"
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "tracking-by-trackers"


def markdown(arrays: tuple[Array, ...]) -> str:
    """A table of arrays as docs/transfer-set-format.md shows it."""
    head = "| array | dtype | shape | unit | meaning |\n|---|---|---|---|---|\n"
    rows = (
        f"| `/{a.name}` | `{a.dtype}` | [{', '.join(map(str, a.shape))}] | {a.unit or '-'} | {a.meaning} |\n"
        for a in arrays
    )
    return head + "".join(rows)
