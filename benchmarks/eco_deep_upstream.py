"""Runs a user's checkout of pytracking's ECO on some images, in a process of its own, and times each frame.

Called by `benchmarks/eco_deep.py`; nothing of pytracking is part of this project. Its code is not changed: what a
modern PyTorch lacks is put in its way from outside. That is the place of a maximum on the CPU, where it is used;
`torch.rfft` and `torch.irfft`, which PyTorch 1.8 removed; `torchvision.models.resnet.model_urls`; modules that only its
plots, other trackers or the installation need; and that its list of tensors answers PyTorch's inquiries for
`__torch_function__`.

Usage: python benchmarks/eco_deep_upstream.py CHECKOUT WEIGHTS THREADS DEVICE DROPOUT(0|1) X,Y,W,H OUT.json IMAGE ...
"""

from __future__ import annotations

import importlib
import sys
import types
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import torch
from beside_upstream import set_threads, timed


def module(name: str, **members: object) -> None:
    """Put a module where an import will find it."""
    made = types.ModuleType(name)
    made.__dict__.update(members)
    made.__path__ = []
    sys.modules[name] = made
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, made)


def spectra() -> None:
    """The transforms of PyTorch before 1.8."""

    def rfft(x: torch.Tensor, signal_ndim: int) -> torch.Tensor:
        return torch.view_as_real(torch.fft.rfftn(x, dim=tuple(range(-signal_ndim, 0))))

    def irfft(x: torch.Tensor, signal_ndim: int, signal_sizes: Any = None) -> torch.Tensor:  # noqa: ANN401
        dims = tuple(range(-signal_ndim, 0))
        return torch.fft.irfftn(torch.view_as_complex(x.contiguous()), s=signal_sizes, dim=dims)

    torch.rfft, torch.irfft = rfft, irfft  # type: ignore[attr-defined]


def stand_ins(networks: Path) -> None:
    """Whatever the tracker imports and never uses, and the settings that it would write into the checkout."""
    if torch.version.cuda is None:
        # A torchvision built for CUDA registers its operators with a library that is not there.
        with suppress(RuntimeError):
            library = torch.library.Library("torchvision", "DEF")
            for name in ("nms", "qnms"):
                library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            sys.modules["_kept_alive"] = library  # type: ignore[assignment]
    resnet = importlib.import_module("torchvision.models.resnet")
    resnet.model_urls = {}  # type: ignore[attr-defined]
    for name in ("jpeg4py", "visdom", "visdom.server", "tikzplotlib", "timm", "timm.models"):
        module(name)
    module("timm.models.layers", DropPath=None, to_2tuple=None, trunc_normal_=None)
    settings = types.SimpleNamespace(network_path=str(networks), results_path="", segmentation_path="")
    module("pytracking.evaluation.local", local_env_settings=lambda: settings)
    module("ltr.admin.local", EnvironmentSettings=types.SimpleNamespace)
    module("ltr.external.PreciseRoIPooling")
    module("ltr.external.PreciseRoIPooling.pytorch")
    module("ltr.external.PreciseRoIPooling.pytorch.prroi_pool", PrRoIPool2D=None)


def tracker(weights: Path, device: str, dropout: bool) -> Any:  # noqa: ANN401 - the checkout's
    """ECO with its default parameters."""
    parameters = importlib.import_module("pytracking.parameter.eco.default").parameters()
    on_gpu = device != "cpu"
    parameters.use_gpu, parameters.device = on_gpu, device
    for feature in parameters.features.features:
        feature.use_gpu, feature.net_path = on_gpu, str(weights)
    if not dropout:
        del parameters.augmentation["dropout"]
    made = importlib.import_module("pytracking.tracker.eco").get_tracker_class()(parameters)
    made.visdom = None
    dcf = importlib.import_module("pytracking.libs.dcf")
    highest = dcf.max2d
    vars(dcf)["max2d"] = lambda scores: tuple(found.cpu() for found in highest(scores))
    lists = importlib.import_module("pytracking.libs.tensorlist").TensorList
    answer = lists.__getattr__

    def polite(self: object, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return answer(self, name)

    lists.__getattr__ = polite
    made.initialize_features()
    return made


def load(checkout: str, weights: str, dropout: bool, device: str = "cpu") -> Any:  # noqa: ANN401 - the checkout's
    """Put everything in place and build the tracker."""
    path = Path(weights).resolve()
    spectra()
    sys.path.insert(0, str(Path(checkout).resolve()))
    stand_ins(path.parent)
    return tracker(path, device, dropout)


def main() -> None:
    """Run it and write the seconds of the start and of each frame, and the boxes."""
    checkout, weights, threads, device, dropout, box, out, *images = sys.argv[1:]
    out_path = Path(out).resolve()
    set_threads(threads)
    eco = load(checkout, weights, dropout == "1", device)
    torch.manual_seed(0)
    first = [float(v) for v in box.split(",")]

    def step(t: int, image: Any) -> Any:  # noqa: ANN401 - the checkout's
        if t:
            return eco.track(image)["target_bbox"]
        eco.initialize(image, {"init_bbox": first})
        return first

    timed(images, lambda path: cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB), step, out_path)


if __name__ == "__main__":
    main()
