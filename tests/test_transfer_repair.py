"""`repair` brings back the very bytes, or says what is lost and writes what is whole."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
from multiprocessing import get_context

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transfer_samples import LENGTH, make_video, write_sample

import datasets.__main__ as command
from datasets.errors import DataError
from datasets.transfer.encoding import Encoding, encode_video
from datasets.transfer.export import export
from datasets.transfer.format import FRAMES_ARRAYS, USER_BLOCK
from datasets.transfer.mending import examine
from datasets.transfer.reader import TransferReader
from datasets.transfer.repair import repair, salvage
from datasets.transfer.seal import make_seal
from datasets.transfer.structure import find_extents
from datasets.transfer.validate import validate
from datasets.transfer.writer import FramesWriter


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A set beside its frames.h5; nobody changes them."""
    folder = tmp_path_factory.mktemp("sample")
    videos = [make_video(folder, "alpha"), make_video(folder, "Straße", size=(40, 64), seed=1)]
    path, _ = write_sample(folder / "set", videos)
    export(path, folder / "whole.h5")
    # The same images in other rows, of another build.
    with FramesWriter(folder / "other.h5", Encoding()) as frames:
        for video in reversed(videos):
            frames.append(encode_video(video, np.arange(2, len(video)), Encoding()))
    return path


@pytest.fixture
def copy(sample, tmp_path):
    shutil.copytree(sample.parent, tmp_path / "set")
    return tmp_path / "set" / sample.name


def flip(path, *places):
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 1
    path.write_bytes(data)


def place_of(path, name, row=None):
    with h5py.File(path) as file:
        return file[name].id.get_offset() + (0 if row is None else int(file["frames/offset"][row]) + 30)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["set/P-0.5.h5", "set/frames.h5", "whole.h5"]),
    shares=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=30),
    keep=st.one_of(st.none(), st.floats(0, 1)),
)
def test_the_very_bytes_come_back_wherever_they_were_damaged(sample, tmp_path_factory, name, shares, keep):
    original = sample.parent.parent / name
    folder = tmp_path_factory.mktemp("damaged")
    file = folder / original.name
    data = bytearray(original.read_bytes())
    for share in shares:
        data[USER_BLOCK + int(share * (len(data) - USER_BLOCK))] ^= 1 << len(shares) % 8
    cut = USER_BLOCK + int((1 if keep is None else keep) * (len(data) - USER_BLOCK))
    file.write_bytes(data[:cut])
    if name == "set/P-0.5.h5":
        shutil.copy(sample.with_name("frames.h5"), folder)
    done = repair(file, [original])
    assert file.read_bytes() == original.read_bytes()
    assert done[0].findings.path == file and validate(file) == []
    assert "whole, nothing to repair" in str(repair(file)[0])
    assert {p.name for p in folder.iterdir()} <= {file.name, "frames.h5"}


@pytest.mark.parametrize("source", ["whole.h5", "other.h5"])
def test_images_come_from_any_file_that_has_them_even_a_damaged_one(sample, copy, tmp_path, source):
    frames = copy.with_name("frames.h5")
    flip(frames, place_of(frames, "frames/data", 7), place_of(frames, "frames/data", 13))
    assert examine(frames).rows.tolist() == [7, 13]
    other = tmp_path / source
    shutil.copy(sample.parent.parent / source, other)
    with h5py.File(other) as file:
        images = file["frames"]
        names = images["video_name"][()][images["video"][()]]
        # Of another image of this source, and of the table that says whose they are.
        row = int(np.flatnonzero((names == b"alpha") & (images["index"][()] == 3))[0])
    flip(other, place_of(other, "frames/data", row), place_of(other, "frames/video"))
    (set_, pixels) = repair(copy, [other])
    assert set_.findings.whole and pixels.findings.rows.tolist() == [7, 13]
    assert frames.read_bytes() == sample.with_name("frames.h5").read_bytes()
    assert "repaired 2 images of frames/data; its fingerprint is again" in str(pixels)


def test_what_is_nowhere_to_be_had_is_named_and_nothing_replaced(sample, copy):
    frames, other = copy.with_name("frames.h5"), sample.parent.parent / "other.h5"
    flip(frames, place_of(frames, "frames/data", 0), place_of(frames, "frames/data", 7))
    kept = frames.read_bytes()
    problem = r"frames/data: 1 of 2 damaged images are in no other file \(rows 0\)"
    with pytest.raises(DataError, match=problem) as error:
        repair(copy, [other])
    assert error.value.path == frames and "--drop" in error.value.remedy and "dvc repro" in error.value.remedy
    flip(frames, place_of(frames, "frames/window"))
    with pytest.raises(DataError, match="frames/window: damaged, and no other file has the same"):
        repair(frames, [other])
    flip(frames, place_of(frames, "frames/window"))
    assert frames.read_bytes() == kept
    with h5py.File(copy, "r+") as file:
        file.attrs["beta"] = 0.7
    with pytest.raises(DataError, match="structure: damaged") as error:
        repair(copy, [sample.parent.parent / "whole.h5"])
    assert "Put a copy of the whole file in its place" in error.value.remedy
    with pytest.raises(DataError, match=r"nothing\.h5: does not exist"):
        repair(copy.with_name("nothing.h5"))
    assert sorted(p.name for p in copy.parent.iterdir()) == ["P-0.5.h5", "frames.h5"]


