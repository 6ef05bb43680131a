"""How well the value head judges: v_t against the rewards that followed, and the choices that it led to.

In training an episode ends after at most 32 frames, and the trackers return to the LSTM's first state after as many
(`trainer.trackers.memory`). So v_t is held against two returns:

- `rest`: the rewards from frame t to the LSTM's next return, discounted by γ: what v_t learned to expect with that γ.
  Where γ is near 1, part of any correlation with it is that fewer frames are left: the student may count.
- `ahead`: the rewards of the same number of frames for every t, not discounted. Counting does not help here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from datasets.boxes import overlap
from trainer.mdp import reward
from trainer.trackers.choice import Choice

Numbers = NDArray[np.float64]


def rewards(boxes: ArrayLike, truth: ArrayLike) -> Numbers:
    """r_t (Eq. 2) of boxes (T, 4) against the ground truth (T, 4)."""
    result: Numbers = reward(torch.from_numpy(overlap(boxes, truth))).numpy()
    return result


def return_rest(r: Numbers, period: int, gamma: float = 1.0) -> Numbers:
    """The discounted sum of rewards from each update to the last one before the LSTM returns, or to the end.

    Args:
        r: Rewards of the updates 1, 2, ..., (T,).
        period: The LSTM returns before the updates `period`, 2 `period`, ...; 0 for never.
        gamma: γ.
    """
    result = np.array(r, np.float64)
    for t in range(len(r) - 2, -1, -1):  # r[t] is of update t + 1, and r[t + 1] of the one after it
        if not period or (t + 2) % period:
            result[t] += gamma * result[t + 1]
    return result


def return_ahead(r: Numbers, horizon: int) -> Numbers:
    """The sum of `horizon` rewards from each update on; NaN where the video ends before, (T,)."""
    result = np.full(len(r), np.nan)
    if len(r) >= horizon:
        # Not by differences of a running sum, whose rounding would make constant rewards vary.
        result[: len(r) - horizon + 1] = np.lib.stride_tricks.sliding_window_view(r, horizon).sum(axis=1)
    return result


@dataclass
class Values:
    """One stream of judged boxes, over any number of videos: a tracker's own, or a teacher's.

    Args:
        period: Of the LSTM's returns.
        horizon: Frames of `ahead`.
        gamma: Discount of `rest`.
    """

    period: int
    horizon: int
    gamma: float = 1.0
    _rows: list[Numbers] = field(default_factory=list)

    def add(self, values: ArrayLike, r: Numbers, counted: NDArray[np.bool_]) -> None:
        """Add a video.

        Args:
            values: v_t for t = 1, 2, ..., (T,).
            r: r_t.
            counted: Frames with a target; the others have no reward, and their v_t is not asked for, (T,).
        """
        r = np.where(counted, r, 0.0)
        rest, ahead = return_rest(r, self.period, self.gamma), return_ahead(r, self.horizon)
        rows = np.stack([np.asarray(values, np.float64), r, rest, ahead], axis=1)
        self._rows.append(rows[counted])

    def summary(self) -> dict[str, float | int | None]:
        """Samples; Pearson's and Spearman's correlation of v_t with both returns and with r_t; the means.

        A correlation is None where a side does not vary.
        """
        rows = np.concatenate([np.empty((0, 4)), *self._rows])
        result: dict[str, float | int | None] = {"frames": len(rows)}
        for column, name in ((2, "rest"), (3, "ahead"), (1, "reward")):
            known = rows[np.isfinite(rows[:, column])]
            pair = known[:, 0], known[:, column]
            varies = len(known) > 1 and bool(np.ptp(pair[0]) > 0) and bool(np.ptp(pair[1]) > 0)
            result[f"pearson_{name}"] = float(stats.pearsonr(*pair)[0]) if varies else None
            result[f"spearman_{name}"] = float(stats.spearmanr(*pair)[0]) if varies else None
        result["mean_value"] = float(rows[:, 0].mean()) if len(rows) else None
        result["mean_reward"] = float(rows[:, 1].mean()) if len(rows) else None
        return result


@dataclass
class Picks:
    """How good a tracker's choices were, over any number of videos.

    Args:
        margin: A frame is decisive where the best and the worst IoU of those to choose from are further apart.
    """

    margin: float = 0.05
    frames: int = 0
    decisive: int = 0
    best: int = 0
    by_chance: float = 0.0
    chosen_overlap: float = 0.0
    best_overlap: float = 0.0
    mean_overlap: float = 0.0
    chosen: dict[str, int] = field(default_factory=dict)
    overlaps: dict[str, list[float]] = field(default_factory=dict)

    def add(self, choices: Sequence[Choice], truth: ArrayLike, counted: NDArray[np.bool_]) -> None:
        """Add a video.

        Args:
            choices: Of frames 1, 2, ..., (T,).
            truth: Ground truth, (T, 4).
            counted: Frames with a target, (T,).
        """
        for choice, target, present in zip(choices, np.asarray(truth), counted, strict=True):
            self.chosen[choice.chosen] = self.chosen.get(choice.chosen, 0) + 1
            if present:
                self._add(choice, {name: float(overlap(box, target)) for name, box in choice.boxes.items()})

    def _add(self, choice: Choice, overlaps: Mapping[str, float]) -> None:
        for name, value in overlaps.items():
            self.overlaps.setdefault(name, []).append(value)
        highest, own = max(overlaps.values()), overlaps[choice.chosen]
        self.frames += 1
        self.chosen_overlap += own
        self.best_overlap += highest
        self.mean_overlap += float(np.mean(list(overlaps.values())))
        if highest - min(overlaps.values()) > self.margin:
            self.decisive += 1
            self.best += own == highest
            self.by_chance += sum(value == highest for value in overlaps.values()) / len(overlaps)

    def summary(self) -> dict[str, object]:
        """Shares and mean IoUs; None where nothing was counted.

        `picks_best` is the share of decisive frames in which the chosen box had the highest IoU, `by_chance`
        what drawing one at random gets; `iou_chosen`, `iou_best`, `iou_random` are means over all frames
        counted of the chosen box, the best one and one at random; `iou` is each name's own mean; `fraction`
        who gave the box (Figure 6).
        """

        def share(part: float, whole: int) -> float | None:
            return part / whole if whole else None

        return {
            "frames": self.frames,
            "decisive": self.decisive,
            "picks_best": share(self.best, self.decisive),
            "by_chance": share(self.by_chance, self.decisive),
            "iou_chosen": share(self.chosen_overlap, self.frames),
            "iou_best": share(self.best_overlap, self.frames),
            "iou_random": share(self.mean_overlap, self.frames),
            "iou": {name: float(np.mean(values)) for name, values in self.overlaps.items()},
            "fraction": {n: share(c, sum(self.chosen.values())) for n, c in self.chosen.items()},
        }
