"""Stage 4, pack: the pixels of all windows once, and one small transfer set per pool and β.

Which frames are kept is decided by the smallest β of the pool of all teachers: the windows of every other set are among
its windows. Frames are encoded by the executor's workers and written in the index's order.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.command_line import counted, run_only_command
from datasets.errors import DataError
from datasets.spec import parse_spec
from datasets.transfer.encoding import Encoding, FrameBlock, encode_video
from datasets.transfer.record import Provenance, TransferSet
from datasets.transfer.writer import FramesWriter, write_set
from pipeline import places
from pipeline.executor import executor
from pipeline.index import Index
from pipeline.params import POOL_FILES, Params, read_params
from pipeline.select import Selection, read_selection, read_trajectories, refuse_outdated
from pipeline.source import read_unchanged, unreadable
from pipeline.trajectories import Trajectories


@dataclass(frozen=True, eq=False)
class Cut:
    """The frames to keep of one video, for a worker: which video, as it was indexed, and which frames, int64 (m,)."""

    spec: str
    exclude: Path | None
    video: str
    digest: str
    frames: NDArray[np.int64]
    encoding: Encoding


def encode(cut: Cut) -> FrameBlock | DataError:
    """Encode one video's frames; runs in a worker. What is wrong with the video comes back in their place."""
    try:
        video = read_unchanged(cut.spec, cut.exclude, cut.video, cut.digest)
        return encode_video(video, cut.frames, cut.encoding)
    except DataError as error:
        return error


def write_frames(path: Path, params: Params, index: Index, selection: Selection) -> None:
    """Write the pixels of every window.

    Raises:
        DataError: If images of videos cannot be read, or changed since they were indexed. Every video is tried first:
            who has to mend three would not start the stage three times.
    """
    length = selection.params.window_length
    encoding = Encoding(
        kind=params.pack.pixels,
        window_scale=params.pack.window_scale,
        oversampling=params.pack.oversampling,
        quality=params.pack.quality,
    )
    videos, first = np.unique(selection.window_video, return_index=True)
    cuts = []
    # Not strict: NumPy splits nothing at all into one empty part.
    for v, starts in zip(videos, np.split(selection.window_start, first[1:]), strict=False):
        frames = np.unique(starts[:, None] + np.arange(length))
        cuts.append(
            Cut(index.spec, params.dataset.exclude, index.names[v], index.digests[v], frames, encoding)
        )
    broken: list[DataError] = []
    with FramesWriter(path, encoding) as writer, executor(params.executor, len(cuts)) as run:
        for block in _in_order(run(encode, cuts, [len(cut.frames) for cut in cuts], "pack", "frames")):
            if isinstance(block, DataError):
                broken.append(block)
            elif not broken:
                writer.append(block)
        if broken:
            raise unreadable(broken, len(cuts), parse_spec(index.spec).root) if broken[1:] else broken[0]


def _in_order(answers: Iterator[tuple[int, FrameBlock | DataError]]) -> Iterator[FrameBlock | DataError]:
    """Hold back what is ready too early; the executor begins items in order, so that is little."""
    early: dict[int, FrameBlock | DataError] = {}
    following = 0
    for number, block in answers:
        early[number] = block
        while following in early:
            yield early.pop(following)
            following += 1


def transfer_set(
    index: Index,
    trajectories: Mapping[str, Trajectories],
    selection: Selection,
    beta: int,
    teachers: list[str],
    pool: str,
) -> TransferSet:
    """The windows of one pool at one β, with the boxes of its teachers.

    Args:
        index: The videos.
        trajectories: Of all teachers.
        selection: Positives and windows.
        beta: Number of the β in the selection.
        teachers: The pool's.
        pool: Its name.
    """
    columns = [selection.teachers.index(name) for name in teachers]
    positive = selection.positive[beta][:, columns]
    kept = positive[selection.window_video].any(axis=1)
    window_video, window_start = selection.window_video[kept], selection.window_start[kept]
    videos, video_of_window = np.unique(window_video, return_inverse=True)
    length = selection.params.window_length
    offsets = window_start[:, None] + np.arange(length)
    rows = index.offset[window_video][:, None] + offsets
    teacher = np.full((len(rows), length, len(teachers), 4), np.nan, np.float32)
    for k, name in enumerate(teachers):
        held = positive[window_video, k]
        teacher[held, :, k] = trajectories[name].boxes[
            trajectories[name].offset[window_video[held]][:, None] + offsets[held]
        ]
    used, source = selection.params, parse_spec(index.spec)
    return TransferSet(
        provenance=Provenance(
            pool=pool,
            teachers=tuple(teachers),
            beta=selection.betas[beta],
            window_length=length,
            window_stride=used.window_stride,
            windows_per_video=used.windows_per_video,
            seed=used.seed,
            absent_policy=used.absent,
            source_dataset=source.kind,
            source_split=source.split or "",
            source_fingerprint=index.fingerprint,
        ),
        video_name=tuple(index.names[v] for v in videos),
        video_length=index.lengths[videos].astype(np.int32),
        object_class=tuple(index.classes[v] for v in videos),
        window_video=video_of_window.astype(np.int32),
        window_start=window_start.astype(np.int32),
        ground_truth=index.ground_truth[rows],
        absent=index.absent[rows],
        teacher=teacher,
    )


@dataclass(frozen=True)
class Command:
    """Write the pixels of all windows, and a transfer set for every teacher, the pool, and every β.

    Example:
        python -m pipeline.pack
    """

    params: Path = places.PARAMS
    """The parameters."""

    def run(self) -> int:
        """Write frames.h5 and the sets."""
        params = read_params(self.params)
        index = Index.read()
        selection = read_selection(index)
        trajectories = read_trajectories(selection.teachers, index)
        refuse_outdated(selection, index, trajectories)
        write_frames(places.FRAMES, params, index, selection)
        pools = {**{name: [name] for name in selection.teachers}, POOL_FILES: selection.teachers}
        for pool, teachers in pools.items():
            for number, beta in enumerate(selection.betas):
                made = transfer_set(index, trajectories, selection, number, teachers, pool)
                write_set(places.transfer_set(pool, beta), made, places.FRAMES)
        print(
            f"{places.TRANSFER}: {counted(len(pools) * len(selection.betas), 'set')} over "
            f"{counted(len(selection.window_start), 'window')}"
        )
        return 0


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python -m pipeline.pack"))
