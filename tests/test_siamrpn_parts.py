"""SiamRPN's parts: crops, anchors and proposals as upstream's, fast paths as the plain network."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from siamrpn_samples import CPU, FRAMES, golden_weights, small_network
from torch import nn

from teachers.base import Image
from teachers.inference import products
from teachers.inference.acceleration import PointwiseConv2d, accelerate
from teachers.inference.folding import fold
from teachers.inference.positions import Positions
from teachers.inference.winograd import WinogradConv2d
from teachers.siamrpn.anchors import anchors, cosine_window
from teachers.siamrpn.crop import Colour, Window, average_colour, brought, patch, resample, window_at
from teachers.siamrpn.decode import choose
from teachers.siamrpn.engine import EXEMPLAR_ONLY
from teachers.siamrpn.head import correlate_depthwise
from teachers.siamrpn.variants import VARIANTS

pytestmark = pytest.mark.usefixtures("one_thread")


# The crop


def padded_crop(image: Image, window: Window, size: int, fill: Colour):
    """Cut from a padded copy of the whole image, as upstream does."""
    pad = 1200
    big = np.empty((image.shape[0] + 2 * pad, image.shape[1] + 2 * pad, 3), np.uint8)
    big[:] = fill
    big[pad:-pad, pad:-pad] = image
    y, x = window.y + pad, window.x + pad
    return cv2.resize(big[y : y + window.side, x : x + window.side], (size, size))


windows = st.builds(
    Window,
    st.integers(-400, 400),
    st.integers(-400, 400),
    st.integers(1, 600) | st.sampled_from([63, 126, 127]),
)


@settings(max_examples=60, deadline=None)
@given(window=windows, height=st.integers(1, 200), width=st.integers(1, 200), size=st.sampled_from([63, 127]))
def test_the_crop_is_upstreams_on_both_routes(window: Window, height: int, width: int, size: int):
    image = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)
    fill = average_colour(image)
    expected = padded_crop(image, window, size, fill)
    np.testing.assert_array_equal(patch(image, window, size, fill), expected)
    other = Window(0, 0, min(height, width))
    both = resample([image, image], [window, other], size, [fill, fill], CPU).numpy()
    np.testing.assert_array_equal(both[0].transpose(1, 2, 0), expected)
    np.testing.assert_array_equal(both[1].transpose(1, 2, 0), padded_crop(image, other, size, fill))
    # The same from images that were brought to the device whole, all or some of them.
    for second in (image, brought(image, CPU)):
        whole = resample([brought(image, CPU), second], [window, other], size, [fill, fill], CPU)
        np.testing.assert_array_equal(whole.numpy(), both)
    np.testing.assert_array_equal(average_colour(brought(image, CPU)), average_colour(image))


def test_a_huge_window_costs_no_memory():
    image = FRAMES[0]
    cut = patch(image, Window(-500_000, -500_000, 1_000_000), 127, average_colour(image))
    assert cut.shape == (127, 127, 3)
    assert (cut[0, 0] == average_colour(image)).all()


def test_corners_round_as_each_project_does():
    assert window_at((10.0, 11.0), 4) == (8, 9, 4)
    assert window_at((10.0, 11.0), 4, "even") == (8, 8, 4)
    assert window_at((10.0, -11.0), 5) == (7, -14, 5)


# Anchors and the choice of a proposal


def test_anchors_are_the_published_ones():
    grid = anchors(21, CPU).reshape(4, 5, 21, 21)
    sizes = grid[2:, :, 0, 0].T.int().tolist()
    assert sizes == [[104, 32], [88, 40], [64, 64], [40, 80], [32, 96]]
    assert grid[:2, 0, 0, 0].tolist() == [-80, -80]
    assert grid[:2, 3, 2, 5].tolist() == [-40, -64]
    assert torch.equal(anchors(19, CPU, "true")[:2], anchors(19, CPU)[:2] - 4)
    assert cosine_window(21, CPU).reshape(5, 21, 21)[2, 10, 10] == 1


def test_the_best_finite_proposal_is_chosen():
    side, count = 3, 5 * 9
    classes, boxes = torch.zeros(2, 2, count), torch.zeros(2, 4, count)
    classes[0, 1, 22], classes[0, 1, 13] = 9, 5
    boxes[0, 2, 22] = 200  # its width overflows
    boxes[1] = torch.nan
    anchor = anchors(side, CPU)
    sizes = torch.tensor([[64.0, 64.0], [64.0, 64.0]], dtype=torch.float64)
    influence = torch.tensor([0.1, 0.1], dtype=torch.float64)
    rows = choose(
        classes.reshape(2, 10, side, side),
        boxes.reshape(2, 20, side, side),
        anchor,
        cosine_window(side, CPU),
        sizes,
        0.0,
        influence,
    )
    assert rows[0, :4].tolist() == anchor[:, 13].tolist()
    assert rows[0, 5].item() == pytest.approx(1 / (1 + np.exp(-5)))
    assert rows[:, 6].tolist() == [1, 0]


def test_a_proposal_that_overflows_is_not_chosen_for_its_place_alone():
    """Its penalty is finite, 0; where the window counts most, its place in the middle would have it chosen."""
    classes, boxes = torch.zeros(1, 10, 3, 3), torch.zeros(1, 20, 3, 3)
    boxes.view(1, 4, 45)[0, 2, 4::9] = 200
    size, most = torch.tensor([[64.0, 64.0]], dtype=torch.float64), torch.tensor([0.9], dtype=torch.float64)
    (row,) = choose(classes, boxes, anchors(3, CPU), cosine_window(3, CPU), size, 0.1, most)
    assert row.isfinite().all() and row[6] == 1


# The fast paths


def test_folding_keeps_the_network():
    network = small_network()
    network.load_state_dict(golden_weights(network))
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.1  # not PyTorch's own
    draws = torch.Generator().manual_seed(0)
    z, x = (torch.rand(2, 3, side, side, generator=draws) * 255 for side in (127, 287))
    with torch.no_grad():
        expected = network(x, network.template(z))
        fold(network)
        for found, plain in zip(network(x, network.template(z)), expected, strict=True):
            # Of the largest output: what rounding leaves depends on the processor, and small outputs are differences.
            assert (found - plain).abs().max() < 5e-5 * plain.abs().max()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    with pytest.raises(ValueError, match="follows no convolution"):
        fold(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)))


@pytest.mark.parametrize("packed", [True, False])
@settings(max_examples=25, deadline=None)
@given(
    kernel=st.sampled_from([3, 5]),
    dilation=st.sampled_from([1, 2, 4]),
    padding=st.integers(0, 4),
    size=st.tuples(st.integers(18, 33), st.integers(18, 33)),
    videos=st.integers(1, 2),
)
def test_winograd_is_the_direct_convolution(
    packed: bool, kernel: int, dilation: int, padding: int, size: tuple[int, int], videos: int
):
    if packed and not products.has_onednn():
        pytest.skip("this PyTorch has no oneDNN")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(products, "has_onednn", lambda: packed)
        torch.manual_seed(kernel + dilation)
        conv = nn.Conv2d(7, 11, kernel, padding=padding, dilation=dilation)
        x = torch.randn(videos, 7, *size)
        with torch.no_grad():
            expected, found = conv(x), WinogradConv2d(conv)(x)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 3e-5


@pytest.mark.parametrize(("packed", "inputs"), [(True, 256), (True, 520), (False, 256)])
def test_the_products_do_not_depend_on_what_was_multiplied_before(
    packed: bool, inputs: int, monkeypatch: pytest.MonkeyPatch
):
    if packed and not products.has_onednn():
        pytest.skip("this PyTorch has no oneDNN")
    monkeypatch.setattr(products, "has_onednn", lambda: packed)
    torch.manual_seed(inputs)
    weights, rows = torch.randn(4, 256, inputs), torch.randn(700, 4, inputs)
    used = Positions(weights)
    for threads in (1, 2, 1):
        torch.set_num_threads(threads)
        # An exemplar, a search region, one of another size, a lost target's, and all again.
        for count in (4, 64, 36, 700, 64, 4):
            found = used(rows[:count])
            assert torch.equal(found, Positions(weights)(rows[:count]))
            expected = torch.einsum("rpi,poi->rpo", rows[:count], weights)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=5e-4)


def test_a_pointwise_convolution_is_a_product() -> None:
    torch.manual_seed(13)
    for bias in (True, False):
        conv = nn.Conv2d(13, 5, 1, bias=bias)
        x = torch.randn(2, 13, 4, 6)
        with torch.no_grad():
            torch.testing.assert_close(PointwiseConv2d(conv)(x), conv(x), rtol=1e-4, atol=1e-5)


def test_only_what_every_frame_passes_is_accelerated():
    network = accelerate(fold(VARIANTS["siamrpn_alex_dwxcorr"].build()), seldom=EXEMPLAR_ONLY)
    names = [name for name, module in network.named_modules() if isinstance(module, WinogradConv2d)]
    assert names == [f"backbone.features.{i}" for i in (4, 8, 11, 14)] + [
        "rpn_head.cls.conv_search.0",
        "rpn_head.loc.conv_search.0",
    ]


def test_what_cannot_be_accelerated_is_left_alone():
    layers = [
        nn.Conv2d(256, 256, 3, stride=2),
        nn.Conv2d(256, 256, 3, groups=2),
        nn.Conv2d(256, 256, 3, dilation=(1, 2)),
        nn.Conv2d(256, 256, (3, 5)),
        nn.Conv2d(256, 95, 3),
        nn.Conv2d(256, 256, 1, stride=2),
        nn.Conv2d(256, 256, 1, groups=2),
    ]
    network = accelerate(nn.Sequential(*layers, nn.Conv2d(256, 96, 3), nn.Conv2d(8, 4, 1, bias=False)))
    kinds = [type(module) for module in network]
    assert kinds == [nn.Conv2d] * len(layers) + [WinogradConv2d, PointwiseConv2d]


def test_the_correlation_of_many_videos_is_each_ones_own():
    torch.manual_seed(9)
    x, k = torch.randn(3, 4, 9, 9), torch.randn(3, 4, 5, 5)
    together = correlate_depthwise(x, k)
    for n in range(3):
        alone = correlate_depthwise(x[n : n + 1], k[n : n + 1])
        torch.testing.assert_close(together[n : n + 1], alone, rtol=1e-5, atol=1e-5)
