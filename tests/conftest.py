"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import settings

from datasets.synthetic import SyntheticOptions, write_synthetic

if TYPE_CHECKING:
    from datasets.video import Video
    from teachers.base import Teacher
    from trainer.student import Student
    from trainer.trackers import Inference
    from trainer.windows import Windows

REPOSITORY = Path(__file__).resolve().parent.parent

# A run of the tests says the same of the same code every time; `--hypothesis-profile search` looks for new examples.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", derandomize=False, print_blob=True)
settings.load_profile("repeatable")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch computes with one thread, as upstream's code did for the golden boxes."""
    import torch  # not every test has to wait for it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files of at most 10,000 bytes, which is how a full disk looks to the program that writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real sequences and published boxes, which is not part of the project."""
    root = (REPOSITORY / os.environ.get("REAL_DATA", "../shared/data")).resolve()
    if not root.is_dir():
        pytest.skip(f"no real data at {root}: set REAL_DATA to the folder that holds otb/ and results/")
    return root


@pytest.fixture(scope="session")
def small_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six short, easy procedural videos in GOT-10k's layout: ROOT/train/... ."""
    root = tmp_path_factory.mktemp("videos") / "small"
    options = SyntheticOptions(videos=6, seed=5, max_length=45, image_size=(160, 120), difficulty=(0.0, 0.5))
    write_synthetic(root, options, workers=1)
    return root


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    """The four drawn videos of `sample`, of 9 frames each."""
    from transfer_samples import make_video

    folder = tmp_path_factory.mktemp("frames")
    return [make_video(folder, f"video{i}", seed=i) for i in range(4)]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, videos: list[Video]) -> Path:
    """A transfer set of 12 windows of 4 frames; whoever damages one takes a copy."""
    from transfer_samples import write_sample

    return write_sample(tmp_path_factory.mktemp("set"), videos)[0]


@pytest.fixture
def windows(sample: Path) -> Iterator[Windows]:
    """The windows of `sample`, opened for one test, which may change their arrays."""
    from trainer.windows import open_windows

    opened = open_windows([sample])
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def straight(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of `learning_runs.run_options` without interruption; whoever goes on takes a copy."""
    from learning_runs import run_options

    from trainer.train import train

    out = tmp_path_factory.mktemp("run") / "straight"
    outcome = train([sample], out, run_options())
    assert outcome.ending == "updates" and outcome.updates == 8
    return out


@pytest.fixture(scope="session")
def student() -> Student:
    """A random student that moves, where an untrained one hardly does."""
    import torch

    from trainer.student import Student, StudentOptions

    torch.manual_seed(2)
    made = Student(StudentOptions(backbone="tiny", width=48, crop_size=64)).eval()
    with torch.no_grad():
        made.actor.weight *= 40
        made.actor.bias.zero_()
        made.critic.weight *= 20
    return made


@pytest.fixture(scope="session")
def inference(student: Student) -> Inference:
    """`student`, as the trackers ask it."""
    from trainer.trackers import Inference

    return Inference(student)


@pytest.fixture
def weights(student: Student, tmp_path: Path) -> Path:
    """The file of `student`."""
    from trainer.student import save_student

    save_student(tmp_path / "student.safetensors", student)
    return tmp_path / "student.safetensors"


@pytest.fixture(scope="session")
def pytracking_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small made-up checkout of pytracking."""
    import fake_checkouts

    return fake_checkouts.write(fake_checkouts.PYTRACKING, tmp_path_factory.mktemp("pytracking"))


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights of that checkout's tracker."""
    import fake_checkouts

    root = tmp_path_factory.mktemp("networks")
    fake_checkouts.save_network(root / "nets" / "small.pth")
    return root


@pytest.fixture(scope="session")
def fake(pytracking_root: Path, networks: Path) -> Teacher:
    """That checkout's tracker, in a process of its own, which takes a second to start."""
    from teachers import registry

    options = {"checkout": str(pytracking_root), "weights": str(networks)}
    return registry.create("pytracking:fake/default", options)


@pytest.fixture(scope="session")
def pysot_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small made-up checkout of pysot."""
    import fake_checkouts

    return fake_checkouts.write(fake_checkouts.PYSOT, tmp_path_factory.mktemp("pysot"))


@pytest.fixture(scope="session")
def pysot_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of that checkout's trackers."""
    import torch

    path = tmp_path_factory.mktemp("weights") / "small.pth"
    state = {"head.weight": torch.tensor([[1.0, 2.0]]), "head.bias": torch.zeros(1)}
    state |= {f"norm.{k}": torch.ones(1) for k in ("weight", "bias", "running_mean", "running_var")}
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    return path


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make `tmp_path` the working folder, with a params.yaml; returns a function that writes its sections anew."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))

    def write(**sections: Any) -> Path:
        path = tmp_path / "params.yaml"
        document = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump({**document, **sections}, sort_keys=False))
        return path

    shutil.copy(REPOSITORY / "dvc.yaml", tmp_path)
    return write
