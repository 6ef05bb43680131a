"""How pixels are stored: untouched source files, or wide windows around the target, reduced for the student.

The student (paper, Sections 3.2 and 3.4) crops F_{t-1} and F_t with 1.5 times b_{t-1}, aspect not kept, and
resizes the crops to 128 x 128. So frame t is seen through b_{t-1} and through b_t, the student's own boxes,
which wander around the ground truth. The `region` encoding stores of frame t the hull of the ground-truth
boxes of frames t - 1 and t scaled by `window_scale`, reduced per axis so that the crop at the ground truth
keeps `oversampling` x 128 pixels, never enlarged. docs/transfer-set-format.md has the measured fidelity.

A frame's window depends on its video alone, not on the window of 32 frames that asks for it: frames are
stored once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import simplejpeg
from blake3 import blake3
from numpy.typing import NDArray

from datasets.boxes import Boxes, hull, is_valid, scaled, to_corners
from datasets.errors import DataError
from datasets.images import RGB, is_jpeg, read_with_content
from datasets.transfer.format import DIGEST_BYTES
from datasets.transfer.resample import reduce
from datasets.video import Video

KINDS: Final = ("region", "source")


@dataclass(frozen=True)
class Encoding:
    """How frames are stored. The defaults are measured: docs/transfer-set-format.md.

    Attributes:
        kind: "region", or "source": the source file's bytes, whole and untouched (JPEG only).
        window_scale: region: k, how many times the ground-truth boxes the stored window is wide and high.
        oversampling: region: stored pixels per pixel of the student's crop at the ground truth, per axis.
        crop_context: region: c, how many times its box the student's crop is wide and high.
        crop_size: region: pixels of the crop per axis, as the student's network sees it.
        quality: region: JPEG quality, 1 to 100.
        subsampling: region: JPEG chroma subsampling.
    """

    kind: Literal["region", "source"] = "region"
    window_scale: float = 2.6
    oversampling: float = 1.125
    crop_context: float = 1.5
    crop_size: int = 128
    quality: int = 85
    subsampling: Literal["444", "420"] = "420"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"pixel encoding {self.kind!r} is none of {', '.join(KINDS)}")
        if not self.window_scale >= self.crop_context > 0:
            raise ValueError(
                f"window_scale {self.window_scale} must be at least crop_context {self.crop_context}: "
                "the stored window has to hold the student's crop"
            )
        if not self.oversampling > 0 or self.crop_size < 1:
            raise ValueError(
                f"oversampling {self.oversampling} and crop_size {self.crop_size} must be positive"
            )
        if not 1 <= self.quality <= 100 or self.subsampling not in ("444", "420"):
            raise ValueError(
                f"quality is 1 to 100 and subsampling 444 or 420, not {self.quality}, {self.subsampling}"
            )


@dataclass(frozen=True, eq=False)
class FrameBlock:
    """The stored frames of one video; m frames.

    Attributes:
        video: The video's name.
        index: int32 (m,), frames of the video, ascending.
        data: All JPEG files end to end.
        offset: int64 (m + 1,), where each begins in `data`.
        digest: uint8 (m, 16), BLAKE3 of each.
        window: float32 (m, 4), where the stored pixels lie in the source image, (x, y, w, h), whole pixels.
        size: int32 (m, 2), width and height of the stored images.
        image_size: int32 (m, 2), width and height of the source images.
    """

    video: str
    index: NDArray[np.int32]
    data: bytes
    offset: NDArray[np.int64]
    digest: NDArray[np.uint8]
    window: Boxes
    size: NDArray[np.int32]
    image_size: NDArray[np.int32]

    def __len__(self) -> int:
        """Number of frames m."""
        return len(self.index)

    def __repr__(self) -> str:
        """What a user asks first."""
        return f"FrameBlock({self.video!r}, {len(self)} frames, {len(self.data):,} bytes)"


def encode_video(video: Video, frame_indices: NDArray[np.integer], encoding: Encoding) -> FrameBlock:
    """Encode some frames of a video; each source image is read and decoded once.

    A pure function, fit for any worker process: the same arguments give the same bytes.

    Args:
        video: A video with images.
        frame_indices: Which frames, strictly ascending, 0-based.
        encoding: How.

    Raises:
        DataError: If an image is missing, truncated or unreadable; if `source` meets anything but JPEG.
        ValueError: If the indices are not ascending or outside the video, or no ground-truth box is valid.
    """
    index = np.asarray(frame_indices, dtype=np.int32)
    if (
        index.ndim != 1
        or (np.diff(index) <= 0).any()
        or (len(index) and (index[0] < 0 or index[-1] >= len(video)))
    ):
        raise ValueError(
            f"video {video.name}: frames must ascend within 0 ... {len(video) - 1}, not {index.tolist()}"
        )
    if not video.frames:
        raise ValueError(f"video {video.name} has no images: a dataset of annotations alone cannot be packed")
    wanted = target_windows(video.ground_truth, encoding) if encoding.kind == "region" else None

    files: list[bytes] = []
    windows, sizes, image_sizes = [], [], []
    for t in index.tolist():
        path = video.frames[t]
        data, image = read_with_content(path)
        height, width = image.shape[:2]
        window, size = np.array([0, 0, width, height]), (width, height)
        if wanted is not None:
            window, size = fit_window(*wanted, t, (width, height))
            data = _encode_region(image, window, size, encoding)
        elif not is_jpeg(data):
            raise DataError(
                path, "is not JPEG, which encoding `source` stores untouched", "Use encoding `region`"
            )
        files.append(data)
        windows.append(window)
        sizes.append(size)
        image_sizes.append((width, height))

    return FrameBlock(
        video=video.name,
        index=index,
        data=b"".join(files),
        offset=np.cumsum([0, *map(len, files)], dtype=np.int64),
        digest=np.array([row_digest(f) for f in files], dtype=np.uint8).reshape(-1, DIGEST_BYTES),
        window=np.array(windows, dtype=np.float32).reshape(-1, 4),
        size=np.array(sizes, dtype=np.int32).reshape(-1, 2),
        image_size=np.array(image_sizes, dtype=np.int32).reshape(-1, 2),
    )


def row_digest(data: bytes | memoryview) -> NDArray[np.uint8]:
    """BLAKE3 of one stored JPEG file, uint8 (16,)."""
    return np.frombuffer(blake3(data).digest(length=DIGEST_BYTES), dtype=np.uint8)


def target_windows(
    ground_truth: Boxes, encoding: Encoding
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What `region` wants of every frame, before it meets the image's borders.

    A frame without a valid box takes the last valid one (those before the first, the first).

    Args:
        ground_truth: float32 (T, 4).
        encoding: Scale, context and resolution.

    Returns:
        Windows, float64 (T, 4), and stored pixels per source pixel in x and y, float64 (T, 2), at most 1.

    Raises:
        ValueError: If no box is valid.
    """
    valid = is_valid(ground_truth)
    if not valid.any():
        raise ValueError("no frame has a valid ground-truth box")
    last = np.maximum.accumulate(np.where(valid, np.arange(len(valid)), int(valid.argmax())))
    now = np.asarray(ground_truth, dtype=np.float64)[last]
    before = now[np.maximum(np.arange(len(now)) - 1, 0)]
    windows = hull(scaled(before, encoding.window_scale), scaled(now, encoding.window_scale))
    smallest = np.minimum(before[:, 2:], now[:, 2:])
    return windows, np.minimum(
        1.0, encoding.crop_size * encoding.oversampling / (encoding.crop_context * smallest)
    )


def fit_window(
    windows: NDArray[np.float64], scales: NDArray[np.float64], t: int, image_size: tuple[int, int]
) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Cut frame t's wanted window to whole pixels of the image.

    Returns:
        The window, int64 (4,), (x, y, w, h), at least one pixel, inside the image; and the size (width,
        height) to store.
    """
    limit = np.array(image_size)
    left_top, right_bottom = np.split(to_corners(windows[t]), 2)
    start = np.clip(np.floor(left_top), 0, limit - 1).astype(np.int64)
    stop = np.clip(np.ceil(right_bottom), start + 1, limit).astype(np.int64)
    width, height = np.ceil((stop - start) * scales[t]).astype(int).tolist()
    return np.concatenate([start, stop - start]), (width, height)


def _encode_region(image: RGB, window: NDArray[np.int64], size: tuple[int, int], encoding: Encoding) -> bytes:
    x, y, w, h = window.tolist()
    region = image[y : y + h, x : x + w]
    if size != (w, h):
        region = reduce(region, size)
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(region),
        quality=encoding.quality,
        colorspace="RGB",
        colorsubsampling=encoding.subsampling,
    )
    return data