@pytest.mark.parametrize("name", ["P-0.5.h5", "frames.h5"])
def test_what_hangs_behind_a_file_is_cut_off_without_another_copy(sample, copy, name):
    file = copy.with_name(name)
    with file.open("ab") as end:
        end.write(b"more")
    assert f"repaired its size, {file.stat().st_size:,} bytes" in "".join(map(str, repair(copy)))
    assert file.read_bytes() == sample.with_name(name).read_bytes()


@pytest.mark.parametrize(
    ("count", "said"), [(10, r"\(rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\)"), (11, r"7, 8, 9, \.\.\.\)")]
)
def test_of_many_lost_images_some_are_named(copy, count, said):
    frames = copy.with_name("frames.h5")
    flip(frames, *(place_of(frames, "frames/data", row) for row in range(count)))
    with pytest.raises(DataError, match=f"{count} of {count} damaged images are in no other file .*{said}"):
        repair(frames)


def test_a_file_that_cannot_say_where_its_images_are_is_passed_over(sample, copy, tmp_path):
    frames, other = copy.with_name("frames.h5"), tmp_path / "other.h5"
    flip(frames, place_of(frames, "frames/data", 7))
    shutil.copy(sample.with_name("frames.h5"), other)
    flip(other, place_of(other, "frames/offset") + 8)
    with pytest.raises(DataError, match="1 of 1 damaged images are in no other file"):
        repair(frames, [other])
    repair(frames, [other, sample.parent.parent / "whole.h5"])
    assert frames.read_bytes() == sample.with_name("frames.h5").read_bytes()


def test_a_table_of_images_that_was_wrong_from_the_beginning_is_not_followed(copy):
    frames = copy.with_name("frames.h5")
    with h5py.File(frames, "r+") as file:
        file["frames/offset"][3] = file["frames/offset"][2]
        extents = find_extents(file, FRAMES_ARRAYS)
    make_seal(frames, extents, by_rows="frames/data")
    with pytest.raises(DataError, match="frames/offset: its rows do not fill frames/data"):
        examine(frames)


def test_a_damaged_seal_is_never_followed(sample, copy):
    """Any byte of its text, with an undamaged copy at hand: nothing tells a changed seal from a true one."""
    text = sample.read_bytes().index(b"\0")
    for place in range(0, text + 2, 7):
        shutil.copy(sample, copy)
        flip(copy, place)
        damaged = copy.read_bytes()
        with pytest.raises(DataError) as error:
            repair(copy, [sample])
        assert error.value.path == copy and "seal" in error.value.problem, place
        assert copy.read_bytes() == damaged


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_nothing_is_written_through_a_link(sample, copy, tmp_path, link):
    cache = tmp_path / "cache"
    copy.rename(cache)
    flip(cache, place_of(cache, "boxes/teacher"))
    cache.chmod(0o444)
    link(cache, copy)
    damaged = cache.read_bytes()
    (done, _) = repair(copy, [sample])
    assert not copy.is_symlink() and copy.stat().st_nlink == 1
    assert copy.read_bytes() == sample.read_bytes() and cache.read_bytes() == damaged
    digest = hashlib.md5(sample.read_bytes()).hexdigest()
    assert "repaired boxes/teacher" in str(done)
    assert f"In DVC's cache that is files/md5/{digest[:2]}/{digest[2:]}: delete it there" in str(done)


def test_who_cannot_repair_a_link_hears_that_the_cache_is_damaged(copy, tmp_path):
    """DVC links a damaged file of its cache again, whatever `checkout`, `commit` and `repro` are asked."""
    flip(copy, place_of(copy, "boxes/teacher"))
    with pytest.raises(DataError, match="`dvc checkout --force`, or build it again"):
        repair(copy)
    os.link(copy, tmp_path / "cache")
    with pytest.raises(DataError, match=f"`find -L .dvc/cache -samefile {copy}` names it"):
        repair(copy)


def test_a_source_that_changes_meanwhile_replaces_nothing(sample, copy, tmp_path):
    frames, other = copy.with_name("frames.h5"), tmp_path / "other.h5"
    shutil.copy(sample.with_name("frames.h5"), other)
    flip(frames, place_of(frames, "frames/data", 3), place_of(frames, "frames/window"))
    damaged = frames.read_bytes()

    def meddle(count, total):
        assert (count, total) == (1, 18)
        if other.stat().st_mtime_ns != 0:
            flip(other, place_of(other, "frames/window"))
            os.utime(other, ns=(0, 0))

    with pytest.raises(DataError, match="repaired copy is damaged again"):
        repair(frames, [other], meddle)
    assert frames.read_bytes() == damaged
    assert sorted(p.name for p in copy.parent.iterdir()) == ["P-0.5.h5", "frames.h5"]


