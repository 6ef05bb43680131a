"""The network of pysot's SiamRPN trackers: a trunk, perhaps a neck, a head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    from teachers.siamrpn.head import DepthwiseRPN, Kernels, MultiRPN
    from teachers.siamrpn.neck import AdjustAllLayer


class Network(Protocol):
    """What the tracker asks of a network: images are float (N, 3, S, S), BGR, 0 to 255, not normalised."""

    def template(self, exemplar: Tensor) -> Kernels:
        """Exemplars (N, 3, 127, 127) to what every later frame is compared with."""
        ...

    def __call__(self, search: Tensor, kernels: Kernels) -> tuple[Tensor, Tensor]:
        """Search regions (N, 3, S, S) to classes (N, 2 A, s, s) and boxes (N, 4 A, s, s).

        Of the classes, the first A channels are background, the others target.
        """
        ...


class SiamRPN(nn.Module):
    """Keys begin with `backbone.`, `neck.` and `rpn_head.`, as in pysot's checkpoints.

    Args:
        backbone: Gives one feature map per level.
        head: Takes as many.
        neck: Between them, or None.
    """

    def __init__(
        self, backbone: nn.Module, head: DepthwiseRPN | MultiRPN, neck: AdjustAllLayer | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        if neck is not None:
            self.neck = neck
        self.rpn_head = head

    def _features(self, images: Tensor) -> tuple[Tensor, ...]:
        levels: tuple[Tensor, ...] = self.backbone(images)
        return self.neck(levels) if hasattr(self, "neck") else levels

    def template(self, exemplar: Tensor) -> Kernels:
        """See `Network.template`."""
        return self.rpn_head.kernels(self._features(exemplar))

    def forward(self, search: Tensor, kernels: Kernels) -> tuple[Tensor, Tensor]:
        """See `Network.__call__`."""
        classes, boxes = self.rpn_head(self._features(search), kernels)
        return classes, boxes
