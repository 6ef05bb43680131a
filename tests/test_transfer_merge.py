"""`merge` makes one set of several: the union where they agree, and an error that says why where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transfer_samples import changed, content, make_video, write_sample

import datasets.__main__ as command
from datasets.errors import DataError
from datasets.transfer.encoding import Encoding, encode_video
from datasets.transfer.export import export
from datasets.transfer.merge import merge
from datasets.transfer.reader import TransferReader
from datasets.transfer.validate import validate
from datasets.transfer.writer import FramesWriter, write_set
from trainer.windows import open_windows

PER_WINDOW = ("window_video", "window_start", "ground_truth", "absent", "teacher")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A set of three videos beside frames.h5, and what it was made of."""
    folder = tmp_path_factory.mktemp("whole")
    videos = [make_video(folder, name, seed=seed) for seed, name in enumerate(("alpha", "Straße", "gamma"))]
    path, made = write_sample(folder, videos)
    return path, made, videos


def subset(made, rows):
    """Some windows, all videos."""
    return changed(made, **{name: getattr(made, name)[rows] for name in PER_WINDOW})


def taught(made, boxes, *teachers, **provenance):
    """The same windows with other teachers."""
    return replace(made, teacher=boxes, provenance=replace(made.provenance, teachers=teachers, **provenance))


def part(whole, name, rows, **provenance):
    """A set of some of the windows beside the whole one's frames.h5."""
    path, made, _ = whole
    kept = subset(made, rows)
    write_set(
        path.with_name(name),
        replace(kept, provenance=replace(kept.provenance, **provenance)),
        path.with_name("frames.h5"),
    )
    return path.with_name(name)


def build(folder, videos, made, encoding=None):
    """A build of its own: frames.h5 with the videos' frames, and one set."""
    folder.mkdir(parents=True)
    with FramesWriter(folder / "frames.h5", encoding or Encoding()) as frames:
        for video in videos:
            frames.append(encode_video(video, np.arange(len(video)), encoding or Encoding()))
    write_set(folder / "set.h5", made, folder / "frames.h5")
    return folder / "set.h5"


def stranger(made):
    """The same from another source."""
    return replace(made, provenance=replace(made.provenance, source_fingerprint="other"))


def windows(path):
    """Everything of every window, by video and start."""
    with TransferReader(path) as reader:
        return {
            (w.video, w.start): {
                "class": w.object_class,
                "length": int(reader.content.video_length[reader.content.window_video[w.index]]),
                "jpegs": [bytes(w.jpeg(t)) for t in range(len(w))],
                "ground_truth": w.ground_truth.tobytes(),
                "absent": w.absent.tobytes(),
                "regions": w.regions.tobytes(),
                "image_size": w.image_size.tobytes(),
                "boxes": {
                    name: (w.teacher[:, k].tobytes(), w.iou[:, k].tobytes())
                    for k, name in enumerate(w.teachers)
                    if np.isfinite(w.teacher[0, k, 0])
                },
                "best": [w.teachers[k] for k in w.best],
            }
            for w in reader
        }


@settings(max_examples=15, deadline=None)
@given(share=st.lists(st.integers(1, 7), min_size=9, max_size=9), turn=st.integers(0, 2))
def test_a_set_cut_into_parts_that_overlap_comes_back(whole, tmp_path_factory, share, turn):
    """Each window goes into the parts whose bits its number has."""
    path, made, _ = whole
    out = tmp_path_factory.mktemp("out") / "merged.h5"
    cut = [np.flatnonzero([number >> bit & 1 for number in share]) for bit in range(3)]
    parts = [part(whole, f"part{bit}.h5", rows) for bit, rows in enumerate(cut)]
    merged = merge([*parts[turn:], *parts[:turn]], out)
    assert validate(out) == []
    assert windows(out) == windows(path)
    assert (merged.windows, merged.repeated) == (9, sum(map(len, cut)) - 9)
    with TransferReader(out) as reader:
        assert reader.content.provenance == made.provenance
        assert len(reader.pixels) == 27


