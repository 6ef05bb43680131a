"""Stage 1, index: what videos there are, and their ground truth, in one small file.

Later stages read the annotation from here; only `track` and `pack` go back to the images. The index carries a
fingerprint of every video (annotation, image names and sizes), so that a folder that changed since is noticed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from datasets import open_dataset
from datasets.boxes import Boxes
from datasets.command_line import counted, run_only_command
from datasets.errors import DataError
from datasets.images import is_jpeg
from datasets.processes import cores
from datasets.spec import parse_spec
from datasets.synthetic import write_synthetic
from datasets.video import Video, VideoDataset
from pipeline import places
from pipeline.columns import Column, Form, column_text, read_columns, text_column, write_columns
from pipeline.executor import executor
from pipeline.params import Params, read_params
from pipeline.source import read_annotations, unreadable
from teachers import registry
from teachers.options import TeacherConfigError

FORM = Form(
    "index",
    {
        "videos/name": Column("text", ("videos",)),
        "videos/object_class": Column("text", ("videos",)),
        "videos/digest": Column("text", ("videos",)),
        "videos/offset": Column("int64", ("videos + 1",)),
        "frames/ground_truth": Column("float32", ("frames", 4)),
        "frames/absent": Column("uint8", ("frames",)),
    },
    facts={"spec": (str,), "fingerprint": (str,), "notes": (list,)},
    rows={"videos/offset": "frames"},
)
"""What the index file holds."""

GROUP = 64
"""Videos that one task reads: enough to make the task worth sending."""


@dataclass(frozen=True, eq=False)
class Index:
    """All videos of a dataset, as columns.

    Attributes:
        spec: KIND:ROOT[:SPLIT].
        names: V names, in the dataset's order.
        classes: V object classes, "" where unknown.
        digests: V fingerprints (`Video.digest`), "" for annotations without images.
        offset: int64 (V + 1,): rows offset[v]:offset[v + 1] of the next two belong to video v.
        ground_truth: float32 (N, 4), (x, y, w, h) in 0-based pixels.
        absent: bool (N,).
        notes: What the reader decided about single videos, one "name: sentence" each.
    """

    spec: str
    names: list[str]
    classes: list[str]
    digests: list[str]
    offset: NDArray[np.int64]
    ground_truth: Boxes
    absent: NDArray[np.bool_]
    notes: list[str]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Frames per video, int64 (V,)."""
        return np.diff(self.offset)

    @cached_property
    def fingerprint(self) -> str:
        """One fingerprint of all videos."""
        h = blake3("\0".join(self.names).encode())
        h.update("\0".join(self.digests).encode())
        h.update(np.ascontiguousarray(self.ground_truth, "<f4").tobytes())
        h.update(np.ascontiguousarray(self.absent, "u1").tobytes())
        return h.hexdigest(length=16)

    def rows(self, v: int) -> slice:
        """The rows of video number v."""
        return slice(int(self.offset[v]), int(self.offset[v + 1]))

    @classmethod
    def of(cls, spec: str, videos: Sequence[Video], digests: Sequence[str] | None = None) -> Index:
        """Put videos side by side; without digests, an index for statistics alone."""
        lengths = [len(video) for video in videos]
        return cls(
            spec=spec,
            names=[video.name for video in videos],
            classes=[video.object_class for video in videos],
            digests=list(digests) if digests is not None else [""] * len(videos),
            offset=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
            ground_truth=np.concatenate([v.ground_truth for v in videos] or [np.empty((0, 4), np.float32)]),
            absent=np.concatenate([v.absent for v in videos] or [np.empty(0, np.bool_)]),
            notes=[f"{video.name}: {note}" for video in videos for note in video.notes],
        )

    def write(self, path: Path) -> None:
        """Write the index file."""
        columns: dict[str, NDArray[Any]] = {
            "videos/name": text_column(self.names),
            "videos/object_class": text_column(self.classes),
            "videos/digest": text_column(self.digests),
            "videos/offset": self.offset,
            "frames/ground_truth": self.ground_truth,
            "frames/absent": self.absent.astype(np.uint8),
        }
        facts = {"spec": self.spec, "fingerprint": self.fingerprint, "notes": self.notes}
        write_columns(path, FORM.kind, columns, facts)

    @classmethod
    def read(cls, path: Path = places.INDEX) -> Index:
        """Read the index file.

        Raises:
            DataError: If it is missing or damaged.
        """
        columns, facts = read_columns(path, FORM, "index")
        return cls(
            spec=facts["spec"],
            names=column_text(columns["videos/name"]),
            classes=column_text(columns["videos/object_class"]),
            digests=column_text(columns["videos/digest"]),
            offset=columns["videos/offset"],
            ground_truth=columns["frames/ground_truth"],
            absent=columns["frames/absent"].astype(np.bool_),
            notes=facts["notes"],
        )


def make_index(params: Params) -> Index:
    """Read the annotation of every video of `params.dataset`, writing procedural videos first where asked."""
    if params.dataset.kind == "synthetic":
        root = parse_spec(params.dataset.spec).root  # with the home folder where '~' stands
        write_synthetic(root, params.synthetic, workers=params.executor.workers or cores(), progress=True)
    dataset = open_dataset(params.dataset.spec, params.dataset.exclude)
    if not len(dataset):
        raise DataError(
            dataset.root, "there are no videos", "Check dataset.root, dataset.split and dataset.exclude"
        )
    groups = [dataset.names[start : start + GROUP] for start in range(0, len(dataset), GROUP)]
    read = partial(read_annotations, params.dataset.spec, params.dataset.exclude)
    with executor(params.executor, len(groups)) as run:
        answers = dict(run(read, groups, [len(group) for group in groups], "index", "videos"))
    rows = [row for number in range(len(groups)) for row in answers[number]]
    broken = [row for row in rows if isinstance(row, DataError)]
    if broken:
        raise unreadable(broken, len(rows), dataset.root)
    if params.pack.pixels == "source":
        _refuse_other_than_jpeg(dataset)
    good = [row for row in rows if not isinstance(row, DataError)]
    return Index.of(params.dataset.spec, [video for video, _ in good], [digest for _, digest in good])


def _refuse_other_than_jpeg(dataset: VideoDataset) -> None:
    """Here, before hours of tracking, and not in `pack`: a benchmark's images are of one format."""
    image = dataset[dataset.names[0]].frames[0]
    with image.open("rb") as file:
        if not is_jpeg(file.read(3)):
            raise DataError(
                image, "is not JPEG, which pack.pixels: source stores untouched", "Use pixels: region"
            )


@dataclass(frozen=True)
class Command:
    """Index the dataset of params.yaml: names, ground truth and fingerprints of all videos.

    Example:
        python -m pipeline.index
    """

    params: Path = places.PARAMS
    """The parameters."""

    out: Path = places.INDEX
    """The index to write."""

    def run(self) -> int:
        """Write the index and say what is in it."""
        params = read_params(self.params)
        for name, teacher in params.teachers.items():
            try:  # here, before hours of tracking, and not when that teacher's turn comes
                registry.validate(teacher.use, teacher.options)
            except TeacherConfigError as error:
                raise TeacherConfigError(f"{self.params}: teachers.{name}: {error}") from error
        index = make_index(params)
        index.write(self.out)
        for note in index.notes:
            print(f"note: {note}", file=sys.stderr)
        print(
            f"{self.out}: {counted(len(index), 'video')}, {counted(int(index.offset[-1]), 'frame')}, "
            f"{int(index.absent.sum()):,} absent"
        )
        return 0


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python -m pipeline.index"))
