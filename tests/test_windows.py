"""Opening transfer sets to learn from."""

import dataclasses

import h5py
import numpy as np
import pytest
from transfer_samples import content, make_video, write_sample

from datasets.errors import DataError
from datasets.transfer.format import ARRAYS
from datasets.transfer.reader import TransferReader
from datasets.transfer.seal import make_seal
from datasets.transfer.structure import find_extents
from datasets.transfer.writer import write_set
from trainer import windows
from trainer.windows import open_windows, split


@pytest.mark.parametrize("refused", ["it is missing", "it does not go with the first"])
def test_where_a_set_is_refused_those_before_it_are_closed(tmp_path, monkeypatch, refused):
    videos = [make_video(tmp_path)]
    first, _ = write_sample(tmp_path, videos)
    second = tmp_path / "second.h5"
    if refused != "it is missing":
        whole = content(videos)
        shorter = dataclasses.replace(
            whole,
            provenance=dataclasses.replace(whole.provenance, window_length=3),
            ground_truth=whole.ground_truth[:, :3],
            absent=whole.absent[:, :3],
            teacher=whole.teacher[:, :3],
        )
        write_set(second, shorter, tmp_path / "frames.h5")
    opened = []

    def opening(path):
        opened.append(TransferReader(path))
        return opened[-1]

    monkeypatch.setattr(windows, "TransferReader", opening)
    with pytest.raises(DataError, match=r"second\.h5"):
        open_windows([first, second])
    assert opened and all(reader.pixels._file.closed for reader in opened)
    whole = open_windows([first])
    assert not opened[-1].pixels._file.closed
    whole.close()
    assert opened[-1].pixels._file.closed


def test_windows_that_begin_without_their_target_are_left_out(tmp_path):
    """No interaction can begin there; a target that is hidden later is no matter."""
    videos = [make_video(tmp_path)]
    write_sample(tmp_path, videos)
    whole = content(videos)
    absent = np.zeros_like(whole.absent)
    absent[0, 0] = absent[1, 1] = True
    write_set(tmp_path / "hidden.h5", dataclasses.replace(whole, absent=absent), tmp_path / "frames.h5")
    opened = open_windows([tmp_path / "hidden.h5"])
    assert opened.index.tolist() == list(range(1, len(absent))) and not opened.present[0, 1]
    opened.close()


@pytest.mark.parametrize(
    ("name", "index", "value", "said"),
    [
        ("overlap/best", (1, 2), 5, "/overlap/best, window 1, frame 2: 5 is not a number from 0 to 1"),
        ("overlap/best", (0, 0), -1, "/overlap/best, window 0, frame 0: -1 is not a number from 0 to 1"),
        ("windows/video", 2, 77, "/windows/video, window 2: 77 is not a number from 0 to 0"),
        ("windows/video", 0, -1, "/windows/video, window 0: -1 is not a number from 0 to 0"),
    ],
)
def test_a_sealed_set_that_names_what_it_does_not_have(tmp_path, name, index, value, said):
    path, _ = write_sample(tmp_path, [make_video(tmp_path)])
    with h5py.File(path, "r+") as file:
        file[name][index] = value
    with h5py.File(path) as file:
        extents = find_extents(file, ARRAYS)
    make_seal(path, extents)
    with pytest.raises(DataError, match=f"P-0.5.h5: {said}"):
        open_windows([path])


@pytest.mark.parametrize(
    ("videos", "share", "said"),
    [
        (
            1,
            0.5,
            "50% of 1 video leaves 0 windows to learn from and 3 to validate on: set validation.share to 0,",
        ),
        (
            2,
            0.999999,
            "2 videos leaves 0 windows to learn from and 6 to validate on: change validation.share,",
        ),
    ],
)
def test_where_nothing_is_left_to_learn_from_it_says_what_helps(tmp_path, videos, share, said):
    write_sample(tmp_path, [make_video(tmp_path, name) for name in ("alpha", "beta")[:videos]])
    opened = open_windows([tmp_path / "P-0.5.h5"])
    with pytest.raises(ValueError, match=said):
        split(opened, share)
    opened.close()
