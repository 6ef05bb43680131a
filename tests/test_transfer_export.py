"""A set with its pixels in one file."""

from __future__ import annotations

import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from transfer_samples import content, make_video, write_sample

import datasets.__main__ as command
from datasets.errors import DataError
from datasets.transfer.encoding import Encoding
from datasets.transfer.export import export
from datasets.transfer.reader import TransferReader
from datasets.transfer.validate import validate
from datasets.transfer.writer import write_set


@pytest.fixture
def folder(tmp_path):
    """frames.h5 of three videos."""
    videos = [make_video(tmp_path, name, seed=seed) for seed, name in enumerate(("alpha", "Straße", "gamma"))]
    write_sample(tmp_path, videos, Encoding(kind="source"))
    return tmp_path, videos


def part(folder, rows):
    """A set of some of the windows, beside frames.h5."""
    path, videos = folder
    whole = content(videos)
    kept = {
        name: getattr(whole, name)[rows]
        for name in ("window_video", "window_start", "ground_truth", "absent", "teacher")
    }
    write_set(path / "part.h5", replace(whole, **kept), path / "frames.h5")
    return path / "part.h5"


@pytest.mark.parametrize("rows", [[0, 2, 6, 8], [3, 4, 5], []])
def test_it_holds_the_same_windows_and_only_their_pixels(folder, tmp_path_factory, rows):
    made = part(folder, rows)
    alone = tmp_path_factory.mktemp("alone") / "set.h5"
    counted = []
    seal = export(made, alone, lambda count, total: counted.append((count, total)))
    assert validate(alone) == []
    with TransferReader(made) as old, TransferReader(alone) as new:
        assert new.content.provenance == old.content.provenance
        assert new.content.video_name == old.content.video_name
        assert len(new) == len(rows) and new.pixels.path == alone
        for a, b in zip(old, new, strict=True):
            assert [bytes(a.jpeg(t)) for t in range(4)] == [bytes(b.jpeg(t)) for t in range(4)]
            for name in ("ground_truth", "teacher", "iou", "best", "regions", "image_size"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
        needed = {(w.video, w.start + t) for w in old for t in range(4)}
        assert len(new.pixels) == len(needed) == sum(count for count, _ in counted)
        assert all(total == len(needed) for _, total in counted)
    # A copy of the copy has the same bytes, so its fingerprint as well.
    assert export(alone, alone.with_name("again.h5")).fingerprint == seal.fingerprint
    assert alone.read_bytes() == alone.with_name("again.h5").read_bytes()
    assert sorted(p.name for p in alone.parent.iterdir()) == ["again.h5", "set.h5"]


def test_plain_h5py_reads_it_and_damage_is_noticed(folder, tmp_path):
    made = part(folder, [1, 7])
    alone = tmp_path / "alone.h5"
    export(made, alone)
    with h5py.File(alone) as file, h5py.File(made) as linked:
        for one, other in ((file, linked), (linked, file)):
            assert set(one["frames"]) == set(other["frames"])
        a, b = file["frames/offset"][file["windows/frame"][1, 2] + np.arange(2)]
        c, d = linked["frames/offset"][linked["windows/frame"][1, 2] + np.arange(2)]
        np.testing.assert_array_equal(file["frames/data"][a:b], linked["frames/data"][c:d])
        place = file["frames/data"].id.get_offset() + int(a)
    content_ = bytearray(alone.read_bytes())
    content_[place + 20] ^= 1
    alone.write_bytes(content_)
    (problem,) = validate(alone)
    assert "frames" in problem.where


def test_the_command_and_what_it_refuses(folder, tmp_path_factory, capsys, monkeypatch):
    made = part(folder, [0])
    out = tmp_path_factory.mktemp("out") / "alone.h5"

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["datasets", "export", *map(str, arguments)])
        return command.main()

    assert run(made, out) == 0
    assert str(out) in capsys.readouterr().out
    before = out.read_bytes()
    assert run(made, out) == 2
    assert "is there already" in capsys.readouterr().err and out.read_bytes() == before
    lonely = tmp_path_factory.mktemp("lonely")
    shutil.copy(made, lonely / "part.h5")
    with pytest.raises(DataError, match=r"no frames\.h5 beside it"):
        export(lonely / "part.h5", lonely / "alone.h5")
    with pytest.raises(DataError, match="this is the pixels of transfer sets"):
        export(made.with_name("frames.h5"), lonely / "alone.h5")
    with pytest.raises(DataError, match="does not exist"):
        export(lonely / "nothing.h5", lonely / "alone.h5")
    assert sorted(p.name for p in lonely.iterdir()) == ["part.h5"]


@pytest.mark.parametrize(
    ("name", "array", "where"),
    [
        ("part.h5", "boxes/teacher", "boxes/teacher: its"),
        ("frames.h5", "frames/window", "frames/window: its"),
        ("frames.h5", "frames/data", "frames/data, row 0: the JPEG file changed"),
    ],
)
def test_damage_is_not_copied_under_a_new_seal(folder, tmp_path_factory, name, array, where):
    made = part(folder, [0])
    file = made.with_name(name)
    with h5py.File(file) as opened:
        place = opened[array].id.get_offset()
    data = bytearray(file.read_bytes())
    data[place + 9] ^= 4
    file.write_bytes(data)
    out = tmp_path_factory.mktemp("out") / "alone.h5"
    with pytest.raises(DataError, match=where) as error:
        export(made, out)
    assert error.value.path == file and "datasets repair" in error.value.remedy
    assert list(out.parent.iterdir()) == []
