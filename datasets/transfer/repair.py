"""`python -m datasets repair`: a damaged set or frames.h5 made good again, from other files that have the same bytes.

What `validate` finds damaged is looked for by its digest; the repaired file is the file that was written, to the
byte, and takes the damaged one's place by rename, so nothing is written through a link into DVC's cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from numpy.typing import NDArray

from datasets.atomic import appearing, clear_leftovers, scratch_folder
from datasets.command_line import progress
from datasets.errors import DataError
from datasets.transfer.format import FORMAT, FRAMES_FORMAT
from datasets.transfer.making import counter, refuse_existing, tell
from datasets.transfer.mending import STRUCTURE, Findings, examine
from datasets.transfer.pixels import open_checked
from datasets.transfer.reader import linked_frames
from datasets.transfer.seal import Seal
from datasets.transfer.standalone import Advance, open_set, write_windows

_PACK = "build it again with `dvc repro --force --single-item pack`"
_SHOWN = 10
"""Rows that a message lists."""


@dataclass(frozen=True)
class Repair:
    """Repair a transfer set, and the frames.h5 that it links to, from files that hold the same bytes.

    A file is replaced only by what it was before it was damaged, to the byte. Where something is nowhere to be had,
    it is left as it is, and --drop writes the windows that are whole.

    Example:
        python -m datasets repair data/transfer/P-0.5.h5 --from /backup/transfer/P-0.5.h5 /backup/transfer/frames.h5
        python -m datasets repair data/transfer/P-0.5.h5 --drop P-0.5-rest.h5
    """

    file: tyro.conf.Positional[Path]
    """A transfer set, or a frames.h5."""
    others: Annotated[tuple[Path, ...], tyro.conf.arg(name="from")] = ()
    """Files to take from: frames.h5, exported sets, sets beside a frames.h5 (tables only); damaged ones, too."""
    drop: Path | None = None
    """Replace nothing; write this standalone set of the windows that are whole or can be repaired."""

    def run(self) -> int:
        """Repair and say what was done; 0."""
        with progress("images") as bar:
            reading = counter(bar, self.file.name)
            if self.drop is None:
                done = repair(self.file, self.others, reading)
            else:
                refuse_existing(self.drop)
                copying = counter(bar, self.drop.name)
                seal, lost = salvage(self.file, self.drop, self.others, reading, copying)
        if self.drop is None:
            print(*done, sep="\n")
            return 0
        tell(self.drop, seal)
        print(f"windows lost: {len(lost)}")
        for video, windows in groupby(lost, key=lambda window: window[0]):
            print(f"  {video}: from frame {', '.join(str(start) for _, start in windows)}")
        return 0


@dataclass(frozen=True)
class Repaired:
    """What was done to a file.

    Attributes:
        findings: What was damaged before.
        elsewhere: Where DVC's cache has the damaged file under another name, if it was a link and DVC's; or None.
    """

    findings: Findings
    elsewhere: str | None

    def __str__(self) -> str:
        """One or two lines for a terminal."""
        f = self.findings
        if f.whole:
            return f"{f.path}: whole, nothing to repair"
        what = [*f.parts, *([f"{len(f.rows)} images of frames/data"] if len(f.rows) else [])]
        if f.size != f.seal.size:
            what.append(f"its size, {f.size:,} bytes")
        text = f"{f.path}: repaired {', '.join(what)}; its fingerprint is again {f.seal.fingerprint}"
        if self.elsewhere:
            text += (
                "\n  It was a link, and its other name still holds the damage. In DVC's cache that is "
                f"{self.elsewhere}: delete it there, and then run `dvc commit --force`, which would else bring the "
                "damage back"
            )
        return text


def repair(
    path: Path, others: Sequence[Path] = (), advance: Advance = lambda _count, _total: None
) -> list[Repaired]:
    """Make a set and the frames.h5 that it links to, or a frames.h5, what they were when they were written.

    Args:
        path: The file. It needs as much room again while it is repaired.
        others: Files to take from.
        advance: Told the number of images read since the last call, and of all.

    Returns:
        What was done, for the file and for its frames.h5.

    Raises:
        DataError: If a file's seal is damaged, or bytes are nowhere to be had. That file is not replaced.
    """
    done = [_repair(path, others, advance)]
    with open_checked(path, (FORMAT, FRAMES_FORMAT)) as file:
        frames = linked_frames(path, file, whole=False)
    return done if frames is None else [*done, _repair(frames, others, advance)]


def _repair(path: Path, others: Sequence[Path], advance: Advance) -> Repaired:
    findings = examine(path, others, advance)
    _refuse_lost(findings, findings.lost_rows.tolist())
    linked = _is_link(path)
    if not findings.whole:
        clear_leftovers(path)
        with appearing(path) as temporary:
            findings.write(temporary)
            if not examine(temporary).whole:
                problem = (
                    "its repaired copy is damaged again: the disk is faulty, or a file changed meanwhile"
                )
                raise DataError(
                    path, problem, "Nothing was replaced: look at the disk, and run `repair` again"
                )
    return Repaired(findings, _name_in_cache(path) if linked and not findings.whole else None)


def _is_link(path: Path) -> bool:
    """Tell whether the file has another name, as where DVC links from its cache."""
    return path.is_symlink() or path.stat().st_nlink > 1


def _name_in_cache(path: Path) -> str:
    """Where DVC keeps a file of this content."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "md5").hexdigest()
    return f"files/md5/{digest[:2]}/{digest[2:]}"


