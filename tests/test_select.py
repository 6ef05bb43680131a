"""Which trajectories are positive, and which windows are cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.video import Video
from pipeline import places
from pipeline.index import Index
from pipeline.params import SelectParams
from pipeline.select import Command, Selection, lowest_overlap, select, window_starts
from pipeline.trajectories import Status, Trajectories, Trajectory, first_stop

VALUES = st.sampled_from([0.0, 0.3, 0.5, 0.55, 0.7, 0.8, 1.0])


@st.composite
def pools(draw):
    """A few videos, and the overlaps of two teachers on them, cut where a stop at 0.5 cuts."""
    videos, runs = [], {"a": [], "b": []}
    for number in range(draw(st.integers(1, 5))):
        length = draw(st.integers(1, 50))
        absent = np.array(draw(st.lists(st.booleans(), min_size=length, max_size=length))) & draw(
            st.booleans()
        )
        videos.append(Video(f"v{number}", (), np.ones((length, 4), np.float32), absent))
        for runs_of in runs.values():
            overlap = np.array(draw(st.lists(VALUES, min_size=length, max_size=length)))
            if draw(st.booleans()):
                overlap = np.maximum(overlap, 0.55)
            overlap[absent] = 0.0
            trajectory = Trajectory(np.ones((length, 4), np.float32), overlap, Status.COMPLETED)
            if draw(st.integers(0, 9)) == 0:
                trajectory = Trajectory(np.empty((0, 4), np.float32), np.empty(0), Status.FAILED, "broke")
            runs_of.append(trajectory.until(0.5, absent))
    index = Index.of("annotations:x", videos)
    return index, {name: Trajectories.of(name, index.fingerprint, 0.5, t) for name, t in runs.items()}


def brute_force(index, trajectories, v, beta, ignore):
    """The definition, frame by frame."""
    run = trajectories[v]
    if run.status is not Status.COMPLETED:
        return False
    frames = [t for t in range(1, len(run)) if not (ignore and index.absent[index.rows(v)][t])]
    return bool(frames) and all(run.overlap[t] > beta for t in frames)


@given(pools(), st.sampled_from(["fail", "ignore"]))
def test_positive_means_above_beta_on_every_frame(pool, absent):
    index, trajectories = pool
    params = SelectParams(betas=(0.5, 0.6, 0.75), absent=absent)
    selection = select(index, trajectories, params)
    for b, beta in enumerate(params.betas):
        turned = 0
        for v in range(len(index)):
            literal = [brute_force(index, t, v, beta, ignore=False) for t in trajectories.values()]
            lenient = [brute_force(index, t, v, beta, ignore=True) for t in trajectories.values()]
            assert selection.positive[b, v].tolist() == (lenient if absent == "ignore" else literal)
            turned += any(literal) != any(lenient)
        assert selection.changed_by_absent[b] == turned
    kept = selection.videos(0)
    for v in range(len(index)):
        starts = selection.window_start[selection.window_video == v].tolist()
        wanted = window_starts(index.names[v], int(index.lengths[v]), params).tolist() if kept[v] else []
        assert starts == wanted


@given(pools())
def test_a_selection_survives_its_file(tmp_path_factory, pool):
    index, trajectories = pool
    selection = select(index, trajectories, SelectParams())
    path = tmp_path_factory.mktemp("s") / "selection.h5"
    selection.write(path)
    again = Selection.read(path)
    assert again.params == selection.params
    assert again.teachers == selection.teachers
    for name in ("positive", "changed_by_absent", "window_video", "window_start"):
        np.testing.assert_array_equal(getattr(again, name), getattr(selection, name))


@given(st.integers(1, 700), st.integers(2, 64), st.integers(1, 40), st.integers(1, 8), st.text(max_size=8))
def test_windows_lie_inside_the_video_on_the_grid(length, window, stride, most, name):
    params = SelectParams(window_length=window, window_stride=stride, windows_per_video=most)
    starts = window_starts(name, length, params)
    assert len(starts) == min(most, max(0, (length - window) // stride + 1))
    assert (starts % stride == 0).all()
    assert (starts + window <= length).all()
    assert (np.diff(starts) > 0).all()
    assert starts.tolist() == window_starts(name, length, params).tolist()


@pytest.mark.parametrize(
    ("length", "windows"), [(31, 0), (32, 1), (70, 4), (71, 4), (80, 5), (81, 5), (600, 5)]
)
def test_table_1s_counts(length, windows):
    assert len(window_starts("GOT-10k_Train_000001", length, SelectParams())) == windows


def test_windows_differ_between_videos_and_seeds():
    drawn = {
        tuple(window_starts(name, 600, SelectParams(seed=seed)).tolist())
        for name in "abc"
        for seed in (0, 1, 2)
    }
    assert len(drawn) == 9


def test_nothing_to_look_at_keeps_nobody():
    index = Index.of("x", [Video("one frame", (), np.ones((1, 4), np.float32), np.zeros(1, bool))])
    run = Trajectory(np.ones((1, 4), np.float32), np.ones(1), Status.COMPLETED)
    assert lowest_overlap(index, Trajectories.of("a", "", None, [run]), ignore=False).tolist() == [-1.0]


def test_a_tie_is_not_above():
    """The filter is strict (>), unlike the reward's >=."""
    index = Index.of("x", [Video("v", (), np.ones((3, 4), np.float32), np.zeros(3, bool))])
    run = Trajectory(np.ones((3, 4), np.float32), np.array([1, 0.5, 0.9]), Status.COMPLETED)
    selection = select(index, {"a": Trajectories.of("a", "", None, [run])}, SelectParams(betas=(0.5,)))
    assert not selection.positive.any()


def test_absent_frames_stop_nobody():
    overlap = np.array([1.0, 0.0, 0.9, 0.2])
    assert first_stop(overlap, np.array([False, True, False, False]), 0.5) == 3
    assert first_stop(overlap, np.array([False, False, False, False]), 0.5) == 1
    assert first_stop(overlap, np.array([False, True, False, True]), 0.5) is None
    assert first_stop(overlap, np.zeros(4, bool), None) is None


def test_frame_0_stops_nobody():
    assert first_stop(np.array([0.0, 0.9]), np.zeros(2, bool), 0.5) is None


@pytest.mark.parametrize(("window_length", "said"), [(4, ""), (5, "no video has a window")])
def test_it_is_told_where_the_windows_are_longer_than_every_video(workspace, capsys, window_length, said):
    workspace(
        dataset={"kind": "got10k", "root": "x"},
        teachers={"kcf": {}},
        select={"betas": [0.5], "window_length": window_length},
    )
    index = Index.of("x", [Video("v", (), np.ones((4, 4), np.float32), np.zeros(4, bool))])
    index.write(places.INDEX)
    run = Trajectory(np.ones((4, 4), np.float32), np.ones(4), Status.COMPLETED)
    Trajectories.of("kcf", index.fingerprint, None, [run]).write(places.trajectories("kcf"))
    assert Command().run() == 0
    printed = capsys.readouterr()
    assert ("1 window" in printed.out) == (not said)
    assert said in printed.err and bool(said) == bool(printed.err)
