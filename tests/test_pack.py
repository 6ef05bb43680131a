"""The pack stage: sets that agree with the selection, and the same bytes for any number of workers."""

import hashlib
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
import yaml

from datasets.errors import DataError
from datasets.transfer.reader import TransferReader
from datasets.transfer.validate import validate
from datasets.video import Video
from pipeline import pack, places, stats
from pipeline.follow import failure
from pipeline.index import Index, make_index
from pipeline.params import SelectParams, read_params
from pipeline.select import read_trajectories, select
from pipeline.track import track
from pipeline.trajectories import Status, Trajectories, Trajectory


@pytest.fixture
def selected(workspace, small_videos):
    """A workspace in which two real trackers ran and a selection was made."""
    workspace(
        dataset={"kind": "got10k", "root": str(small_videos), "split": "train"},
        teachers={"mosse": {}, "medianflow": {}},
        track={"stop_below": 0.3},
        select={"betas": [0.3, 0.6, 0.99], "window_length": 16},
        executor={"workers": 1},
    )
    params = read_params()
    index = make_index(params)
    index.write(places.INDEX)
    for name in params.teachers:
        track(name, params, index).write(places.trajectories(name))
    trajectories = read_trajectories(list(params.teachers), index)
    selection = select(index, trajectories, params.select)
    selection.write(places.SELECTION)
    return index, trajectories, selection


def digests():
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(places.TRANSFER.iterdir())}


def test_sets_hold_the_selected_windows_with_the_positive_teachers_boxes(selected):
    index, trajectories, selection = selected
    assert pack.Command().run() == 0
    assert len(list(places.TRANSFER.iterdir())) == 1 + 3 * 3
    assert selection.positive[0].any(axis=0).all(), (
        "both teachers should be positive somewhere, or this tests little"
    )
    for pool, columns in (("mosse", [0]), ("medianflow", [1]), ("P", [0, 1])):
        for b, beta in enumerate(selection.betas):
            path = places.transfer_set(pool, beta)
            assert validate(path) == []
            with TransferReader(path) as reader:
                wanted = [
                    (index.names[v], start)
                    for v, start in zip(selection.window_video, selection.window_start, strict=True)
                    if selection.positive[b, v, columns].any()
                ]
                found = [(reader[n].video, reader[n].start) for n in range(len(reader))]
                assert found == wanted
                for n, (name, start) in enumerate(wanted):
                    v = index.names.index(name)
                    frames = slice(start, start + 16)
                    window = reader[n]
                    np.testing.assert_array_equal(
                        window.ground_truth, index.ground_truth[index.rows(v)][frames]
                    )
                    for k, column in enumerate(columns):
                        run = trajectories[selection.teachers[column]][v]
                        if selection.positive[b, v, column]:
                            np.testing.assert_array_equal(window.teacher[:, k], run.boxes[frames])
                        else:
                            assert np.isnan(window.teacher[:, k]).all()


def test_an_outdated_selection_is_refused(selected):
    """Else windows would hold boxes of other frames, or of other videos."""
    index, trajectories, selection = selected
    changed = trajectories["mosse"]
    v = int(np.flatnonzero(selection.positive[0, :, 0])[0])
    cut = [changed[u] if u != v else failure("lost") for u in range(len(index))]
    Trajectories.of("mosse", index.fingerprint, 0.3, cut).write(places.trajectories("mosse"))
    for command in (pack.Command(), stats.Command()):
        with pytest.raises(DataError, match=r"of other trajectories of mosse than .*mosse\.h5"):
            command.run()
    one_more = np.pad(selection.positive, ((0, 0), (0, 1), (0, 0)))
    for other in (replace(selection, dataset="other"), replace(selection, positive=one_more)):
        other.write(places.SELECTION)
        for command in (pack.Command(), stats.Command()):
            with pytest.raises(DataError, match="of another index"):
                command.run()
    assert not places.TRANSFER.exists()


def test_a_set_says_of_what_dataset_the_index_is(selected, workspace):
    """params.yaml may name another one by now; the index does not."""
    workspace(dataset={"kind": "otb", "root": "elsewhere"})
    pack.Command().run()
    with TransferReader(places.transfer_set("P", 0.3)) as reader:
        provenance = reader.content.provenance
    assert (provenance.source_dataset, provenance.source_split) == ("got10k", "train")