def salvage(
    path: Path,
    out: Path,
    others: Sequence[Path] = (),
    reading: Advance = lambda _count, _total: None,
    copying: Advance = lambda _count, _total: None,
) -> tuple[Seal, list[tuple[str, int]]]:
    """Write a standalone set of the windows whose images are whole, or whole in other files.

    Args:
        path: A set. Neither it nor its frames.h5 is changed.
        out: The file to make. The folder needs room for a copy of what is repaired as well.
        others: Files to take from.
        reading: Told the number of images read since the last call, and of all.
        copying: Likewise of images written.

    Returns:
        The new file's seal; and the windows that it lacks, by video and first frame (0-based).

    Raises:
        DataError: If tables are damaged that no other file has, or no window is left.
    """
    with scratch_folder(out) as folder:
        findings = examine(path, others, reading)
        usable = _usable(findings, folder)
        with open_checked(usable, (FORMAT, FRAMES_FORMAT)) as file:
            if file.attrs["format"] == FRAMES_FORMAT:
                problem = "holds the images of several sets, and a part of it would belong to none of them"
                raise DataError(path, problem, "Use --drop on the sets, one after the other")
            frames = linked_frames(path, file, whole=False)
        if frames is not None:
            findings = examine(frames, others, reading)
            _usable(findings, folder)
        with open_set(usable) as opened:
            lost = np.isin(opened.tables["windows/frame"], findings.lost_rows)
            gone: NDArray[np.bool_] = np.asarray(lost.any(axis=1))
            if len(gone) and gone.all():
                raise DataError(
                    path,
                    f"each of its {len(gone)} windows has lost images",
                    f"Nothing can be kept: {_again(findings.path)}",
                )
            seal = write_windows(out, opened, copying, np.flatnonzero(~gone))
            names = opened.tables["videos/name"][opened.tables["windows/video"][gone]].tolist()
            starts = opened.tables["windows/start"][gone].tolist()
    return seal, [(name.decode(), start) for name, start in zip(names, starts, strict=True)]


def _usable(findings: Findings, folder: Path) -> Path:
    """The file in another folder, with what can be repaired: a link where nothing can or need be."""
    _refuse_lost(findings, [])
    usable = folder / findings.path.name
    if findings.patches or findings.size != findings.seal.size:
        findings.write(usable)
    else:
        usable.symlink_to(findings.path.absolute())
    return usable


def _refuse_lost(findings: Findings, rows: list[int]) -> None:
    """Raise where tables are lost, or these rows are."""
    if findings.lost_parts:
        problem = f"{', '.join(findings.lost_parts)}: damaged, and no other file has the same"
        hint = "Name a file that has it with --from"
        if STRUCTURE in findings.lost_parts:
            problem += " (it may be the seal that is damaged)"
            hint = "Put a copy of the whole file in its place"
        raise DataError(findings.path, problem, f"{hint}. Or {_again(findings.path)}")
    if rows:
        more = ", ..." if len(rows) > _SHOWN else ""
        which = ", ".join(map(str, rows[:_SHOWN])) + more
        problem = f"frames/data: {len(rows)} of {len(findings.rows)} damaged images are in no other file (rows {which})"
        remedy = "Name a file that has them with --from, or keep what is whole of a set with --drop"
        raise DataError(findings.path, problem, f"{remedy}. Or {_again(findings.path)}")


def _again(path: Path) -> str:
    """How DVC brings a file back. Where it is a link, the cache has the damage, and DVC would link to it again."""
    if _is_link(path):
        return (
            f"delete the damaged file in DVC's cache (`find -L .dvc/cache -samefile {path}` names it), and then "
            f"`dvc pull` it or {_PACK}"
        )
    return f"bring it back with `dvc checkout --force`, or {_PACK}"
