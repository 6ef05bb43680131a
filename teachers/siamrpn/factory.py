"""SiamRPN as a user names it in params.yaml: options in, a teacher out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import FilePath

from teachers.checkpoints import how_to_get, known
from teachers.devices import usable, use_threads
from teachers.options import TeacherConfigError
from teachers.siamrpn.anchors import Origin
from teachers.siamrpn.checkpoint import loaded
from teachers.siamrpn.engine import SiamRPNBatch, SiamRPNTeacher, prepared
from teachers.siamrpn.variants import VARIANTS, Start

VariantName = Literal[
    "slim",
    "siamrpn_alex_dwxcorr",
    "siamrpn_alex_dwxcorr_otb",
    "siamrpn_alex_dwxcorr_16gpu",
    "siamrpn_r50_l234_dwxcorr",
    "siamrpn_r50_l234_dwxcorr_otb",
    "siamrpn_r50_l234_dwxcorr_lt",
    "siamrpn_mobilev2_l234_dwxcorr",
    "dasiamrpn_vot",
    "dasiamrpn_otb",
    "dasiamrpn_big",
]

SLIM_WEIGHTS = Path(__file__).with_name("slim.safetensors")
"""The project's own weights, of `teachers.training.siamrpn`; slim.json beside them says how they came to be.

Other weights are other boxes: raise `SiamRPNBatch.version` with them.
"""


class SiamRpn(SiamRPNTeacher):
    """The SiamRPN family of pysot and DaSiamRPN, with their published checkpoints; or the project's slim one.

    Args:
        weights: The variant's checkpoint: a PyTorch file or safetensors. None: the project's own, of the variant
            `slim` (trained on procedural video only; not the published SiamRPN).
        variant: The name of pysot's experiment, or of DaSiamRPN's network. None: siamrpn_alex_dwxcorr if weights
            are given, else slim.
        device: "cpu", "cuda", "cuda:1" ...
        threads: Threads of one network call on the CPU, for the whole process; 0 leaves PyTorch's setting alone.
        start: Where the target's centre is at the start: see `variants.Start`.
        origin: Where the grid of anchors begins: see `anchors.Origin`.

    Raises:
        DataError: If the checkpoint cannot be read or is not the variant's.
        TeacherConfigError: If there is no such device here, `threads` is negative, or a published variant has no
            weights.
    """

    def __init__(
        self,
        weights: FilePath | None = None,
        variant: VariantName | None = None,
        device: str = "cpu",
        threads: int = 0,
        start: Start = "centre",
        origin: Origin = "floor",
    ) -> None:
        usable("siamrpn", device)
        use_threads("siamrpn", threads)
        name = variant or ("siamrpn_alex_dwxcorr" if weights else "slim")
        if weights is None and name != "slim":
            how = f". {how_to_get(known()[name])}" if name in known() else ""
            raise TeacherConfigError(
                f"siamrpn: variant = {name!r} needs weights, its published checkpoint{how}. Without weights and "
                "variant the project's own slim network tracks"
            )
        tuning = replace(VARIANTS[name].tuning, start=start, origin=origin)
        super().__init__(prepared(loaded(name, weights or SLIM_WEIGHTS), tuning, device))

    def batch(self, slots: int) -> SiamRPNBatch:
        """The same network and numbers for many videos at once."""
        return SiamRPNBatch(self._tracker, slots)