def test_a_set_of_some_videos_of_an_index(tmp_path):
    """Videos of different lengths and classes, of which the first is nobody's and the last the other teacher's."""
    lengths = (4, 5, 7, 6)
    videos = [
        Video(f"v{v}", (), np.tile(np.float32([v, 1, 8, 8]), (n, 1)), np.arange(n) == 2, f"class {v}")
        for v, n in enumerate(lengths)
    ]
    index = Index.of("lasot:/data:test", videos)
    pool = {}
    for name, kept in (("kcf", (1, 2)), ("eco", (2, 3))):
        runs = [
            Trajectory(v.ground_truth + np.float32(0.5), np.where(v.absent, 0, 0.8), Status.COMPLETED)
            if n in kept
            else failure("lost")
            for n, v in enumerate(videos)
        ]
        pool[name] = Trajectories.of(name, index.fingerprint, None, runs)
    changes = {"window_length": 3, "window_stride": 2, "windows_per_video": 4, "seed": 9, "absent": "ignore"}
    selection = select(index, pool, SelectParams.model_validate({"betas": (0.5, 0.7), **changes}))
    for teachers, kept in ((["kcf"], [1, 2]), (["eco"], [2, 3]), (["eco", "kcf"], [1, 2, 3])):
        made = pack.transfer_set(index, pool, selection, 1, teachers, "name")
        p = made.provenance
        assert (p.pool, p.teachers, p.beta) == ("name", tuple(teachers), 0.7)
        assert (p.window_length, p.window_stride, p.windows_per_video, p.seed) == (3, 2, 4, 9)
        assert (p.absent_policy, p.source_dataset, p.source_split) == ("ignore", "lasot", "test")
        assert made.video_name == tuple(f"v{v}" for v in kept)
        assert made.object_class == tuple(f"class {v}" for v in kept)
        assert made.video_length.tolist() == [lengths[v] for v in kept]
        for n in range(len(made)):
            v = kept[made.window_video[n]]
            frames = slice(made.window_start[n], made.window_start[n] + 3)
            np.testing.assert_array_equal(made.absent[n], videos[v].absent[frames])
            np.testing.assert_array_equal(made.ground_truth[n], videos[v].ground_truth[frames])
        assert made.absent.any()


def test_pixels_are_encoded_as_params_yaml_says(selected, workspace):
    workspace(pack={"window_scale": 3.25, "oversampling": 1.5, "quality": 60})
    pack.Command().run()
    with h5py.File(places.FRAMES) as file:
        told = {name: file["frames"].attrs[name] for name in ("window_scale", "oversampling", "quality")}
    assert told == {"window_scale": 3.25, "oversampling": 1.5, "quality": 60}


def test_a_video_that_is_excluded_since_it_was_indexed_ends_the_stage(selected, workspace, tmp_path):
    index, _, selection = selected
    (tmp_path / "exclude.txt").write_text(f"{index.names[selection.window_video[0]]}\n")
    workspace(
        dataset={
            **yaml.safe_load((tmp_path / "params.yaml").read_text())["dataset"],
            "exclude": "exclude.txt",
        }
    )
    with pytest.raises(DataError, match="was left out of its list, or excluded"):
        pack.Command().run()
    assert not places.FRAMES.exists()


def test_all_videos_whose_images_cannot_be_read_are_named_at_once(
    selected, workspace, small_videos, tmp_path
):
    index, _, selection = selected
    copy = tmp_path / "videos"
    shutil.copytree(small_videos, copy)
    workspace(dataset={"kind": "got10k", "root": str(copy), "split": "train"})
    make_index(read_params()).write(places.INDEX)
    first, second = (index.names[v] for v in np.unique(selection.window_video)[:2])
    for name in (first, second):
        image = copy / "train" / name / "00000002.jpg"
        image.write_bytes(bytes(image.stat().st_size))
    with pytest.raises(DataError, match=rf"2 of \d+ videos cannot be read(.|\n)*{first}(.|\n)*{second}"):
        pack.Command().run()
    assert not places.FRAMES.exists()


def test_blocks_are_written_in_the_order_of_the_index_whichever_is_ready_first():
    answers = [(2, "c"), (0, "a"), (3, "d"), (1, "b"), (4, "e")]
    assert list(pack._in_order(iter(answers))) == list("abcde")


def test_two_workers_write_the_same_bytes_as_one(selected, workspace):
    pack.Command().run()
    one = digests()
    workspace(executor={"workers": 2})
    pack.Command().run()
    assert digests() == one


def test_the_source_encoding_keeps_the_files_bytes(selected, workspace, small_videos):
    workspace(pack={"pixels": "source"})
    pack.Command().run()
    with TransferReader(places.transfer_set("P", 0.3)) as reader:
        window = reader[0]
        image = small_videos / "train" / window.video / f"{window.start + 1:08d}.jpg"
        assert bytes(window.jpeg(0)) == image.read_bytes()


def test_sets_without_a_window_are_written_and_valid(selected):
    *_, selection = selected
    assert not selection.positive[2].any()
    pack.Command().run()
    with TransferReader(places.transfer_set("P", 0.99)) as reader:
        assert len(reader) == 0
    assert Index.read().fingerprint == selection.dataset
