"""Learning from what is damaged: sets, checkpoints and histories, other runs' folders, a full disk."""

import dataclasses
import shutil

import h5py
import numpy as np
import pytest
import torch
from learning_runs import TINY, run_options
from transfer_samples import content

from datasets.errors import DataError
from datasets.transfer.encoding import Encoding, encode_video
from datasets.transfer.writer import FramesWriter, write_set
from trainer import logs
from trainer.checkpoint import load_checkpoint
from trainer.options import LogOptions, MachineOptions, OptimiserOptions, TrainOptions, ValidationOptions
from trainer.student import Student, StudentOptions, save_student
from trainer.train import train
from trainer.windows import open_windows

torch.set_num_threads(1)


def copy_of(sample, folder):
    """The set and its frames, to be damaged."""
    folder.mkdir()
    for path in sample.parent.iterdir():
        if path.suffix == ".h5":
            (folder / path.name).write_bytes(path.read_bytes())
    return folder / sample.name


def rewritten(folder, videos, **arrays):
    """A well-formed set of other boxes."""
    folder.mkdir()
    with FramesWriter(folder / "frames.h5", Encoding()) as frames:
        for video in videos:
            frames.append(encode_video(video, np.arange(len(video)), Encoding()))
    held = dataclasses.replace(content(videos), **arrays)
    write_set(folder / "P-0.5.h5", held, folder / "frames.h5")
    return folder / "P-0.5.h5"


def test_a_set_that_is_none_of_this_version(sample, tmp_path):
    path = copy_of(sample, tmp_path / "set")
    path.write_bytes(path.read_bytes().replace(b"transfer-set seal 1", b"transfer-set seal 2", 1))
    with pytest.raises(DataError, match=r"P-0.5.h5.*'seal 2', this program reads 'seal 1'"):
        train([path], tmp_path / "a", run_options())
    assert not (tmp_path / "a").exists()


def test_a_set_without_its_pixels(sample, tmp_path):
    path = copy_of(sample, tmp_path / "set")
    (path.parent / "frames.h5").unlink()
    with pytest.raises(DataError, match="cannot find its pixels"):
        train([path], tmp_path / "a", run_options())
    assert not (tmp_path / "a").exists()


def test_a_window_whose_pixels_are_damaged(sample, tmp_path):
    path = copy_of(sample, tmp_path / "set")
    with h5py.File(path.parent / "frames.h5", "r") as file:
        data = file["frames/data"]
        start, size = data.id.get_offset(), data.size
    with (path.parent / "frames.h5").open("r+b") as file:
        file.seek(start)
        file.write(bytes(size))
    with pytest.raises(DataError, match=r"row \d+ of /frames is damaged"):
        train([path], tmp_path / "a", run_options())
    assert not (tmp_path / "a").exists()


def test_boxes_that_are_not_numbers(videos, tmp_path):
    whole = content(videos)
    truth = whole.ground_truth.copy()
    truth[5, 2, 0] = np.nan
    teacher = whole.teacher.copy()
    teacher[4, 3, 0, 2] = np.nan
    nobody = whole.teacher.copy()
    nobody[2] = np.nan
    cases = [
        ({"ground_truth": truth}, "window 5 .*ground truth is not a valid box"),
        ({"teacher": teacher}, "window 4 .*not all finite"),
        ({"teacher": nobody}, "window 2 .*no teacher is positive"),
    ]
    for i, (arrays, message) in enumerate(cases):
        path = rewritten(tmp_path / str(i), videos, **arrays)
        with pytest.raises(DataError, match=message):
            train([path], tmp_path / "a", run_options())
    assert not (tmp_path / "a").exists()


def test_a_set_with_no_positive_window(videos, tmp_path):
    whole = content(videos)
    none = {
        name: getattr(whole, name)[:0]
        for name in ("window_video", "window_start", "ground_truth", "absent", "teacher")
    }
    path = rewritten(tmp_path / "set", videos, **none)
    with pytest.raises(DataError, match=r"has no window: no trajectory above β has \d+ frames"):
        train([path], tmp_path / "a", run_options())
    assert not (tmp_path / "a").exists()


def test_windows_of_one_frame_are_refused(videos, tmp_path):
    whole = content(videos)
    path = rewritten(
        tmp_path / "set",
        videos,
        provenance=dataclasses.replace(whole.provenance, window_length=1),
        ground_truth=whole.ground_truth[:, :1],
        absent=whole.absent[:, :1],
        teacher=whole.teacher[:, :1],
    )
    with pytest.raises(DataError, match="its windows have 1 frame"):
        open_windows([path])


