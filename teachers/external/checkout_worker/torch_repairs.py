"""What newer releases of PyTorch, torchvision and NumPy took from under the checkouts, put back from outside."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def rfft(signal: Tensor, signal_ndim: int, normalized: bool = False, onesided: bool = True) -> Tensor:
    """`torch.rfft` as it was until PyTorch 1.7: the last dimension holds real and imaginary parts."""
    dimensions = tuple(range(-signal_ndim, 0))
    transform = torch.fft.rfftn if onesided else torch.fft.fftn
    return torch.view_as_real(transform(signal, dim=dimensions, norm="ortho" if normalized else "backward"))


def irfft(
    signal: Tensor,
    signal_ndim: int,
    normalized: bool = False,
    onesided: bool = True,
    signal_sizes: Sequence[int] | None = None,
) -> Tensor:
    """`torch.irfft` as it was until PyTorch 1.7."""
    spectrum = torch.view_as_complex(signal.contiguous())
    dimensions = tuple(range(-signal_ndim, 0))
    norm = "ortho" if normalized else "backward"
    if not onesided:
        complete: Tensor = torch.fft.ifftn(spectrum, dim=dimensions, norm=norm).real
        return complete
    sizes = tuple(signal_sizes) if signal_sizes else None
    restored: Tensor = torch.fft.irfftn(spectrum, s=sizes, dim=dimensions, norm=norm)
    return restored


def install() -> None:
    """Give PyTorch and NumPy the names back that the checkouts use; what is there is left alone."""
    if not callable(getattr(torch, "rfft", None)):
        torch.rfft = rfft  # type: ignore[attr-defined]
    if not callable(getattr(torch, "irfft", None)):
        torch.irfft = irfft  # type: ignore[attr-defined]
    for name, kind in (("float", float), ("int", int), ("bool", bool), ("object", object)):
        if name not in vars(np):
            setattr(np, name, kind)


_torchvision_library: list[Any] = []


def import_torchvision() -> None:
    """Import torchvision, whichever build it is, with the addresses of weights that `ltr` imports from it.

    A build for CUDA beside a PyTorch without it cannot register its operators, and its import fails on their
    names. The networks use none of them, so that empty definitions are enough. Where there is no torchvision, the
    import in the checkout will say so.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library: Any = importlib.import_module("torch.library").Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _torchvision_library.append(library)
        importlib.import_module("torchvision")
    resnet = importlib.import_module("torchvision.models.resnet")
    if not hasattr(resnet, "model_urls"):
        resnet.model_urls = {}  # type: ignore[attr-defined]


def answer_on_the_cpu(module: Any, name: str) -> None:  # noqa: ANN401 - a module of the checkout
    """Have a function of a module, which returns tensors, return them on the CPU.

    pytracking finds the highest of its scores on a GPU and looks up scales and displacements, which lie on the CPU,
    with the place. PyTorch used to allow that.
    """
    function = getattr(module, name)

    def wrapped(*args: Any, **options: Any) -> tuple[Tensor, ...]:  # noqa: ANN401 - whatever the function takes
        return tuple(found.cpu() for found in function(*args, **options))

    setattr(module, name, wrapped)


def hide_dunders(kind: Any) -> None:  # noqa: ANN401 - TensorList or TensorDict of pytracking
    """Have a container's `__getattr__` deny the names that Python and PyTorch ask objects for.

    pytracking's containers answer for every method of a tensor, `__torch_function__` among them, and PyTorch then
    hands them its functions to carry out, which they cannot.
    """
    answer = kind.__getattr__

    def guarded(self: Any, name: str) -> Any:  # noqa: ANN401 - whatever the container answers
        if name.startswith("__"):
            raise AttributeError(name)
        return answer(self, name)

    kind.__getattr__ = guarded


def use_device(device: str, threads: int) -> None:
    """Set up PyTorch for a worker: the device it computes on, its threads, and reproducible convolutions.

    Raises:
        RuntimeError, AssertionError: If there is no such device here.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.empty(0, device=device)
    if device.startswith("cuda:"):
        torch.cuda.set_device(torch.device(device))
