"""A tracker of a user's checkout of pysot, driven as its `tools/test.py` drives it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import checkpoints, torch_repairs
from .channel import Message
from .refusal import Refusal, import_refusal

MADE_FOR = "pysot at commit d04028f (June 2025)"


class PySot:
    """Any experiment of pysot.

    Args:
        order: checkout, experiment (a folder of `experiments`), weights (its checkpoint), device, threads, trust,
            and start: "centre" (what tools/test.py passes) or "pysot-init" (the box as it is).

    Raises:
        Refusal: If the checkout cannot be imported, the checkpoint does not fit, or there is no such device.
    """

    def __init__(self, order: Message) -> None:
        checkout: str = order["checkout"]
        self.weights: list[str] = [order["weights"]]
        self._half = 0.5 if order["start"] == "centre" else 0.0
        torch_repairs.install()
        checkpoints.install(order["trust"])
        sys.path.insert(0, checkout)
        try:
            cfg = importlib.import_module("pysot.core.config").cfg
            cfg.merge_from_file(str(Path(checkout, "experiments", order["experiment"], "config.yaml")))
            cfg.CUDA = order["device"] != "cpu"
            model = importlib.import_module("pysot.models.model_builder").ModelBuilder()
            build = importlib.import_module("pysot.tracker.tracker_builder").build_tracker
        except Exception as error:
            raise import_refusal(error, checkout, MADE_FOR, ("pysot",)) from error
        self._load(model)
        self._tracker = build(model.eval().to(order["device"]))

    def _load(self, model: Any) -> None:  # noqa: ANN401 - pysot's ModelBuilder
        """Load the checkpoint: pysot's own loader needs a GPU, and overlooks what is missing."""
        path = self.weights[0]
        content = torch.load(path)
        state = content.get("state_dict", content) if isinstance(content, Mapping) else content
        if not isinstance(state, Mapping):
            raise Refusal(path, f"it holds a {type(state).__name__}, not named tensors", checkpoints.AGAIN)
        named = {str(k)[len("module.") if str(k).startswith("module.") else 0 :]: v for k, v in state.items()}
        own = model.state_dict()
        checkpoints.check_fit(path, [k for k in own if k not in named], len(own), "this experiment's network")
        model.load_state_dict({k: named[k] for k in own if k in named}, strict=False)

    def start(self, image: np.ndarray[Any, Any], box: list[float]) -> None:
        """Begin a video.

        Args:
            image: uint8 (H, W, 3), BGR.
            box: (x, y, w, h).
        """
        x, y, w, h = box
        with torch.no_grad():
            self._tracker.init(image, [x + self._half, y + self._half, w, h])

    def track(self, image: np.ndarray[Any, Any]) -> Any:  # noqa: ANN401 - what the tracker calls a box
        """The target's box in the next frame."""
        with torch.no_grad():
            return self._tracker.track(image)["bbox"]
