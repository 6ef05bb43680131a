"""Small SiamRPN networks with golden weights, the golden sequence, and upstream's boxes on it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from golden_sequence import golden_state, sequence
from torch import nn

from teachers.base import Task
from teachers.siamrpn.backbones.alexnet import AlexNetLegacy
from teachers.siamrpn.engine import prepared
from teachers.siamrpn.head import DepthwiseRPN
from teachers.siamrpn.network import SiamRPN
from teachers.siamrpn.tracker import Tracker
from teachers.siamrpn.variants import VARIANTS

CPU = torch.device("cpu")
GOLDEN = json.loads((Path(__file__).parent / "siamrpn_golden.json").read_text())
FRAMES, BOXES = sequence()
TASK = Task("video", 20)


def golden_weights(network: nn.Module, factor_cls: float = 1e-2, factor_loc: float = 1e-4):
    """Golden weights, with those of the first layer and of the heads' last ones made smaller, as upstream's were."""
    state = golden_state(network)
    for key in state:
        if any(
            part in key for part in ("features.0.weight", "backbone.conv1.weight", "featureExtract.0.weight")
        ):
            state[key] *= 0.01
        if key.startswith("conv_cls1.") or ("head.3." in key and ".cls." in key):
            state[key] *= factor_cls
        elif key.startswith("regress_adjust.") or "head.3." in key:
            state[key] *= factor_loc
    return state


def small_network(width: int = 8):
    return SiamRPN(AlexNetLegacy((width,) * 5), DepthwiseRPN(width))


def small_tracker(together: int | None = None, **tuning: object):
    network = small_network()
    network.load_state_dict(golden_weights(network, 0.05, 0.05))
    made = prepared(network, replace(VARIANTS["siamrpn_alex_dwxcorr"].tuning, **tuning))
    return Tracker(made.network, made.tuning, CPU, together)