def test_runs_that_do_not_fit_what_lies_there(sample, straight, videos, tmp_path):
    with pytest.raises(ValueError, match="holds a run already"):
        train([sample], straight, run_options())
    with pytest.raises(ValueError, match=r"keeps its options.*students 4 -> 6"):
        train([sample], straight, TrainOptions(students=6), resume=True)
    other = rewritten(tmp_path / "set", videos[:3])
    with pytest.raises(ValueError, match="other transfer sets"):
        train([other], straight, TrainOptions(), resume=True)
    twice = tmp_path / "twice"
    train([sample, other], twice, run_options())
    for data in ([other, sample], [sample]):
        with pytest.raises(
            ValueError, match=r"other transfer sets, or in another order: .* \w+, \w+, not \w+"
        ):
            train(data, twice, TrainOptions(), resume=True)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is no folder"):
        train([sample], tmp_path / "file", run_options())
    with pytest.raises(
        ValueError,
        match=r"holds a student of --student.backbone tiny .*-size 32 --student.width 8, not of .*small",
    ):
        train(
            [sample],
            tmp_path / "b",
            run_options(init=straight / "best.safetensors", student=StudentOptions("small")),
        )
    with pytest.raises(ValueError, match="leaves"):
        train([sample], tmp_path / "b", run_options(validation=ValidationOptions(share=0.999)))
    with pytest.raises(ValueError, match=r"no CUDA device|no device"):
        train(
            [sample],
            tmp_path / "b",
            run_options(machine=MachineOptions(device="cuda" if not torch.cuda.is_available() else "x")),
        )
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("length", [0, 1, 4, 1000, 5000, 20000, -1000, -50, -1])
def test_a_checkpoint_that_is_cut_short_is_named_wherever_it_is_cut(sample, straight, tmp_path, length):
    whole = (straight / "last.pt").read_bytes()
    assert len(whole) > 25000
    (tmp_path / "last.pt").write_bytes(whole[:length])
    with pytest.raises(DataError, match=r"last.pt: the checkpoint cannot be read .* Begin the run anew"):
        train([sample], tmp_path, TrainOptions(), resume=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.pop("sets"), "KeyError: 'sets'"),
        (lambda c: c["standing"].update(worst=0), "worst"),
        (lambda c: c["learner"].pop("average"), "KeyError: 'average'"),
        (lambda c: c["learner"]["student"].pop("fc.bias"), "Missing key.*fc.bias"),
        (lambda c: c["learner"].update(measures=torch.zeros(5, dtype=torch.float64)), "size of tensor"),
        (lambda c: c["interactions"].pop("gained"), "KeyError: 'gained'"),
        (lambda c: c["options"]["student"].update(width=16), "size mismatch"),
    ],
)
def test_a_checkpoint_of_another_version_is_refused(sample, tmp_path, change, reason):
    options = run_options()
    train(
        [sample], tmp_path, dataclasses.replace(options, optimiser=OptimiserOptions(average=0.5, updates=1))
    )
    content = torch.load(tmp_path / "last.pt", weights_only=True)
    change(content)
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(DataError, match=rf"last.pt: its content does not fit this version .*{reason}"):
        train([sample], tmp_path, TrainOptions(), resume=True)


def test_a_history_that_a_power_cut_damaged_is_named(sample, straight, tmp_path):
    shutil.copytree(straight, tmp_path / "a")
    path = tmp_path / "a" / "history.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    for damaged in ("\0" * 50, "{}", "[3]", '{"update": null}'):
        path.write_text("".join([lines[0], damaged + "\n", *lines[1:], '{"update": 1']))
        with pytest.raises(
            DataError, match=r"history.jsonl, line 2: .* is no values of an update. Remove the line"
        ):
            train([sample], tmp_path / "a", TrainOptions(), resume=True)
    path.write_text("".join([*lines, '{"update": 1']))  # cut short, as a kill leaves it
    train([sample], tmp_path / "a", TrainOptions(), resume=True)
    assert path.read_text() == "".join(lines)


def test_a_full_disk_is_named_and_nothing_is_left_half_written(straight, tmp_path, small_files):
    shutil.copy(straight / "history.jsonl", tmp_path)
    student = Student(dataclasses.replace(TINY, width=64))
    with pytest.raises(DataError, match=r"x.safetensors: cannot be written \(File too large\)"):
        save_student(tmp_path / "x.safetensors", student)
    with pytest.raises(DataError, match=r"last.pt: cannot be written \(File too large\)"):
        load_checkpoint(straight).save(tmp_path)
    writer = logs.Logs(tmp_path, LogOptions(), 8, {})
    with pytest.raises(DataError, match=r"history.jsonl: cannot be written \(File too large\)"):
        writer.write(9, {f"loss/{i}": 1 / 3 for i in range(500)})
    assert [p.name for p in tmp_path.iterdir()] == ["history.jsonl"]
