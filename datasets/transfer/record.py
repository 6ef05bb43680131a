"""`TransferSet`: what one (pool, β) set holds besides pixels, as a frozen record."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.boxes import Boxes, overlap
from datasets.transfer.format import created_by


@dataclass(frozen=True)
class Provenance:
    """How a set was made: the root attributes of its file (see `datasets.transfer.format.ATTRIBUTES`)."""

    pool: str
    teachers: tuple[str, ...]
    beta: float
    window_stride: int
    windows_per_video: int
    seed: int
    absent_policy: str
    source_dataset: str
    source_split: str
    source_fingerprint: str
    window_length: int = 32
    created_by: str = created_by()


@dataclass(frozen=True, eq=False, repr=False)
class TransferSet:
    """Windows of videos, with the ground truth and every positive teacher's boxes.

    V videos, N windows of L frames, K teachers.

    Attributes:
        provenance: Pool, β, windowing, source.
        video_name: V unique names, as in the source dataset and in frames.h5.
        video_length: int32 (V,), frames of each whole source video.
        object_class: V texts, "" where the dataset does not say.
        window_video: int32 (N,), which video each window is cut from.
        window_start: int32 (N,), its first frame there, 0-based.
        ground_truth: float32 (N, L, 4), (x, y, w, h) in source pixels, 0-based, as annotated.
        absent: bool (N, L), the target is marked absent, or its box is not valid.
        teacher: float32 (N, L, K, 4), NaN where that teacher is not positive on that video at β.
    """

    provenance: Provenance
    video_name: tuple[str, ...]
    video_length: NDArray[np.int32]
    object_class: tuple[str, ...]
    window_video: NDArray[np.int32]
    window_start: NDArray[np.int32]
    ground_truth: Boxes
    absent: NDArray[np.bool_]
    teacher: Boxes

    def __post_init__(self) -> None:
        V, N = len(self.video_name), len(self.window_video)
        L, K = self.provenance.window_length, len(self.provenance.teachers)
        expected: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
            "video_length": ((V,), np.int32),
            "window_video": ((N,), np.int32),
            "window_start": ((N,), np.int32),
            "ground_truth": ((N, L, 4), np.float32),
            "absent": ((N, L), np.bool_),
            "teacher": ((N, L, K, 4), np.float32),
        }
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                found = f"{array.dtype}{list(array.shape)}"
                raise ValueError(f"{name} is {found}, not {np.dtype(dtype)}{list(shape)}")
        if len(self.object_class) != V or len(set(self.video_name)) != V:
            raise ValueError(
                f"{len(self.object_class)} classes, {len(set(self.video_name))} distinct names, {V} videos"
            )

    def __len__(self) -> int:
        """Number of windows N."""
        return len(self.window_video)

    def __repr__(self) -> str:
        """Shapes and dtypes, one line each."""
        lines = [
            f"TransferSet(pool={self.provenance.pool!r}, beta={self.provenance.beta}, {len(self)} windows"
        ]
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                lines.append(f"    {f.name}: {value.dtype}{list(value.shape)}")
            elif f.name != "provenance":
                lines.append(f"    {f.name}: str[{len(value)}]")
        return "\n".join(lines) + ")"

    def iou(self) -> NDArray[np.float32]:
        """Overlap of every teacher with the ground truth, float32 (N, L, K), NaN where not positive."""
        return overlaps(self.ground_truth, self.teacher)

    def best(self) -> NDArray[np.int8]:
        """The best positive teacher per frame, int8 (N, L) (paper, Eq. 4)."""
        return best_teacher(self.iou())


def overlaps(ground_truth: Boxes, teacher: Boxes) -> NDArray[np.float32]:
    """IoU of teachers' boxes (..., K, 4) with the ground truth (..., 4), float32 (..., K).

    NaN where the teacher's box is NaN (not positive); 0 where the target has no valid box.
    """
    iou = overlap(ground_truth[..., None, :], teacher)
    result: NDArray[np.float32] = np.where(np.isnan(teacher).all(axis=-1), np.nan, iou).astype(np.float32)
    return result


def best_teacher(iou: NDArray[np.floating[Any]]) -> NDArray[np.int8]:
    """Index of the highest IoU over the last axis, NaN never chosen, the first of equals (Eq. 4), int8."""
    result: NDArray[np.int8] = np.where(np.isnan(iou), -1.0, iou).argmax(axis=-1).astype(np.int8)
    return result
