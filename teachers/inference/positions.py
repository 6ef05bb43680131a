"""Many small matrix products in one call on the CPU: what Winograd's convolution does in the middle.

One call per product costs 5 to 10 us of Python and a meeting of all threads each time, which at 2 threads took a
third of the gain, and on a busy machine far more: every meeting waits for the thread that the system has put aside.
oneDNN's grouped 1x1 convolution is the same set of products, bit for bit, in one call; on one thread it takes 15 to
20 % less time than they do, on two it scales as one large product.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name for it
from torch import Tensor

from teachers.inference import products

_MOST_INPUTS = 512
"""Of one call. With more (ResNet's last level), oneDNN adds in another order in it, and it saves 7 % only."""
_CHEAP_TO_FILL = 256
"""Rows of zeros that cost no more than reordering: 256 x 256 to 512 x 512 matrices, 25 to 60 ms for 36 of them."""


class Positions:
    """One matrix per position, multiplied with the rows of that position.

    oneDNN wants the matrices in an order that depends on the numbers of rows and of threads (one of two for each of
    the teachers' layers), and takes up to 50 times longer where it finds the other. Only one is held, the search
    region's: a second one would double the memory. An exemplar's few rows are filled up with zeros to as many as
    the held order is for.

    Args:
        weights: (positions, outputs, inputs), float32; not kept where oneDNN reorders it.
    """

    def __init__(self, weights: Tensor) -> None:
        self.positions, self.outputs, self.inputs = weights.shape
        self._together = products.has_onednn() and self.inputs <= _MOST_INPUTS
        self._apart = [] if self._together else [products.packed(w) for w in weights]
        self._weights = weights.flatten(0, 1)[:, :, None, None] if self._together else torch.empty(0)
        self._threads = 0
        self._made_for = 0
        self._as_many: dict[int, int] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """(rows, positions, inputs) to (rows, positions, outputs)."""
        if not self._together:
            pairs = zip(x.unbind(1), self._apart, strict=True)
            return torch.stack([products.times(rows, weight) for rows, weight in pairs], 1)
        rows = len(x)
        filled = self._fitting(rows)
        x = F.pad(x, (0, 0, 0, 0, 0, filled - rows)) if filled > rows else x
        image = x.reshape(1, filled, 1, -1).permute(0, 3, 1, 2)
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            image, self._weights, None, [0, 0], [1, 1], [1, 1], self.positions, "none", [], ""
        )
        return out.permute(0, 2, 3, 1).reshape(filled, self.positions, self.outputs)[:rows]

    def _fitting(self, rows: int) -> int:
        """How many rows to multiply instead; reorders the matrices if they are in another order than that wants."""
        threads = torch.get_num_threads()
        if threads != self._threads:
            self._threads, self._made_for, self._as_many = threads, 0, {}
        if rows not in self._as_many:
            ordered = self._ordered(rows)
            if self._made_for and _order(ordered) == _order(self._weights):
                self._as_many[rows] = rows
            elif 0 < self._made_for - rows <= _CHEAP_TO_FILL:
                self._as_many[rows] = self._made_for
            else:
                self._weights, self._made_for, self._as_many = ordered, rows, {rows: rows}
        return self._as_many[rows]

    def _ordered(self, rows: int) -> Tensor:
        plain = self._weights.to_dense() if self._weights.is_mkldnn else self._weights
        size = [1, self.positions * self.inputs, rows, 1]
        ordered: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
            plain, [0, 0], [1, 1], [1, 1], self.positions, size
        )
        return ordered


def _order(weights: Tensor) -> list[int]:
    described: list[int] = torch.ops.mkldnn._get_mkldnn_serialized_md(weights).tolist()
    return described
