"""A transfer set as a map-style `torch.utils.data.Dataset` of windows.

    from torch.utils.data import DataLoader
    from datasets.transfer.torch import WindowDataset, collate_windows

    loader = DataLoader(WindowDataset("data/transfer/P-0.5.h5", crops=True), batch_size=24, shuffle=True,
                        num_workers=2, collate_fn=collate_windows)
    for batch in loader:
        batch["crops"]          # uint8 (B, L, 2, 3, 128, 128): F_{t-1} and F_t around the ground truth of t - 1
        batch["ground_truth"]   # float32 (B, L, 4)
        batch["teacher"]        # a list of B float32 (L, K, 4); K may differ between sets that are mixed

Worker processes may be forked or spawned: a reader opens its file again where it has to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets.boxes import is_valid
from datasets.transfer.reader import TransferReader
from datasets.transfer.window import Window

Sample = dict[str, Any]

_STACKED = ("ground_truth", "absent", "best", "crops", "index", "start")


class WindowDataset(Dataset[Sample]):
    """Windows of a transfer set; sample n is the set's window n.

    A sample is a dict of: index and start (int), video (str), ground_truth float32 (L, 4), absent bool (L,),
    teacher float32 (L, K, 4), iou float32 (L, K), best int64 (L,), all boxes (x, y, w, h) in source pixels; and

    - with `crops`, crops uint8 (L, 2, 3, size, size), RGB: [t, 0] shows frame t - 1 and [t, 1] frame t, both around
      the ground truth of t - 1, as the student sees them that follows it (Section 3.2); frame 0 shows itself
      twice. An absent target's last valid box is used, as the stored windows do.
    - else images, a list of L uint8 (3, h, w), RGB, which differ in size, and regions float32 (L, 4), where in the
      source image each lies.

    Args:
        path: The set.
        crops: Give fixed-size crops instead of the stored images.
        size: Width and height of the crops.
        context: How many times its box a crop is wide and high.
    """

    def __init__(self, path: Path | str, crops: bool = False, size: int = 128, context: float = 1.5) -> None:
        self.reader = TransferReader(Path(path))
        self.crops = crops
        self.size = size
        self.context = context

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.reader)

    def __getitem__(self, index: int) -> Sample:
        """Read, decode and crop one window."""
        window = self.reader[index]
        sample: Sample = {
            "index": window.index,
            "video": window.video,
            "start": window.start,
            "ground_truth": torch.from_numpy(window.ground_truth.copy()),
            "absent": torch.from_numpy(window.absent.copy()),
            "teacher": torch.from_numpy(window.teacher.copy()),
            "iou": torch.from_numpy(window.iou.copy()),
            "best": torch.from_numpy(window.best.astype(np.int64)),
        }
        if self.crops:
            sample["crops"] = self._crops(window)
        else:
            sample["images"] = [
                torch.from_numpy(image.transpose(2, 0, 1).copy()) for image in window.images()
            ]
            sample["regions"] = torch.from_numpy(window.regions)
        return sample

    def _crops(self, window: Window) -> torch.Tensor:
        window.images()
        valid = is_valid(window.ground_truth)
        if not valid.any():
            raise ValueError(f"window {window.index} ({window.video}) has no valid box to crop around")
        last = np.maximum.accumulate(np.where(valid, np.arange(len(valid)), int(valid.argmax())))
        crops = np.empty((len(window), 2, self.size, self.size, 3), dtype=np.uint8)
        for t in range(len(window)):
            before = max(t - 1, 0)
            box = window.ground_truth[last[before]]
            crops[t, 0] = window.crop(before, box, self.size, self.context).pixels
            crops[t, 1] = window.crop(t, box, self.size, self.context).pixels
        return torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 1, 4, 2, 3)))


def collate_windows(samples: list[Sample]) -> Sample:
    """Make a batch: what has one shape everywhere is stacked (B, ...), the rest stays a list of B."""
    batch: Sample = {}
    for key in samples[0]:
        values = [sample[key] for sample in samples]
        if key not in _STACKED:
            batch[key] = values
        elif isinstance(values[0], torch.Tensor):
            batch[key] = torch.stack(values)
        else:
            batch[key] = torch.tensor(values)
    return batch