def test_in_order_the_very_bytes_of_an_export_come_back(whole, tmp_path):
    path, _, _ = whole
    seal = export(path, tmp_path / "export.h5")
    first, second = part(whole, "first.h5", np.arange(4)), part(whole, "second.h5", np.arange(3, 9))
    export(second, tmp_path / "alone.h5")
    assert merge([first, tmp_path / "alone.h5"], tmp_path / "merged.h5").seal == seal
    assert (tmp_path / "merged.h5").read_bytes() == (tmp_path / "export.h5").read_bytes()
    assert merge([tmp_path / "merged.h5"], tmp_path / "again.h5").seal == seal


def test_images_of_several_files_and_in_several_pieces_follow_each_other(whole, tmp_path, monkeypatch):
    """The first file holds the rows 0 to 3 alone; those after them have the next numbers in the second one."""
    monkeypatch.setattr("datasets.transfer.standalone._TOGETHER", 3)
    export(part(whole, "begin.h5", [0]), tmp_path / "begin.h5")
    with TransferReader(tmp_path / "begin.h5") as begin:
        assert len(begin.pixels) == 4
    merge([tmp_path / "begin.h5", whole[0]], tmp_path / "merged.h5")
    assert validate(tmp_path / "merged.h5") == []
    assert windows(tmp_path / "merged.h5") == windows(whole[0])


def test_there_are_no_more_teachers_than_one_byte_counts(whole, tmp_path):
    path, made, _ = whole
    few = subset(made, [0])
    for number, count in enumerate((64, 63, 64)):
        names = [f"t{number}-{k}" for k in range(count)]
        boxes = np.repeat(few.teacher[:, :, :1], count, axis=2)
        write_set(path.with_name(f"many{number}.h5"), taught(few, boxes, *names), path.with_name("frames.h5"))
    first, second, third = (path.with_name(f"many{number}.h5") for number in range(3))
    merge([first, second], tmp_path / "merged.h5")
    assert validate(tmp_path / "merged.h5") == []
    with pytest.raises(DataError, match="would be one of 128 teachers in a merged set, which counts to 127"):
        merge([first, third], tmp_path / "no.h5")


def test_teachers_are_united(whole, tmp_path):
    """kcf alone on two videos, and on all three the second teacher, kcf and a third, in another order of videos."""
    _, made, videos = whole
    few = subset(made, np.arange(6))
    one = build(tmp_path / "one", videos, taught(few, few.teacher[:, :, :1], "kcf", pool="kcf"))
    boxes = np.concatenate([made.teacher[:, :, ::-1], made.ground_truth[:, :, None]], axis=2)
    more = taught(made, boxes, "Größe", "kcf", "third", source_fingerprint="def")
    two = build(tmp_path / "two", videos[::-1], more)
    merge([one, two], tmp_path / "merged.h5")
    assert validate(tmp_path / "merged.h5") == []
    assert windows(tmp_path / "merged.h5") == windows(two)
    with TransferReader(tmp_path / "merged.h5") as reader:
        p = reader.content.provenance
        assert p.teachers == ("kcf", "Größe", "third") and p.pool == "kcf + P"
        assert p.source_fingerprint == "abc + def" and p.source_dataset == "got10k"
        assert " + " in reader.attributes["frames_fingerprint"]
        assert reader.content.video_name == ("alpha", "Straße", "gamma")
    # What is joined twice stays what it is.
    merge([tmp_path / "merged.h5", one], tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "merged.h5").read_bytes()