@pytest.mark.parametrize("alone", [False, True])
def test_the_windows_that_are_whole_can_be_kept(sample, copy, tmp_path, alone):
    """Rows 1 and 8 are lost, 13 is in the other file; windows start at 0, 2, 5 and have four frames."""
    frames = copy.with_name("frames.h5")
    if alone:
        copy = frames = shutil.copy(sample.parent.parent / "whole.h5", tmp_path / "whole.h5")
    flip(
        frames,
        *(place_of(frames, "frames/data", row) for row in (1, 9, 13)),
        place_of(frames, "frames/index"),
    )
    before = frames.read_bytes()
    other = tmp_path / "other.h5"
    shutil.copy(sample.parent.parent / "other.h5", other)
    with pytest.raises(DataError, match="frames/index: damaged"):
        salvage(copy, tmp_path / "rest.h5", [other])
    intact = sample.parent.parent / "whole.h5" if alone else sample.with_name("frames.h5")
    tables = tmp_path / "tables.h5"
    shutil.copy(intact, tables)
    flip(tables, *(place_of(tables, "frames/data", row) for row in (1, 9)))
    _, lost = salvage(copy, tmp_path / "rest.h5", [tables, other])
    assert lost == [("alpha", 0), ("Straße", 0)]
    assert frames.read_bytes() == before
    assert validate(tmp_path / "rest.h5") == []
    with TransferReader(sample) as all_, TransferReader(tmp_path / "rest.h5") as rest:
        kept = [w for w in all_ if (w.video, w.start) not in lost]
        assert len(rest) == len(kept) == 4
        for a, b in zip(kept, rest, strict=True):
            assert (a.video, a.start) == (b.video, b.start)
            assert [bytes(a.jpeg(t)) for t in range(LENGTH)] == [bytes(b.jpeg(t)) for t in range(LENGTH)]
            np.testing.assert_array_equal(a.teacher, b.teacher)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("make", [salvage, export])
def test_what_a_killed_run_left_is_cleared_by_the_next(copy, tmp_path, make):
    out = tmp_path / "rest.h5"
    arguments = (copy, out, (), die) if make is salvage else (copy, out, die)
    killed = get_context("fork").Process(target=make, args=arguments)
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".rest.h5.")]
    make(copy, out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rest.h5", "set"]
    assert validate(out) == []


def test_what_a_killed_repair_left_is_cleared_by_the_next(sample, copy):
    """Its own temporary file is written after the last thing that it tells its caller, so here is one by hand."""
    killed = get_context("fork").Process(target=int)
    killed.start()
    killed.join()
    frames = copy.with_name("frames.h5")
    left = frames.with_name(f".frames.h5.{platform.node()}-{killed.pid}.tmp")
    left.write_bytes(b"half")
    flip(frames, place_of(frames, "frames/data", 1))
    repair(copy, [sample.parent.parent / "whole.h5"])
    assert not left.exists() and validate(copy) == []


def test_a_video_without_windows_left_is_left_out_and_an_empty_set_refused(copy, tmp_path):
    frames = copy.with_name("frames.h5")
    flip(frames, *(place_of(frames, "frames/data", row) for row in (3, 8)))
    _, lost = salvage(copy, tmp_path / "rest.h5")
    assert lost == [("alpha", 0), ("alpha", 2), ("alpha", 5)]
    with TransferReader(tmp_path / "rest.h5") as rest:
        assert rest.content.video_name == ("Straße",) and len(rest.pixels) == 9
    flip(frames, *(place_of(frames, "frames/data", row) for row in (12, 17)))
    with pytest.raises(DataError, match="each of its 6 windows has lost images"):
        salvage(copy, tmp_path / "nothing.h5")
    assert not (tmp_path / "nothing.h5").exists()


def test_the_command(sample, copy, tmp_path, capsys, monkeypatch):
    frames, rest = copy.with_name("frames.h5"), tmp_path / "rest.h5"

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["datasets", "repair", *map(str, arguments)])
        return command.main()

    flip(frames, place_of(frames, "frames/data", 4))
    assert run(copy) == 2
    assert "1 of 1 damaged images are in no other file" in capsys.readouterr().err
    assert run(frames, "--drop", rest) == 2
    assert "holds the images of several sets" in capsys.readouterr().err
    assert run(copy, "--drop", rest) == 0
    shown = capsys.readouterr().out
    assert "windows lost: 1" in shown and "alpha: from frame 2" in shown
    assert run(copy, "--drop", rest) == 2
    assert "is there already" in capsys.readouterr().err
    assert run(copy, "--from", rest, sample.with_name("frames.h5")) == 0
    shown = capsys.readouterr().out
    assert f"{copy}: whole, nothing to repair" in shown and "repaired 1 images" in shown
    assert validate(copy) == []
