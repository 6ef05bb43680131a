"""The source videos as a worker process sees them: opened once per process, read one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets.errors import DataError
from datasets.spec import opened, parse_spec
from datasets.video import Video

_REMEDY = "Run `dvc repro --force index`, then `dvc repro`"


def read_annotations(
    spec: str, exclude: Path | None, names: Sequence[str]
) -> list[tuple[Video, str] | DataError]:
    """Read some videos and their digests; what is wrong with a video comes back in its place.

    The paths of the images stay in the worker: only the digest of them matters to the index.
    """
    answer: list[tuple[Video, str] | DataError] = []
    for name in names:
        try:
            video = _video(spec, exclude, name)
            bare = Video(video.name, (), video.ground_truth, video.absent, video.object_class, video.notes)
            answer.append((bare, video.digest()))
        except DataError as error:
            answer.append(error)
    return answer


def read_unchanged(spec: str, exclude: Path | None, name: str, digest: str) -> Video:
    """Read one video and make sure that it is still the one that was indexed.

    Raises:
        DataError: If its images or annotation changed since, or the dataset has it no longer.
    """
    try:
        video = _video(spec, exclude, name)
    except KeyError as error:
        problem = f"the video {name} was left out of its list, or excluded, since the dataset was indexed"
        raise DataError(parse_spec(spec).root, problem, _REMEDY) from error
    if video.digest() != digest:
        problem = "the video's images or annotation changed since the dataset was indexed"
        raise DataError(video.frames[0].parent, problem, _REMEDY)
    return video


def unreadable(broken: Sequence[DataError], videos: int, root: Path) -> DataError:
    """One error of all videos that cannot be read, so that a user need not meet them one by one."""
    shown = "\n  ".join(str(error) for error in broken[:10]) + ("\n  ..." if len(broken) > 10 else "")
    return DataError(
        root,
        f"{len(broken)} of {videos} videos cannot be read",
        f"Mend them, or name them in the file dataset.exclude:\n  {shown.removesuffix('.')}",
    )


def _video(spec: str, exclude: Path | None, name: str) -> Video:
    """Read a video, in a dataset opened anew where it has none of that name.

    A worker of a cluster outlives runs, and so may have opened the dataset before its lists changed.

    Raises:
        KeyError: If there is no such video.
    """
    try:
        return opened(spec, exclude)[name]
    except KeyError:
        opened.cache_clear()
        return opened(spec, exclude)[name]
