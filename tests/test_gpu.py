"""Teachers on a GPU; skipped where there is none (`benchmarks/lockstep.py` has how fast they are there)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from eco_deep_checkpoint import write_checkpoint
from golden_sequence import sequence
from mdnet_samples import SLIM, UPSTREAM, followed, weighted
from mdnet_samples import golden_weights as mdnet_weights
from siamrpn_samples import GOLDEN, golden_weights, small_network

from datasets import open_dataset
from pipeline.follow import follow
from pipeline.lockstep import Lockstep
from teachers.base import Box, Task
from teachers.eco.deep import EcoDeep
from teachers.external.checkout_worker.torch_repairs import answer_on_the_cpu
from teachers.gpu.space_to_depth import folded
from teachers.gpu.upload import room, uploaded
from teachers.mdnet import Mdnet, classifier
from teachers.mdnet.budget import Budget
from teachers.mdnet.crop import crop_on_device, padded
from teachers.mdnet.first_training import FirstTraining
from teachers.mdnet.memory import Rows
from teachers.mdnet.normalised_pool import by_operators, normalised_pool
from teachers.mdnet.training import Examples, train
from teachers.siamrpn import SiamRpn
from teachers.siamrpn.crop import Window, average_colour, patch, resample
from teachers.siamrpn.engine import SiamRPNBatch, SiamRPNTeacher, prepared
from teachers.siamrpn.variants import VARIANTS

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="PyTorch finds no GPU here: teachers on a GPU are not tested"
)

CUDA = "cuda"
FRAMES, BOXES = sequence()
TASK = Task("video", len(FRAMES))


@pytest.fixture
def full_precision(monkeypatch: pytest.MonkeyPatch):
    """Convolutions in float32: PyTorch lets cuDNN round their operands to TF32's ten bits by default."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def siamrpn(name: str, path: Path) -> SiamRpn:
    golden = GOLDEN[name]
    torch.save(golden_weights(VARIANTS[name].build(), golden["factor_cls"], golden["factor_loc"]), path)
    upstream = {"origin": "true"} if name == "dasiamrpn_vot" else {"start": "pysot-init"}
    return SiamRpn(weights=path, variant=name, device=CUDA, **upstream)


@pytest.mark.parametrize(
    "name",
    [
        "siamrpn_alex_dwxcorr",
        "dasiamrpn_vot",
        "siamrpn_mobilev2_l234_dwxcorr",
        "siamrpn_r50_l234_dwxcorr",
    ],
)
def test_siamrpn_gives_upstreams_boxes(name: str, tmp_path: Path, full_precision: None):
    engine = siamrpn(name, tmp_path / "model.pth").batch(2)
    for slot in range(2):
        engine.start(slot, FRAMES[0], BOXES[0], TASK)
    found = [engine.step({0: frame, 1: frame}) for frame in FRAMES[1:]]
    for slot in range(2):
        np.testing.assert_allclose(
            [answer[slot] for answer in found], GOLDEN[name]["boxes"][: len(found)], atol=0.01, rtol=0
        )


def test_siamrpn_in_tf32_stays_near_upstreams_boxes(tmp_path: Path):
    name = "siamrpn_alex_dwxcorr"
    engine = siamrpn(name, tmp_path / "model.pth").batch(1)
    engine.start(0, FRAMES[0], BOXES[0], TASK)
    boxes = [engine.step({0: frame})[0] for frame in FRAMES[1:]]
    np.testing.assert_allclose(boxes, GOLDEN[name]["boxes"][: len(boxes)], atol=1.0, rtol=0)


def test_search_regions_are_those_of_the_cpu_to_the_last_bit():
    windows = [Window(-20, 30, 121), Window(200, 150, 190), Window(50, 60, 40)]
    images, fills = FRAMES[:3], [average_colour(frame) for frame in FRAMES[:3]]
    found = resample(images, windows, 127, fills, torch.device(CUDA)).cpu().numpy()
    assert found.shape == (3, 16, 64, 64), "made by operators, not by the one kernel"
    for image, window, fill, crop in zip(images, windows, fills, found, strict=True):
        expected = torch.from_numpy(patch(image, window, 127, fill)).permute(2, 0, 1)
        np.testing.assert_array_equal(crop, folded(expected[None].float())[0])


def test_images_in_pinned_memory_arrive_though_it_is_used_again():
    """Each is let go of while its copy waits behind the device's other work, and its memory serves the next."""
    device, busy = torch.device(CUDA), torch.rand(4096, 4096, device=CUDA)
    arrived = []
    for number in range(40):
        for _ in range(4):
            busy = (busy @ busy).clamp(0, 1)
        pixels = room((480, 640, 3), device)
        pixels[:] = number
        arrived.append(uploaded(pixels.reshape(-1, 3), device))
        del pixels
    assert [int(x.min()) for x in arrived] == [int(x.max()) for x in arrived] == list(range(40))


def test_mdnets_patches_are_those_of_the_cpu_to_the_last_bit():
    boxes = np.array([[90, 80, 48, 64], [-30, -20, 70, 90], [280.3, 200.7, 60, 60]], np.float32)
    owner = np.array([0, 0, 1])
    cpu, cuda = (
        crop_on_device([padded(frame, torch.device(device)) for frame in FRAMES[:2]], owner, boxes)
        for device in ("cpu", CUDA)
    )
    assert cuda.shape == (3, 16, 54, 54), "made by operators, not by the one kernel"
    assert torch.equal(folded(cpu), cuda.cpu())


