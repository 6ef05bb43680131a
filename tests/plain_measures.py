"""The measures of the benchmarks as plain loops: one frame, one threshold at a time."""

import numpy as np


def iou(a, b):
    width = max(min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]), 0)
    if min(a[2], a[3], b[2], b[3]) <= 0:
        return 0.0
    return min(width * height / (a[2] * a[3] + b[2] * b[3] - width * height), 1.0)


def distance(a, b):
    return (
        ((a[0] + (a[2] - 1) / 2) - (b[0] + (b[2] - 1) / 2)) ** 2
        + ((a[1] + (a[3] - 1) / 2) - (b[1] + (b[3] - 1) / 2)) ** 2
    ) ** 0.5


def plain_otb(truths, results):
    """Scores as OTB, UAV123 and LaSOT average: per video, then over videos; frames without a number do not count."""
    success, precision = [], []
    for truth, boxes in zip(truths, results, strict=True):
        pairs = [(truth[0], truth[0]), *zip(boxes[1:], truth[1:], strict=True)]
        pairs = [(b, g) for b, g in pairs if not np.isnan(g).any()]
        ious = [iou(b, g) for b, g in pairs]
        success.append(np.mean([np.mean([o > t for o in ious]) for t in np.linspace(0, 1, 21)]))
        precision.append(np.mean([distance(b, g) <= 20 for b, g in pairs]))
    return np.mean(success), np.mean(precision)


def plain_got10k(truths, results, covers, sizes):
    """AO, SR.50, SR.75 as the GOT-10k toolkit: no first frame, no covered frame, boxes brought into the image."""
    ious = []
    for truth, boxes, cover, (width, height) in zip(truths, results, covers, sizes, strict=True):
        for b, g, c in list(zip(boxes, truth, cover, strict=True))[1:]:
            if c > 0:
                inside = []
                for x, y, w, h in (b, g):
                    x, y = min(max(x, 0), width), min(max(y, 0), height)
                    inside.append((x, y, min(max(w, 0), width - x), min(max(h, 0), height - y)))
                ious.append(iou(*inside))
    ious = np.array(ious)
    return ious.mean(), (ious > 0.5).mean(), (ious > 0.75).mean()
