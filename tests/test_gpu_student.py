"""The student on a GPU: it learns, is saved and tracks as on the CPU, and no step waits for the device.

cuDNN's convolutions and LSTM use TF32 by default, of ten bits, and users keep that, for its speed. What is compared
here is the code, so TF32 is off, and what remains is the order of float32 sums.
"""

import shutil

import numpy as np
import pytest
import torch
from learning_runs import TINY, run_options, weights
from test_crops import crop_dense
from tracker_samples import BOX, Scripted, run, script, video

from teachers.base import Task
from trainer.crops import DEVIATION, MEAN, crop_batch, normalised
from trainer.cutouts import crop_uploaded
from trainer.episodes import Reader
from trainer.first_student import first_student
from trainer.interactions import Interactions
from trainer.learner import Learner
from trainer.options import (
    RECIPES,
    EpisodeOptions,
    LossOptions,
    MachineOptions,
    OptimiserOptions,
    TrainOptions,
)
from trainer.picking import HeldOutTracks
from trainer.processes import Processes
from trainer.student import Student, StudentOptions, load_student
from trainer.trackers import Inference, TrasBatch, TrasfustTracker, TrasTracker
from trainer.train import train
from trainer.validation import HeldOut, follow

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch.cuda.is_available() is false: there is no GPU here"
)
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def exact(one_thread, monkeypatch):
    """Convolutions and the LSTM in float32; matrix products are by default."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    assert not torch.backends.cuda.matmul.allow_tf32


def learner(windows, options, device):
    """As a run makes it."""
    numbers = list(range(options.students))
    student = first_student(options).to(device, memory_format=torch.channels_last)
    reader = Reader(options, windows, device)
    grows = [RECIPES[options.recipe].grows(n) for n in numbers]
    now = Interactions(options, reader, numbers, windows.length, options.student.width, grows, device)
    now.begin()
    return Learner(student, now, numbers, options, Processes(0, 1, device))


def by_products(images, places, sizes, boxes, size, context, device):
    """The crops of a GPU, on the CPU: the compiled ones are rounded to bytes."""
    return normalised(crop_dense(images, places, sizes, boxes, size, context, device))


def some(rng):
    """Images of several sizes, windows, sizes of the source images, and boxes across borders."""
    shapes = [(90, 120), (61, 47), (200, 30), (33, 35)]
    images = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in shapes]
    places = np.float32([[0, 0, 120, 90], [10, 20, 94, 122], [5, 0, 60, 400], [3, 3, 35, 33]])
    sizes = np.float32([[120, 90], [640, 360], [640, 400], [64, 64]])
    boxes = np.float32([[30.3, 20.7, 40, 31], [20, 30, 60, 80], [-20, -30, 100, 500], [10, 11, 3, 2]])
    return images, places, sizes, boxes


def test_crops_are_those_of_the_cpu_within_a_grey_level():
    images, *numbers = some(np.random.default_rng(3))
    tensors = [torch.from_numpy(a) for a in numbers]
    expected = crop_batch([torch.from_numpy(image) for image in images], *tensors, 64)
    there = [torch.from_numpy(image).to(CUDA) for image in images]
    whole = crop_batch(there, *(a.to(CUDA) for a in tensors), 64, device=CUDA)
    sent = crop_uploaded(images, *numbers, 64, 1.5, CUDA)
    level = 255 * torch.tensor(DEVIATION)[:, None, None]
    for found in (whole, sent):
        assert found.is_contiguous(memory_format=torch.channels_last)
        assert ((found.cpu() - expected).abs() * level).max() <= 1.02
    black = ((0 - torch.tensor(MEAN)) / torch.tensor(DEVIATION))[:, None]
    torch.testing.assert_close(whole[2, :, 0, :5].cpu(), black.expand(3, 5))


OPTIONS = {
    "segment": 3,
    "episode": EpisodeOptions(mirror=0.5, tint=0.3, shake=0.05),
    "loss": LossOptions(reinforcement_weight=0.1, tries=2),
    # RAdam's first five steps are not divided by the gradient's size, so differences stay as small as they are.
    "optimiser": OptimiserOptions(learning_rate=1e-2, scaling="none", updates=8, average=0.5),
}


@pytest.mark.parametrize("recipe", ["tras", "tras-judge"])
@pytest.mark.parametrize("backbone", ["tiny", "matching", "resnet18"])
def test_three_updates_are_those_of_the_cpu(windows, recipe, backbone, monkeypatch):
    """Sums of up to 1e4 terms in another order differ by 1e-5 at most; an update moves weights by 1e-2 of that."""
    monkeypatch.setattr("trainer.interactions.crop_batch", by_products)
    student = StudentOptions(backbone=backbone, width=16, crop_size=32)
    options = run_options(recipe=recipe, students=6, student=student, **OPTIONS)
    cpu = learner(windows, options, CPU)
    first = {name: value.clone() for name, value in cpu.student.state_dict().items()}
    for _ in range(3):
        cpu.update()
    monkeypatch.setattr("trainer.interactions.crop_batch", crop_batch)
    gpu = learner(windows, options, CUDA)
    for _ in range(3):
        gpu.update()
    found, moved = gpu.student.state_dict(), 0.0
    for name, value in cpu.student.state_dict().items():
        torch.testing.assert_close(found[name].cpu(), value, rtol=1e-3, atol=1e-4, msg=name)
        moved = max(moved, float((value - first[name]).abs().max()))
    assert moved > 1e-2  # a hundred times what is allowed to differ
    expected = cpu.means()
    for name, value in gpu.means().items():
        assert value == pytest.approx(expected[name], rel=1e-2, abs=1e-3), name


def test_an_update_never_waits_for_the_gpu(windows):
    """But for what students gained whose episodes ended a step before, which is an event of the step before."""
    options = run_options(recipe="tras-judge", students=6, **OPTIONS)
    made = learner(windows, options, CUDA)
    for _ in range(2):  # libraries load
        made.update()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            made.update()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(np.isfinite(v) for v in made.means().values())


def test_a_run_goes_on_from_its_checkpoint_here_and_on_the_cpu(sample, tmp_path):
    def options(updates):
        optimiser = OptimiserOptions(learning_rate=1e-2, scaling="none", updates=updates)
        return run_options(machine=MachineOptions(device="cuda", readers=2), optimiser=optimiser)

    # Five, because later ones divide by the gradient's size, and make much of rounding where it is nearly zero.
    train([sample], tmp_path / "straight", options(5))
    assert train([sample], tmp_path / "cuda", options(3)).updates == 3
    shutil.copytree(tmp_path / "cuda", tmp_path / "cpu")
    expected = weights(tmp_path / "straight")
    for device in ("cuda", "cpu"):
        machine = MachineOptions(device=device, readers=1)
        more = TrainOptions(machine=machine, optimiser=OptimiserOptions(updates=5))
        assert train([sample], tmp_path / device, more, resume=True).updates == 5
        found = weights(tmp_path / device)
        atol = 1e-4 if device == "cuda" else 1e-3  # the CPU's crops are rounded to bytes
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=atol, msg=name)


@pytest.mark.parametrize(
    ("precision", "compiled"), [("bfloat16", False), ("float32", True), ("bfloat16", True)]
)
def test_mixed_precision_and_compilation_learn_as_well(windows, precision, compiled):
    if compiled and not (shutil.which("gcc") or shutil.which("cc")):
        pytest.skip("torch.compile needs a C compiler, for Triton's launchers")
    student = StudentOptions(backbone="resnet18", width=32, crop_size=64)
    plain = learner(windows, run_options(student=student, **OPTIONS), CUDA)
    machine = MachineOptions(device="cuda", readers=1, precision=precision, compile=compiled)
    other = learner(windows, run_options(student=student, machine=machine, **OPTIONS), CUDA)
    for _ in range(3):
        plain.update()
        other.update()
    assert all(np.isfinite(v) for v in other.means().values())
    for (name, a), b in zip(plain.student.named_parameters(), other.student.parameters(), strict=True):
        assert b.dtype == torch.float32 and b.isfinite().all(), name
        if precision == "float32":
            torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-4, msg=name)


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(2)
    made = Student(StudentOptions(backbone="tiny", width=48, crop_size=64)).eval()
    with torch.no_grad():  # an untrained student hardly moves
        made.actor.weight *= 10
        made.critic.weight *= 20
    return made


def test_tras_gives_the_boxes_of_the_cpu(student):
    """By 0.013 px of 5 differ the boxes that a CPU gives with the GPU's crops, over 40 frames of eight such videos."""
    here, there = Inference(student), Inference(student, "cuda")
    videos = {slot: video(slot, 40) for slot in range(8)}
    expected = {slot: run(TrasTracker(here), images) for slot, images in videos.items()}
    assert max(np.abs(boxes - BOX).max() for boxes in expected.values()) > 3
    batch = TrasBatch(there, 8)
    found = {slot: [batch.start(slot, images[0], BOX, Task("v", 40))] for slot, images in videos.items()}
    for t in range(1, 40):
        for slot, box in batch.step({slot: images[t] for slot, images in videos.items()}).items():
            found[slot].append(box)
    for slot, boxes in expected.items():
        np.testing.assert_allclose(np.stack(found[slot]), boxes, atol=0.1)
    np.testing.assert_allclose(run(TrasTracker(there), videos[0]), expected[0], atol=0.1)


