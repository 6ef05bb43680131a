"""Images from files: the pixels are OpenCV's, whoever decodes them."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.errors import DataError
from datasets.images import decode_jpeg, read_image, read_with_content

FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def jpeg(mode: str = "RGB", size: tuple[int, int] = (83, 61), **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(cv2.GaussianBlur(noise, (5, 5), 0)).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def opencv(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), FLAGS)
    assert image is not None
    return image


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"progressive": True},
        {"subsampling": 0},
        {"subsampling": 1},
        {"quality": 100},
        {"mode": "L"},
        {"mode": "CMYK"},
        {"keep_rgb": True},
        {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"},
    ],
    ids=str,
)
def test_every_kind_of_jpeg_has_opencvs_pixels(options: dict[str, object], tmp_path: Path):
    path = tmp_path / "image.jpg"
    path.write_bytes(data := jpeg(**options))
    np.testing.assert_array_equal(read_image(path), opencv(data))


def test_a_damaged_jpeg_has_opencvs_pixels(tmp_path: Path):
    """Bits that changed in its middle: decoders go on with what they make of it, and both make the same."""
    data, random, path = jpeg(size=(320, 240)), np.random.default_rng(1), tmp_path / "image.jpg"
    changed = 0
    for _ in range(20):
        damaged = bytearray(data)
        for place in random.integers(1000, len(data) - 2, 3):
            damaged[place] = random.integers(0, 255)  # not 255, which would begin a marker
        path.write_bytes(damaged)
        image = read_image(path)
        np.testing.assert_array_equal(image, opencv(bytes(damaged)))
        changed += not np.array_equal(image, opencv(data))
    assert changed == 20


def test_other_formats_are_read_by_opencv_and_no_image_by_nobody(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "image.png"), pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "image.png"), pixels)
    for content in (b"", b"GIF89a and nothing else", b"\xff\xd8 begins like a JPEG, ends like one\xff\xd9"):
        (tmp_path / "image.jpg").write_bytes(content)
        with pytest.raises(DataError, match=r"image\.jpg.*not an image"):
            read_image(tmp_path / "image.jpg")


@pytest.mark.parametrize("marker", [b"\xff\xdb", b"\xff\xc0", b"\xff\xc4", b"\xff\xda"])
def test_padding_between_segments_costs_no_pixel(marker: bytes, tmp_path: Path):
    data, path = jpeg(), tmp_path / "image.jpg"
    place = data.index(marker)
    path.write_bytes(padded := data[:place] + b"\0" * 7 + data[place:])
    expected = opencv(data)
    np.testing.assert_array_equal(read_image(path), expected)
    np.testing.assert_array_equal(read_with_content(path)[1], expected[..., ::-1])
    out = np.zeros(expected.size + 5, np.uint8)
    assert np.shares_memory(decode_jpeg(padded, "BGR", out), out)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"mode": "L"}], ids=str)
@pytest.mark.parametrize("read", [read_image, read_with_content])
def test_a_jpeg_that_is_not_whole_is_refused_wherever_it_is_cut(read, options, tmp_path: Path):
    """Teachers and `pack` have to agree: what one follows and the other refuses would stop a run at its end."""
    data, path = jpeg(**options), tmp_path / "image.jpg"
    middle = len(data) * 3 // 4
    spoilt = [data[:middle] + b"\xff\xd9" + rest for rest in (b"", data[middle:])]
    spoilt += [data[:cut] for cut in range(3, len(data), 41)] + [data[:-1], data[:-2]]
    for content in spoilt:
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"image\.jpg.*(truncated|damaged)"):
            read(path)
    path.write_bytes(data + b"what a camera appends " * 50)
    read(path)


def test_a_jpeg_is_decoded_where_it_is_told_to(tmp_path: Path):
    path, rooms = tmp_path / "image.jpg", []
    path.write_bytes(data := jpeg())

    def room(shape: tuple[int, ...]) -> np.ndarray:
        rooms.append(np.empty(shape, np.uint8))
        return rooms[-1]

    image = read_image(path, room)
    assert np.shares_memory(image, rooms[0])
    assert len(rooms) == 1
    np.testing.assert_array_equal(image, opencv(data))