def test_sets_of_other_videos_have_nan_for_teachers_that_they_lack(whole, tmp_path):
    path, _, _ = whole
    other = [make_video(tmp_path, "delta", seed=7)]
    made = content(other)
    source = {"source_dataset": "otb", "source_split": "", "source_fingerprint": "otb"}
    two = build(tmp_path / "two", other, taught(made, made.teacher[:, :, :1], "fast", **source))
    merge([path, two], tmp_path / "merged.h5")
    assert validate(tmp_path / "merged.h5") == []
    assert windows(tmp_path / "merged.h5") == windows(path) | windows(two)
    with TransferReader(tmp_path / "merged.h5") as reader:
        assert reader.content.provenance.teachers == ("kcf", "Größe", "fast")
        assert reader.content.provenance.source_dataset == "got10k + otb"
        assert reader.content.provenance.source_split == "train"
    # A trainer reads it as it reads its parts.
    both, one = open_windows([path, two]), open_windows([tmp_path / "merged.h5"])
    assert one.videos == both.videos
    for name in ("truth", "target", "present"):
        np.testing.assert_array_equal(getattr(one, name), getattr(both, name))
    both.close()
    one.close()


def test_videos_of_equal_name_are_not_confused(whole, tmp_path):
    path = whole[0]
    strangers = [make_video(tmp_path, "alpha", seed=8), make_video(tmp_path, "beta", seed=9)]
    other = build(tmp_path / "other", strangers, stranger(content(strangers)))
    with pytest.raises(
        DataError, match=r"frame 0 of video 'alpha' is stored otherwise in .*P-0\.5\.h5"
    ) as error:
        merge([path, other], tmp_path / "no.h5")
    assert error.value.path == other and "--prefix" in error.value.remedy
    longer = [make_video(tmp_path, "alpha", frames=12, seed=8)]
    third = build(tmp_path / "third", longer, stranger(content(longer)))
    with pytest.raises(DataError, match=r"videos/length, row 0: 12 for video 'alpha', 9 in .*P-0\.5\.h5"):
        merge([path, third], tmp_path / "no.h5")
    # Another window of perhaps the same video: only equal data, or an image in common, shows that it is.
    late, early = part(whole, "late.h5", [2]), part(whole, "early.h5", [0], source_fingerprint="other")
    with pytest.raises(
        DataError, match=r"holds a video 'alpha', as .*late\.h5 does, .* have no image in common"
    ):
        merge([late, early], tmp_path / "no.h5")
    middle = part(whole, "middle.h5", [1], source_fingerprint="third")
    assert merge([late, middle, early], tmp_path / "yes.h5").windows == 3
    merge([path, other], tmp_path / "merged.h5", ["", "other-"])
    assert validate(tmp_path / "merged.h5") == []
    expected = windows(path) | {(f"other-{video}", start): w for (video, start), w in windows(other).items()}
    assert windows(tmp_path / "merged.h5") == expected
    assert not (tmp_path / "no.h5").exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("beta", 0.4, "its beta is 0.4, there it is 0.5. Merge sets of one β"),
        ("seed", 1, "its seed is 1, there it is 0. Build both with the same select.seed"),
        ("window_stride", 3, "its window_stride is 3, there it is 2"),
        ("windows_per_video", 4, "its windows_per_video is 4, there it is 5"),
        ("absent_policy", "ignore", "its absent_policy is ignore, there it is fail"),
    ],
)
def test_what_a_set_states_once_has_to_agree(whole, tmp_path, name, value, said):
    odd = part(whole, "odd.h5", [0, 1, 2], **{name: value})
    with pytest.raises(DataError) as error:
        merge([whole[0], odd], tmp_path / "no.h5")
    assert f"{odd}: cannot be merged with {whole[0]}: {said}" in str(error.value)


