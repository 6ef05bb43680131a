"""The published trackers of the family: which network, and which numbers.

From pysot's yaml files and DaSiamRPN's `net.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from teachers.siamrpn.anchors import STRIDE, Origin
from teachers.siamrpn.backbones.alexnet import AlexNet, AlexNetLegacy
from teachers.siamrpn.backbones.mobilenet import MobileNetV2
from teachers.siamrpn.backbones.resnet import ResNet50
from teachers.siamrpn.dasiamrpn import DaSiamRPN
from teachers.siamrpn.head import DepthwiseRPN, MultiRPN
from teachers.siamrpn.neck import AdjustAllLayer
from teachers.siamrpn.network import SiamRPN

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from teachers.siamrpn.crop import Rounding

EXEMPLAR = 127
"""Side of the exemplar that every network takes."""

SLIM = (32, 64, 128, 128, 128)
"""Channels of the AlexNet that the project trains itself: a third of the published one's, and fewer."""

Start = Literal["centre", "pysot-init"]
"""Where a tracker takes the target's centre to be.

`centre` is x + w/2, as pysot's own evaluation (tools/test.py) and DaSiamRPN have it. `pysot-init` is x +
(w-1)/2, what pysot's `init(image, box)` makes of a box given as it is; all later boxes then lie half a pixel
up and left.
"""


@dataclass(frozen=True)
class LongTerm:
    """What SiamRPN++'s long-term tracker does when it has lost the target.

    Attributes:
        low: Below this score the target is lost, and the box stays where it was.
        high: Above this score it is found again.
        search: Side of the search region while lost.
        influence: The window's share while lost.
    """

    low: float
    high: float
    search: int = 831
    influence: float = 0.001


@dataclass(frozen=True)
class Tuning:
    """A tracker's numbers.

    Attributes:
        penalty_k: Strength of the penalty on changes of scale and aspect ratio.
        influence: The cosine window's share in a proposal's merit.
        rate: How fast the size follows, at penalty and score 1.
        search: Side of the search region that the network takes.
        base: Cells that the response map has more than (search - 127) / 8 + 1.
        small_search: Side of the search region for a target below 0.004 of the image at the start, or None.
        long_term: Behaviour when lost, or None to go on as ever.
        start: Where the target's centre is.
        origin: Where the grid of anchors begins.
        rounding: Where a half goes when a window's corner is rounded.
    """

    penalty_k: float
    influence: float
    rate: float
    search: int
    base: int = 0
    small_search: int | None = None
    long_term: LongTerm | None = None
    start: Start = "centre"
    origin: Origin = "floor"
    rounding: Rounding = "up"

    def response(self, search: int) -> int:
        """Cells along one side of the response map for a search region of that side."""
        return (search - EXEMPLAR) // STRIDE + 1 + self.base


@dataclass(frozen=True)
class Variant:
    """A published tracker.

    Attributes:
        build: Its network with the names and shapes of its checkpoint, untrained.
        tuning: Its numbers.
    """

    build: Callable[[], nn.Module]
    tuning: Tuning


def _alex() -> nn.Module:
    return SiamRPN(AlexNetLegacy(), DepthwiseRPN())


def _slim() -> nn.Module:
    return SiamRPN(AlexNetLegacy(SLIM), DepthwiseRPN(SLIM[-1]))


def _alex_by_layers() -> nn.Module:
    return SiamRPN(AlexNet(), DepthwiseRPN())


def _r50(weighted: bool = True, outputs: tuple[int, int, int] = (256, 256, 256)) -> nn.Module:
    backbone = ResNet50()
    return SiamRPN(backbone, MultiRPN(outputs, weighted), AdjustAllLayer(backbone.channels, outputs))


def _r50_unweighted() -> nn.Module:
    return _r50(weighted=False)


def _r50_long_term() -> nn.Module:
    return _r50(outputs=(128, 256, 512))


def _mobilenet() -> nn.Module:
    backbone, outputs = MobileNetV2(), (256, 256, 256)
    return SiamRPN(backbone, MultiRPN(outputs, weighted=False), AdjustAllLayer(backbone.channels, outputs))


def _big() -> nn.Module:
    return DaSiamRPN(width=2, features=512)


_ALEX = Tuning(penalty_k=0.16, influence=0.40, rate=0.30, search=287)
# It finds the place better than the size: changes of form are punished more, and the size follows slowly (slim.json).
_SLIM = Tuning(penalty_k=0.50, influence=0.40, rate=0.02, search=255)
_R50 = Tuning(penalty_k=0.05, influence=0.42, rate=0.38, search=255, base=8)
_VOT = Tuning(penalty_k=0.04, influence=0.44, rate=0.45, search=271, rounding="even")

VARIANTS = {
    "slim": Variant(_slim, _SLIM),
    "siamrpn_alex_dwxcorr": Variant(_alex, _ALEX),
    "siamrpn_alex_dwxcorr_otb": Variant(_alex, _ALEX),
    "siamrpn_alex_dwxcorr_16gpu": Variant(_alex_by_layers, _ALEX),
    "siamrpn_r50_l234_dwxcorr": Variant(_r50, _R50),
    "siamrpn_r50_l234_dwxcorr_otb": Variant(
        _r50_unweighted, replace(_R50, penalty_k=0.24, influence=0.50, rate=0.25)
    ),
    "siamrpn_r50_l234_dwxcorr_lt": Variant(
        _r50_long_term, replace(_R50, influence=0.28, rate=0.22, long_term=LongTerm(0.80, 0.998))
    ),
    "siamrpn_mobilev2_l234_dwxcorr": Variant(
        _mobilenet, replace(_R50, penalty_k=0.04, influence=0.40, rate=0.50)
    ),
    "dasiamrpn_vot": Variant(DaSiamRPN, _VOT),
    "dasiamrpn_otb": Variant(DaSiamRPN, replace(_VOT, penalty_k=0.22, influence=0.40, rate=0.30)),
    "dasiamrpn_big": Variant(
        _big, replace(_VOT, penalty_k=0.055, influence=0.42, rate=0.295, small_search=287)
    ),
}
"""By the names of pysot's experiments; DaSiamRPN's are SiamRPNVOT, SiamRPNOTB and SiamRPNBIG."""
