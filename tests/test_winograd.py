"""Convolutions by Winograd's method, against PyTorch's own in float64."""

from __future__ import annotations

import sys
import threading

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name for it
from torch import Tensor, nn

from trainer import team, winograd
from trainer.backbones import ResNet18
from trainer.winograd import Convolution, convolve, suits

SHAPES = [(3, 64, 64, 8, 12), (2, 64, 128, 16, 4), (1, 40, 70, 4, 4), (5, 130, 3, 4, 8)]
"""N, C, K, H, W."""


def inputs(N: int, C: int, K: int, H: int, W: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (N, C, H, W), (K, C, 3, 3), (N, K, H, W)
    x, weight, gradient = (torch.randn(shape, generator=generator) for shape in shapes)
    return x.requires_grad_(), weight.requires_grad_(), gradient


def close(found: Tensor, expected: Tensor) -> None:
    """To 2e-5 of the largest number: float32, and a method that adds and takes off up to eight times a number."""
    assert found.dtype == torch.float32
    torch.testing.assert_close(
        found.double(), expected, rtol=0, atol=2e-5 * float(expected.detach().abs().max())
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=["plain", "last"])
@pytest.mark.parametrize("near", [1, 600_000], ids=["in parts", "at once"])
def test_values_and_gradients_are_those_of_a_convolution(shape, order, near, monkeypatch):
    x, weight, gradient = inputs(*shape)
    expected = F.conv2d(x.double(), weight.double(), padding=1)
    monkeypatch.setattr(winograd, "_NEAR", near)
    given = [t.detach().to(memory_format=order).requires_grad_() for t in (x, weight)]
    found = convolve(*given)
    close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for mine, true in zip(
        torch.autograd.grad(found, given, gradient.to(memory_format=order)),
        torch.autograd.grad(expected, (x, weight), gradient.double()),
        strict=True,
    ):
        close(mine, true.double())


def test_few_filters_take_many_parts(monkeypatch):
    monkeypatch.setattr(winograd, "_NEAR", 1)
    x, weight, _ = inputs(3, 64, 4, 8, 8)
    images, filters = x.permute(0, 2, 3, 1), weight.permute(0, 2, 3, 1)
    assert winograd._parts(images, filters) == [slice(0, 1), slice(1, 2), slice(2, 3)]


@pytest.mark.parametrize("asked", [0, 1])
def test_one_gradient_alone_is_the_same(asked: int):
    x, weight, gradient = inputs(2, 64, 64, 8, 8)
    both = torch.autograd.grad(convolve(x, weight), (x, weight), gradient)
    other = (x, weight.detach()) if asked == 0 else (x.detach(), weight)
    (alone,) = torch.autograd.grad(convolve(*other), other[asked], gradient)
    assert torch.equal(alone, both[asked])


def test_what_was_worked_on_before_leaves_no_trace():
    x, weight, gradient = inputs(2, 64, 64, 8, 8)
    expected = torch.autograd.grad(convolve(x, weight), (x, weight), gradient)
    spoiled = torch.autograd.grad(convolve(x * torch.nan, weight), weight, gradient)[0]
    assert bool(spoiled.isnan().all())
    found = torch.autograd.grad(convolve(x, weight), (x, weight), gradient)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_threads_that_share_the_transforms_give_the_same_bits(shape, monkeypatch):
    x, weight, gradient = inputs(*shape)

    def found() -> list[Tensor]:
        y = convolve(x, weight)
        return [y, *torch.autograd.grad(y, (x, weight), gradient)]

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        together = found()
        monkeypatch.setattr(team, "_parallel", None)
        alone = found()
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch's OpenMP is GNU's on Linux alone")
def test_pytorchs_threads_are_found():
    assert team._parallel is not None


def test_learning_goes_on_after_inference(monkeypatch):
    monkeypatch.setattr(winograd, "_memory", threading.local())
    x, weight, _ = inputs(2, 64, 64, 8, 8)
    before = convolve(x, weight)
    with torch.inference_mode():
        expected = convolve(torch.cat([x] * 5), weight)[:2]
    found = convolve(x, weight)
    found.relu_().sum().backward()
    before.sum().backward()
    assert torch.equal(found, expected.relu())


@pytest.mark.parametrize("x", [(0, 64, 8, 8), (2, 64, 8, 6)], ids=str)
def test_what_it_cannot_do_is_refused(x):
    with pytest.raises(ValueError, match="are none for F"):
        convolve(torch.zeros(x), torch.zeros(64, 64, 3, 3))


def test_it_is_used_only_where_it_can_be_and_pays():
    x, weight = torch.zeros(8, 64, 8, 8), torch.zeros(64, 64, 3, 3)
    assert suits(x, weight)
    assert not suits(x[:7], weight)
    assert not suits(x[0], weight)
    assert not suits(x.double(), weight.double())
    assert not suits(x.to("meta"), weight.to("meta"))
    assert not suits(torch.zeros(8, 64, 10, 8), weight)
    assert not suits(torch.zeros(8, 32, 8, 8), torch.zeros(64, 32, 3, 3))
    with torch.autocast("cpu", torch.bfloat16):
        assert not suits(x, weight)


@pytest.mark.parametrize(("stride", "biased"), [(2, False), (1, True)])
def test_other_convolutions_are_pytorchs_own(stride: int, biased: bool):
    torch.manual_seed(0)
    layer = Convolution(64, 64, stride)
    if biased:
        layer.bias = nn.Parameter(torch.ones(64))
    x = torch.randn(8, 64, 8, 8)
    expected = F.conv2d(x, layer.weight, layer.bias, stride, 1)
    assert torch.equal(layer(x), expected)


def test_resnet18_is_the_same_network(monkeypatch):
    torch.manual_seed(0)
    network = ResNet18(128).eval()
    crops = torch.randn(32, 3, 128, 128)
    used = []
    monkeypatch.setattr(winograd, "convolve", lambda *given: used.append(1) or convolve(*given))
    found = network(crops)
    assert len(used) == 13
    monkeypatch.setattr(winograd, "suits", lambda *_: False)
    expected = network(crops)
    assert len(used) == 13
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.detach().abs().max()))
