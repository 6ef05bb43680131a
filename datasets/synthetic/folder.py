"""One video's folder, in GOT-10k's layout."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from datasets.synthetic.render import draw_frame
from datasets.synthetic.scene import Scene, plan

if TYPE_CHECKING:
    from pathlib import Path

    from datasets.synthetic.options import SyntheticOptions


def write_video(folder: Path, index: int, options: SyntheticOptions) -> int:
    """Write one video as `folder`/NAME, which appears by rename; returns its index.

    Args:
        folder: The split's folder.
        index: Which video, from 0.
        options: The rest.
    """
    scene = plan(index, options)
    temporary = folder / f".{scene.name}.tmp-{os.getpid()}"
    temporary.mkdir()
    boxes, absent, cover, cut = [], [], [], []
    for t in range(scene.length):
        frame = draw_frame(scene, t)
        jpeg = simplejpeg.encode_jpeg(
            frame.image, quality=options.quality, colorspace="BGR", colorsubsampling="420"
        )
        (temporary / f"{t + 1:08d}.jpg").write_bytes(jpeg)
        boxes.append(",".join(f"{v:.4f}" for v in frame.box.tolist()))
        cover.append(str(int(np.floor(8 * frame.visible + 0.5))))
        absent.append(str(int(frame.visible == 0)))
        cut.append(str(int(frame.cut)))
    for name, lines in (
        ("groundtruth.txt", boxes),
        ("absence.label", absent),
        ("cover.label", cover),
        ("cut_by_image.label", cut),
        ("meta_info.ini", _meta(scene)),
    ):
        (temporary / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.rename(folder / scene.name)
    return index


def _meta(scene: Scene) -> list[str]:
    """The lines of meta_info.ini; GOT-10k's toolkit splits each at its first ': '."""
    end = scene.length // 10
    return [
        "[METAINFO]",
        "url: none",
        "begin: 00:00:00",
        f"end: {end // 3600:02d}:{end // 60 % 60:02d}:{end % 60:02d}",
        "anno_fps: 10Hz",
        f"object_class: {scene.object_class}",
        "motion_class: synthetic",
        "major_class: synthetic",
        "root_class: synthetic",
        "motion_adverb: none",
        f"resolution: ({scene.size[0]}, {scene.size[1]})",
    ]