def test_a_step_of_tras_waits_once(student, monkeypatch):
    tracker, images = TrasTracker(Inference(student, "cuda")), video(0, 6)
    tracker.start(images[0], BOX, Task("v", 6))
    for image in images[1:4]:
        tracker.track(image)
    waits, cpu = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda t: waits.append(t.shape) or _unwatched(cpu, t))
    torch.cuda.set_sync_debug_mode("error")
    try:
        tracker.track(images[4])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert waits == [(1, 5)]


def _unwatched(function, *arguments):
    torch.cuda.set_sync_debug_mode("default")
    try:
        return function(*arguments)
    finally:
        torch.cuda.set_sync_debug_mode("error")


def test_trasfust_judges_as_on_the_cpu(student):
    images, values = video(0, 40), []
    for device in ("cpu", "cuda"):
        teachers = {"a": Scripted(script(1)), "b": Scripted(script(2))}
        tracker = TrasfustTracker(Inference(student, device), teachers)
        run(tracker, images)
        values.append([[choice[name] for name in ("a", "b")] for choice in tracker.values[1:]])
    np.testing.assert_allclose(values[1], values[0], atol=1e-2, rtol=1e-2)


def test_validation_gives_the_boxes_and_picks_of_the_cpu(windows):
    made = first_student(run_options())
    torch.nn.init.normal_(made.actor.weight, std=0.05)
    chosen = HeldOut(TrainOptions(), windows)
    tracks = HeldOutTracks(TrainOptions(), windows)
    expected = follow(made, chosen, CPU)
    score = tracks.validate(made, CPU)
    made = made.to(CUDA)
    for (boxes, _), (there, _) in zip(follow(made, chosen, CUDA), expected, strict=True):
        np.testing.assert_allclose(boxes, there, atol=0.1)
    assert tracks.validate(made, CUDA).ao == pytest.approx(score.ao, abs=0.05)


def test_weights_of_a_gpu_are_read_anywhere(sample, tmp_path):
    train([sample], tmp_path / "run", run_options(machine=MachineOptions(device="cuda", readers=1)))
    found = load_student(tmp_path / "run" / "best.safetensors", "cuda")
    assert found.options == TINY and next(found.parameters()).is_cuda
    here = load_student(tmp_path / "run" / "best.safetensors")
    np.testing.assert_equal(found.fc.weight.detach().cpu().numpy(), here.fc.weight.detach().numpy())