def test_mdnets_one_kernel_is_its_operators(caplog: pytest.LogCaptureFixture):
    for channels, size in ((96, 51), (256, 11), (7, 5)):
        x = 100 * torch.randn(4, channels, size, size, generator=torch.Generator().manual_seed(0)).to(CUDA)
        torch.testing.assert_close(normalised_pool(x), by_operators(x), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(normalised_pool(x).cpu(), normalised_pool(x.cpu()), rtol=1e-5, atol=1e-5)
        bias = 100 * torch.randn(channels, generator=torch.Generator().manual_seed(1)).to(CUDA)
        expected = normalised_pool(x + bias[:, None, None])
        torch.testing.assert_close(normalised_pool(x, bias), expected, rtol=1e-5, atol=1e-5)
    # Where it cannot be built, the operators have compared with themselves, and there is a warning.
    assert not caplog.records


def test_mdnets_first_training_replayed_is_its_training():
    initial = classifier.initial(weighted(SLIM).to(CUDA), torch.Generator().manual_seed(0))
    budget = Budget(first_positives=60, first_negatives=1500, first_iterations=20)
    replayed = FirstTraining(initial, budget, 1e-3)
    data = torch.Generator().manual_seed(5)
    for number, count in enumerate((1500, 1200)):
        positives = torch.rand(60 - number, SLIM.feature, generator=data).to(CUDA)
        negatives = (torch.rand(count, SLIM.feature, generator=data) - 0.05).to(CUDA)
        learned = []
        for train_it in (False, True):
            examples = Examples(
                Rows.all_of(positives),
                Rows.all_of(negatives),
                np.random.RandomState(number),
                torch.Generator(CUDA).manual_seed(number),
            )
            layers = classifier.Layers(*(t.clone() for t in initial.tensors()))
            if train_it:
                train(layers, layers.zeros(), [examples], budget.first_iterations, 1e-3)
            else:
                layers = replayed(positives, negatives, examples)
            learned.append(layers)
        for one, other, first in zip(*(layers.tensors() for layers in (*learned, initial)), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
            assert not torch.equal(one, first)


def test_mdnet_tracks_as_on_the_cpu(tmp_path: Path, full_precision: None):
    """Masks of dropout are drawn there, so boxes differ: by no more than between two seeds on the CPU."""
    path = tmp_path / "golden.pth"
    torch.save({"shared_layers": mdnet_weights()}, path)
    video = FRAMES[: len(UPSTREAM)]
    teacher = Mdnet(path, device=CUDA)
    boxes = followed(teacher, video)
    np.testing.assert_allclose(boxes, UPSTREAM, atol=15, rtol=0)
    batch = teacher.batch(3)
    for slot in range(3):
        batch.start(slot, video[0], boxes[0], TASK)
    for frame, box in zip(video[1:], boxes[1:], strict=True):
        for answer in batch.step(dict.fromkeys(range(3), frame)).values():
            assert not isinstance(answer, Exception), answer
            np.testing.assert_allclose(answer, box, atol=15, rtol=0)


def test_deep_eco_gives_upstreams_boxes(tmp_path: Path, full_precision: None):
    golden = json.loads((Path(__file__).parent / "eco_deep_golden.json").read_text())
    checkpoint = write_checkpoint(tmp_path / "resnet18_vggmconv1.pth")
    batch = EcoDeep(checkpoint, device=CUDA, dropout=False, division="true").batch(2)
    for slot in range(2):
        batch.start(slot, FRAMES[0], BOXES[0], TASK)
    found = [batch.step({0: frame, 1: frame}) for frame in FRAMES[1:13]]
    for slot in range(2):
        np.testing.assert_allclose(
            [answer[slot] for answer in found], golden["boxes"][:12], atol=0.01, rtol=0
        )


def test_pytracking_looks_up_scales_with_a_place_found_on_a_gpu():
    dcf = SimpleNamespace(max2d=lambda scores: (scores.amax((1, 2)), scores.flatten(1).argmax(1)))
    scores = torch.rand(5, 4, 4, device=CUDA)
    answer_on_the_cpu(dcf, "max2d")
    highest, _ = dcf.max2d(scores)
    scales = torch.linspace(0.9, 1.1, 5)
    assert scales[highest.max(dim=0).indices] == scales[int(scores.amax((1, 2)).argmax())]


def test_many_videos_at_once_give_the_boxes_of_one_at_a_time(small_videos: Path, full_precision: None):
    network = small_network(16)
    network.load_state_dict(golden_weights(network, 0.05, 0.05))
    tracker = prepared(network, replace(VARIANTS["siamrpn_alex_dwxcorr"].tuning), CUDA)
    lockstep = Lockstep(lambda slots: SiamRPNBatch(tracker, slots), 4, decoders=2)
    for video in open_dataset(f"got10k:{small_videos}:train"):
        alone = follow(SiamRPNTeacher(tracker), video)
        np.testing.assert_allclose(lockstep.track(video).boxes, alone.boxes, atol=0.01, rtol=0)


def test_a_gpu_without_enough_memory_is_given_fewer_videos(tmp_path: Path):
    """A real shortage: this process may take what is taken already and some megabytes."""
    engine = siamrpn("siamrpn_alex_dwxcorr", tmp_path / "model.pth").batch(64)
    wanted: list[dict[int, Box | Exception]] = []
    for limited in (False, True):
        for slot in range(64):
            engine.start(slot, FRAMES[0], BOXES[0], TASK)
        torch.cuda.empty_cache()
        if limited:
            spare = torch.cuda.memory_allocated() + (300 << 20)
            torch.cuda.set_per_process_memory_fraction(
                spare / torch.cuda.get_device_properties(0).total_memory
            )
        try:
            wanted.append(engine.step(dict.fromkeys(range(64), FRAMES[1])))
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
    assert engine._tracker._together < 64
    for slot in range(64):
        np.testing.assert_allclose(wanted[0][slot], wanted[1][slot], atol=0.5, rtol=0)
