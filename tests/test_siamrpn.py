"""The native SiamRPN family: equality with upstream's boxes, many videos at once, bad checkpoints, crops."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
from golden_sequence import golden_state, sequence
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from datasets.errors import DataError
from teachers.base import BatchTeacher, Image, Task, Teacher, TeacherError, checked_box
from teachers.options import TeacherConfigError, checked_options
from teachers.siamrpn import SiamRpn, products
from teachers.siamrpn.acceleration import PointwiseConv2d, accelerate
from teachers.siamrpn.anchors import anchors, cosine_window
from teachers.siamrpn.backbones.alexnet import AlexNetLegacy
from teachers.siamrpn.crop import Colour, Window, average_colour, brought, patch, resample, window_at
from teachers.siamrpn.decode import choose
from teachers.siamrpn.engine import SiamRPNBatch, SiamRPNTeacher, prepared, tracker
from teachers.siamrpn.folding import fold
from teachers.siamrpn.head import DepthwiseRPN, Kernels, correlate_depthwise
from teachers.siamrpn.network import SiamRPN
from teachers.siamrpn.positions import Positions
from teachers.siamrpn.tracker import State, Tracker
from teachers.siamrpn.variants import EXEMPLAR, VARIANTS, LongTerm
from teachers.siamrpn.winograd import WinogradConv2d
from teachers.weights import fit, load_state

CPU = torch.device("cpu")
GOLDEN = json.loads((Path(__file__).parent / "siamrpn_golden.json").read_text())
TASK = Task("video", 20)


pytestmark = pytest.mark.usefixtures("one_thread")


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


FRAMES, BOXES = sequence()


# Equality with upstream


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("siamrpn_alex_dwxcorr", 19),
        ("dasiamrpn_vot", 19),
        ("siamrpn_mobilev2_l234_dwxcorr", 6),
        ("siamrpn_r50_l234_dwxcorr", 2),
    ],
)
def test_boxes_equal_upstreams(name: str, count: int, tmp_path: Path):
    golden, variant = GOLDEN[name], VARIANTS[name]
    state = golden_weights(variant.build(), golden["factor_cls"], golden["factor_loc"])
    path = tmp_path / "model.pth"
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 20}, path)
    upstream = {"origin": "true"} if name == "dasiamrpn_vot" else {"start": "pysot-init"}
    teacher = SiamRpn(weights=path, variant=name, threads=1, **upstream)
    engine = teacher.batch(2)
    np.testing.assert_array_equal(engine.start(1, FRAMES[0], BOXES[0], TASK), BOXES[0])
    boxes, scores = [], []
    for frame in FRAMES[1 : count + 1]:
        boxes.append(engine.step({1: frame})[1])
        scores.append(engine.score(1))
    np.testing.assert_allclose(boxes, golden["boxes"][:count], atol=0.01, rtol=0)
    np.testing.assert_allclose(scores, golden["scores"][:count], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_its_shapes(name: str):
    variant = VARIANTS[name]
    with torch.device("meta"):
        network = variant.build().eval()
        kernels = network.template(torch.empty(3, 3, EXEMPLAR, EXEMPLAR))
        for search in {variant.tuning.search, variant.tuning.small_search or 287, 831}:
            classes, boxes = network(torch.empty(3, 3, search, search), kernels)
            side = variant.tuning.response(search)
            assert classes.shape == (3, 10, side, side)
            assert boxes.shape == (3, 20, side, side)


# The protocol, many videos at once


def test_one_video_at_a_time_and_the_batch_agree_to_the_last_bit():
    shared = small_tracker()
    teacher, batch = SiamRPNTeacher(shared), SiamRPNBatch(shared, 2)
    assert isinstance(teacher, Teacher)
    assert isinstance(batch, BatchTeacher)
    videos = {
        name: ([FRAMES[(first + i) % 20] for i in range(length)], BOXES[first] + [shift, 0, 0, 0])
        for name, first, length, shift in (("a", 0, 9, 0), ("b", 3, 4, 5), ("c", 7, 6, -9), ("d", 2, 3, 30))
    }
    alone = {}
    for name, (frames, box) in videos.items():
        start = teacher.start(frames[0], box, Task(name, len(frames)))
        alone[name] = [start, *(teacher.track(frame) for frame in frames[1:])]

    for order in (["a", "b", "c", "d"], ["d", "c", "b", "a"], ["c", "a", "d", "b"]):
        waiting, busy, found = list(order), {}, {name: [] for name in videos}
        while waiting or busy:
            for slot in range(batch.slots):
                if slot not in busy and waiting:
                    name = waiting.pop(0)
                    frames, box = videos[name]
                    found[name].append(batch.start(slot, frames[0], box, Task(name, len(frames))))
                    busy[slot] = name
            answers = batch.step({s: videos[name][0][len(found[name])] for s, name in busy.items()})
            for slot, box in answers.items():
                found[busy[slot]].append(box)
                if len(found[busy[slot]]) == len(videos[busy[slot]][0]):
                    batch.release(slot)
                    del busy[slot]
        for name, boxes in alone.items():
            np.testing.assert_array_equal(found[name], boxes)


def test_one_call_for_many_videos_gives_the_same_boxes():
    one, many = small_tracker(), small_tracker(together=8)
    states = [one.begin(FRAMES[t], BOXES[t]) for t in (0, 4, 9)]
    apart, joint = states, states
    for step in range(4):
        images = [FRAMES[t + step] for t in (1, 5, 10)]
        apart, joint = one.step(apart, images), many.step(joint, images)
        for a, b in zip(apart, joint, strict=True):
            np.testing.assert_allclose(a.box, b.box, atol=1e-3)


def test_a_step_changes_no_state():
    shared = small_tracker()
    state = shared.begin(FRAMES[0], BOXES[0])
    first, second = (shared.step([state], [FRAMES[1]])[0] for _ in range(2))
    np.testing.assert_array_equal(first.box, second.box)
    np.testing.assert_array_equal(state.box, BOXES[0])


def test_the_batch_shrinks_when_memory_runs_out():
    whole = small_tracker(together=8)
    calls = []

    class Tight(nn.Module):
        def template(self, exemplar: torch.Tensor):
            return whole.network.template(exemplar)

        def forward(self, search: torch.Tensor, kernels: Kernels):
            calls.append(len(search))
            if len(search) > limit:
                raise torch.OutOfMemoryError("too much")
            return whole.network(search, kernels)

    limit = 2
    tight = Tracker(Tight(), whole.tuning, CPU, together=8)
    states = [tight.begin(FRAMES[t], BOXES[t]) for t in range(5)]
    images = [FRAMES[t + 1] for t in range(5)]
    for a, b in zip(tight.step(states, images), whole.step(states, images), strict=True):
        np.testing.assert_allclose(a.box, b.box, atol=1e-3)
    assert calls == [5, 2, 2, 1]
    tight.step(states, images)
    assert calls[4:] == [2, 2, 1]
    limit = 0
    with pytest.raises(TeacherError, match="no memory for a single video"):
        tight.step(states, images)


def test_only_the_broken_video_fails():
    shared = small_tracker()
    batch = SiamRPNBatch(shared, 2)
    batch.start(0, FRAMES[0], BOXES[0], TASK)
    batch.start(1, FRAMES[0], BOXES[0], TASK)
    batch._states[0] = replace(
        batch._states[0], kernels=tuple(k * torch.nan for k in batch._states[0].kernels)
    )
    answers = batch.step({0: FRAMES[1], 1: FRAMES[1]})
    assert isinstance(answers[0], TeacherError)
    assert "no finite proposal" in str(answers[0])
    checked_box(answers[1], "slot 1")
    teacher = SiamRPNTeacher(shared)
    with pytest.raises(TeacherError, match="started"):
        teacher.track(FRAMES[0])
    with pytest.raises(ValueError, match="no slot 2"):
        batch.start(2, FRAMES[0], BOXES[0], TASK)
    with pytest.raises(ValueError, match="slots = 0"):
        SiamRPNBatch(shared, 0)


# Borders of the image


@pytest.mark.parametrize(
    "box",
    [(-30, -20, 60, 50), (300, 220, 60, 50), (0, 0, 320, 240), (-900, -900, 2500, 2500), (5, 5, 0.5, 0.5)],
)
def test_boxes_at_the_border_are_tracked(box: tuple[float, ...]):
    shared = small_tracker()
    state = shared.begin(FRAMES[0], np.array(box, np.float32))
    for frame in FRAMES[1:4]:
        (state,) = shared.step([state], [frame])
        x, y, w, h = checked_box(state.box, "border").tolist()
        assert 0 <= x + w / 2 <= 320
        assert 0 <= y + h / 2 <= 240
        assert 10 <= w <= 320
        assert 10 <= h <= 240


@pytest.mark.parametrize("box", [(400, 10, 20, 20), (-50, 10, 20, 20), (10, 10, 0, 20), (np.nan, 1, 2, 3)])
def test_a_box_without_a_pixel_is_refused(box: tuple[float, ...]):
    with pytest.raises(TeacherError, match="no pixel in the image of 320 x 240"):
        small_tracker().begin(FRAMES[0], np.array(box, np.float32))


def test_the_first_centre_and_the_small_target_follow_the_tuning():
    box = np.array([100, 100, 15, 15], np.float32)
    centres = [small_tracker(start=start).begin(FRAMES[0], box).centre for start in ("centre", "pysot-init")]
    assert centres == [(107.5, 107.5), (107.0, 107.0)]
    assert small_tracker(small_search=311).begin(FRAMES[0], box).search == 311
    assert small_tracker(small_search=311).begin(FRAMES[0], BOXES[0]).search == 287


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
    np.testing.assert_array_equal(both[0], expected)
    np.testing.assert_array_equal(both[1], padded_crop(image, other, size, fill))
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


def test_the_long_term_tracker_waits_and_looks_wider():
    tuning = replace(VARIANTS["siamrpn_alex_dwxcorr"].tuning, long_term=LongTerm(0.8, 0.998, search=415))
    searched = []

    class Sure(nn.Module):
        logit = 0.0

        def template(self, exemplar: torch.Tensor):
            return (exemplar[:, :1, :1, :1],)

        def forward(self, search: torch.Tensor, kernels: Kernels):
            searched.append(search.shape[-1])
            side = tuning.response(search.shape[-1])
            classes = torch.zeros(1, 10, side, side)
            classes[:, 5:] = self.logit
            return classes, torch.full((1, 20, side, side), 0.1)

    network = Sure()
    shared = Tracker(network, tuning, CPU)
    state = shared.begin(FRAMES[0], BOXES[0])
    history = []
    for logit in (0.0, 3.0, 9.0, 9.0):
        network.logit = logit
        before = state
        (state,) = shared.step([state], [FRAMES[1]])
        assert isinstance(state, State)
        history.append((state.lost, state.centre != before.centre))
    assert history == [(True, False), (True, True), (False, True), (False, True)]
    assert searched == [287, 415, 415, 287]


# The fast paths


def test_folding_keeps_the_network():
    network = small_network()
    network.load_state_dict(golden_weights(network))
    network.eval()
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
    network = accelerate(fold(VARIANTS["siamrpn_alex_dwxcorr"].build()))
    names = [name for name, module in network.named_modules() if isinstance(module, WinogradConv2d)]
    assert names == [f"backbone.features.{i}" for i in (4, 8, 11, 14)] + [
        "rpn_head.cls.conv_search.0",
        "rpn_head.loc.conv_search.0",
    ]


def test_the_correlation_of_many_videos_is_each_ones_own():
    torch.manual_seed(9)
    x, k = torch.randn(3, 4, 9, 9), torch.randn(3, 4, 5, 5)
    together = correlate_depthwise(x, k)
    for n in range(3):
        alone = correlate_depthwise(x[n : n + 1], k[n : n + 1])
        torch.testing.assert_close(together[n : n + 1], alone, rtol=1e-5, atol=1e-5)


# Checkpoints


@pytest.fixture
def checkpoint(tmp_path: Path):
    path = tmp_path / "small.pth"
    torch.save(golden_weights(small_network()), path)
    return path


def load(path: Path):
    return tracker(small_network(), VARIANTS["siamrpn_alex_dwxcorr"].tuning, path)


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("should-never-exist",))


def test_every_form_of_a_checkpoint_loads(checkpoint: Path, tmp_path: Path):
    state = golden_weights(small_network())
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 1}, tmp_path / "nested.pth"
    )
    uncounted = {k: v for k, v in state.items() if "num_batches" not in k}
    safetensors.torch.save_file(uncounted, tmp_path / "new.safetensors")
    for path in (checkpoint, *(tmp_path / n for n in ("old.pth", "nested.pth", "new.safetensors"))):
        network = small_network()
        fit(network, load_state(path), path)
        for key, value in network.state_dict().items():
            assert torch.equal(value, state[key])


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("form", ["zip", "stream", "safetensors"])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, keep: float, form: str):
    state = golden_weights(small_network())
    path = tmp_path / ("cut.safetensors" if form == "safetensors" else "cut.pth")
    if form == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(DataError, match=r"cut\.(pth|safetensors).*Download the checkpoint again"):
        load(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_code_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    torch.save({"weight": Malicious()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match=r"evil\.pth: the checkpoint holds pickled code \(posix\.mkdir\)"):
        load(path)
    path.write_bytes(pickle.dumps(Malicious(), protocol=2))
    with pytest.raises(DataError, match=r"evil\.pth"):
        load(path)
    torch.save(small_network(), path)
    with pytest.raises(DataError, match=r"holds pickled code .*state_dict alone"):
        load(path)
    assert not (tmp_path / "should-never-exist").exists()


def test_another_networks_checkpoint_says_what_differs(checkpoint: Path, tmp_path: Path):
    state = load_state(checkpoint)
    del state["rpn_head.cls.head.0.weight"]
    state["backbone.features.4.weight"] = torch.zeros(8, 9, 5, 5)
    state["fc.weight"] = torch.zeros(1)
    path = tmp_path / "other.pth"
    torch.save(state, path)
    with pytest.raises(DataError) as error:
        load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: this checkpoint does not fit SiamRPN (1 missing: ")
    assert "1 missing: rpn_head.cls.head.0.weight" in message
    assert "1 of another shape: backbone.features.4.weight (8x9x5x5 instead of 8x8x5x5)" in message
    assert "1 unexpected: fc.weight" in message


def test_broken_or_foreign_content_is_refused(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    state = load_state(checkpoint)
    path = tmp_path / "odd.pth"
    torch.save({**state, "backbone.features.0.bias": torch.full((8,), torch.nan)}, path)
    with pytest.raises(DataError, match=r"1 tensors hold NaN or infinity: backbone\.features\.0\.bias"):
        load(path)
    for content, message in (([1, 2], "holds a list"), ({"epoch": 3}, "epoch are no tensors"), ({}, "empty")):
        torch.save(content, path)
        with pytest.raises(DataError, match=message):
            load(path)
    with pytest.raises(DataError, match="no such checkpoint"):
        load(tmp_path / "absent.pth")
    torch.save({**state, "mask_head.weight": torch.zeros(1)}, path)
    load(path)
    assert "mask_head.weight" in caplog.text


def test_options_are_checked(checkpoint: Path, tmp_path: Path):
    given = checked_options("siamrpn", SiamRpn, {"weights": str(checkpoint), "variant": "dasiamrpn_otb"})
    assert given == {"weights": checkpoint, "variant": "dasiamrpn_otb"}
    with pytest.raises(TeacherConfigError, match="variant = 'resnet'"):
        checked_options("siamrpn", SiamRpn, {"weights": str(checkpoint), "variant": "resnet"})
    with pytest.raises(TeacherConfigError, match="weights"):
        checked_options("siamrpn", SiamRpn, {"weights": str(tmp_path / "absent.pth")})
    with pytest.raises(TeacherConfigError, match="device = 'abacus'"):
        SiamRpn(weights=checkpoint, device="abacus")
    with pytest.raises(DataError, match="does not fit SiamRPN"):
        SiamRpn(weights=checkpoint)