def test_pixels_encoded_otherwise_are_refused(whole, tmp_path):
    path, made, videos = whole
    sharp = build(tmp_path / "sharp", videos, made, Encoding(quality=90))
    with pytest.raises(
        DataError, match=r"its frames/quality is 90, there it is 85\. Build both with the same `pack`"
    ):
        merge([path, sharp], tmp_path / "no.h5")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        ("ground_truth", "frame 2 of video 'alpha' begins a window of other boxes/ground_truth in"),
        ("teacher", "frame 2 of video 'alpha' begins a window of other boxes of kcf in"),
    ],
)
def test_a_window_that_two_sets_hold_differently_is_refused(whole, tmp_path, array, said):
    path, made, _ = whole
    values = getattr(made, array).copy()
    values[1, 3] += 0.25
    odd = path.with_name(f"odd-{array}.h5")
    write_set(odd, changed(made, **{array: values}), path.with_name("frames.h5"))
    with pytest.raises(DataError) as error:
        merge([path, odd], tmp_path / "no.h5")
    assert f"{odd}: {said} {path}" in str(error.value) and "build both again" in str(error.value)


def test_a_teacher_known_on_some_windows_of_a_video_is_refused(whole, tmp_path):
    """The format wants a teacher on all windows of a video or on none."""
    path, made, videos = whole
    few = subset(made, np.array([0, 1]))
    other = build(tmp_path / "other", videos, taught(few, few.ground_truth[:, :, None], "third"))
    with pytest.raises(DataError) as error:
        merge([path, other], tmp_path / "no.h5")
    assert error.value.path == path
    said = "its window at frame 5 of video 'alpha' has no boxes of third, which is positive on the window at frame 0"
    assert said in str(error.value)
    twice = path.with_name("twice.h5")
    write_set(twice, subset(whole[1], np.array([0, 0])), path.with_name("frames.h5"))
    with pytest.raises(DataError, match=r"frame 0 of video 'alpha' begins a second window in .*twice\.h5"):
        merge([path, twice], tmp_path / "no.h5")


def test_damaged_images_are_refused(whole, tmp_path):
    alone = tmp_path / "alone.h5"
    export(whole[0], alone)
    data = bytearray(alone.read_bytes())
    with TransferReader(alone) as reader:
        place = data.index(bytes(reader[4].jpeg(2)))
        row = int(reader[4].rows[2])
    data[place + 40] ^= 1
    alone.write_bytes(data)
    with pytest.raises(DataError, match=f"frames/data, row {row}: the JPEG file changed") as error:
        merge([alone], tmp_path / "no.h5")
    assert error.value.path == alone and sorted(p.name for p in tmp_path.iterdir()) == ["alone.h5"]


def test_sets_without_windows(whole, tmp_path):
    nothing = part(whole, "nothing.h5", np.arange(0))
    assert merge([nothing, nothing], tmp_path / "nothing.h5").windows == 0
    assert validate(tmp_path / "nothing.h5") == []
    merge([nothing, whole[0]], tmp_path / "all.h5")
    assert windows(tmp_path / "all.h5") == windows(whole[0])


def test_the_command_and_what_it_refuses(whole, tmp_path, capsys, monkeypatch):
    path, out = whole[0], tmp_path / "all.h5"
    first, second = part(whole, "first.h5", np.arange(4)), part(whole, "second.h5", np.arange(3, 9))

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["datasets", "merge", *map(str, arguments)])
        return command.main()

    assert run(out, first, second) == 0
    assert "windows: 9 of 3 videos; 1 of those read stood in another set already" in capsys.readouterr().out
    assert windows(out) == windows(path)
    for arguments, said in [
        ((out, first), "is there already"),
        ((tmp_path / "no.h5",), "no transfer set is named"),
        ((tmp_path / "no.h5", first, tmp_path / "x.h5"), "x.h5: does not exist"),
        ((tmp_path / "no.h5", first, second, "--prefix", "a"), "--prefix: 1 for 2 sets: give one for each"),
        ((tmp_path / "no.h5", first, "--prefix", "a/"), "--prefix 'a/': a video's name holds no"),
        ((tmp_path / "no.h5", path.with_name("frames.h5")), "this is the pixels of transfer sets"),
    ]:
        assert run(*arguments) == 2
        assert said in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.h5"]
