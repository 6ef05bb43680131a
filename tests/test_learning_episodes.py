"""What students learn from: the order of windows, clips turned and mirrored, a follower's boxes, the curriculum."""

import dataclasses

import numpy as np
import pytest
import torch
from learning_runs import CPU, made, run_options

from trainer.crops import crop_batch
from trainer.curriculum import Curriculum
from trainer.episodes import Reader, draw_drift, load, plan, strayed
from trainer.interactions import joined
from trainer.mdp import overlap
from trainer.options import CurriculumOptions, EpisodeOptions, TrainOptions
from trainer.windows import held_out

torch.set_num_threads(1)


def test_every_window_comes_once_a_round(windows):
    options = EpisodeOptions()
    drawn = [plan(options, windows, 3, s, e, 4).window for e in range(6) for s in range(4)]
    assert sorted(drawn[:12]) == sorted(drawn[12:]) == list(range(12))
    assert drawn[:12] != drawn[12:]
    assert drawn == [plan(options, windows, 3, s, e, 4).window for e in range(6) for s in range(4)]
    assert drawn[:12] != [plan(options, windows, 4, s, e, 4).window for e in range(3) for s in range(4)]


def test_no_two_students_and_no_two_episodes_are_drawn_alike(windows):
    options = EpisodeOptions(shake=0.1, tint=0.4)
    drawn = [plan(options, windows, 3, s, e, 4) for e in range(3) for s in range(4)]
    assert len({one.shake for one in drawn}) == len({one.follow for one in drawn}) == len(drawn)
    for one in drawn:  # nor is one colour brighter as it has more contrast
        assert not np.isclose(np.array(one.contrast) - 1, one.brightness).any()


def test_a_window_that_ends_without_its_target_is_not_run_backwards(windows):
    """It would begin there, where no student can."""
    options = EpisodeOptions(reverse=1.0)
    assert plan(options, windows, 0, 0, 0, 1).reversed
    windows.present[:, -1] = False
    assert not any(plan(options, windows, 0, s, 0, 12).reversed for s in range(12))


def test_turns_are_by_one_two_and_three_quarters(windows):
    options = EpisodeOptions(turn=1.0)
    assert {plan(options, windows, 0, s, 0, 40).quarters for s in range(40)} == {1, 2, 3}


def test_tracks_stray_by_a_share_of_what_they_may():
    """A part of them hardly, so that a judge sees good boxes too."""
    options, rng = EpisodeOptions(drift=0.6), np.random.default_rng(0)
    drifts = np.array([draw_drift(options, rng) for _ in range(4000)])
    assert drifts.std() == pytest.approx(0.6 * np.sqrt(1 / 3), rel=0.05)
    together = (np.abs(drifts) < 0.06).all(axis=1).mean()
    assert (
        together > 0.05
    )  # all four numbers by one factor: by a factor each, it would be a hundredth of them


def test_a_follower_that_strays_keeps_an_area():
    boxes = np.tile(np.array([5, 5, 8, 4], np.float32), (4, 1))
    strays = strayed(boxes, (0, 0, -3.0, 0), 1.5)
    assert strays[:, 2].tolist() == [8, 2, 1.5, 1.5] and (strays[:, 3] == 4).all()


def test_a_frame_without_target_asks_for_nothing_and_gives_nothing(windows):
    """Though it may have a box: a target that is hidden is often annotated all the same."""
    windows.present[:, 1] = False
    _, now = made(windows, run_options(recipe="tras-no-curr"))
    frame = now.frame()
    assert not any(part.any() for part in (frame.truth, frame.teacher, frame.teacher_reward, frame.present))
    assert not now.rewards(torch.zeros(2, 4, 4), frame).any()
    gained, overlaps, _ = now.act(torch.zeros(4, 4), now.memory, frame)
    assert not gained.any() and not overlaps.any()
    assert now.frame().present.all() and now.frame().teacher_reward.any()


def test_no_more_frames_are_decoded_than_an_episode_may_have(windows):
    with Reader(TrainOptions(students=4), windows, CPU) as reader:
        reader.prepare(0, 0, 1)
        assert len(reader.take(0, 0, 1).images) == 2
        assert len(reader.take(1, 0, windows.length - 1).images) == windows.length


def test_what_an_episode_gained_is_counted_from_its_beginning(windows):
    _, now = made(windows, run_options(recipe="tras-no-curr"))
    sums, left = torch.zeros(4, 2), []
    for _ in range(2 * windows.length):
        frame = now.frame()
        gained, _, ends = now.act(torch.zeros(4, 4), now.memory, frame)
        sums = sums + torch.stack([gained, frame.teacher_reward], dim=1)
        sums[ends] = 0.0
        left.append(now.state()["gained"])
        torch.testing.assert_close(left[-1], sums)
    assert any(bool(each.any()) for each in left)


@pytest.mark.parametrize("well", [True, False])
def test_students_that_do_as_well_as_their_teachers_get_longer_episodes(windows, well):
    curriculum = CurriculumOptions(start=1, episodes=2, success=1.0)
    _, now = made(windows, run_options(curriculum=curriculum))
    for _ in range(2):
        frame = now.frame()
        now.act(frame.truth if well else torch.full((4, 4), -1.0), now.memory, frame)
    assert [c.horizon for c in now.curricula] == [2 if well else 1] * 4


def test_students_go_on_in_the_middle_of_an_episode(windows):
    options = run_options(recipe="tras-no-curr")
    (learner, now), (_, again) = made(windows, options), made(windows, options)
    learner.update()
    state = now.state()
    again.restore(joined([state]))
    found = again.state()
    assert state["gained"].any() and state["hidden"].any() and state["t"] == [3] * 4
    assert found.keys() == state.keys()
    for name, values in state.items():
        assert torch.equal(found[name], values) if torch.is_tensor(values) else found[name] == values
    for seen, wanted in zip(again.crops(), now.crops(), strict=True):
        assert torch.equal(seen, wanted)


def test_a_mirrored_and_reversed_clip_shows_the_same_mirrored_and_reversed(windows):
    options = TrainOptions(episode=EpisodeOptions(mirror=1.0, reverse=1.0))
    drawn = plan(options.episode, windows, 0, 0, 0, 1)
    assert drawn.mirrored and drawn.reversed
    clip = load(windows, drawn, 4, options, CPU)
    window = windows.window(drawn.window)
    for t in range(4):
        crop = crop_batch(
            [clip.images[t]], clip.rows.windows[t, None], clip.rows.sizes[t, None], clip.rows.truth[t, None]
        )[0]
        plain = torch.from_numpy(window.image(3 - t))
        region, size = torch.from_numpy(window.regions[3 - t]), torch.from_numpy(window.image_size[3 - t])
        truth = torch.from_numpy(window.ground_truth[3 - t])
        expected = crop_batch([plain], region[None], size[None], truth[None])[0].flip(-1)
        assert (
            crop - expected
        ).abs().mean() < 0.05  # corners that round the other way shift it by half a pixel
    start = load(windows, dataclasses.replace(drawn, shake=(0.1, 0, 0, -2.0)), 2, options, CPU).first
    assert start[3] == 1.0 and torch.isclose(start[0], clip.rows.truth[0, 0] + 0.1 * clip.rows.truth[0, 2])


def test_a_turned_and_hurried_clip_shows_the_same_turned_and_hurried(windows):
    drawn = plan(EpisodeOptions(turn=1.0, hurry=1.0), windows, 0, 0, 0, 1)
    assert drawn.quarters in (1, 2, 3) and drawn.hurried
    shown = [0, 2, 0, 2]
    window = windows.window(drawn.window)
    for quarters in (1, 2, 3):
        turned = dataclasses.replace(drawn, quarters=quarters)
        clip = load(windows, turned, 4, TrainOptions(), CPU)
        for t in range(4):
            crop = crop_batch(
                [clip.images[t]],
                clip.rows.windows[t, None],
                clip.rows.sizes[t, None],
                clip.rows.truth[t, None],
            )
            one = slice(shown[t], shown[t] + 1)
            regions, sizes, truth = (
                torch.from_numpy(values[one])
                for values in (window.regions, window.image_size, window.ground_truth)
            )
            plain = crop_batch([torch.from_numpy(window.image(shown[t]))], regions, sizes, truth)
            expected = plain.rot90(quarters, (2, 3))
            # Corners that round the other way shift it by half a pixel.
            assert (crop - expected).abs().mean() < 0.05
        wide = quarters % 2
        assert clip.rows.sizes[0].tolist() == window.image_size[0][:: -1 if wide else 1].tolist()


def test_a_follower_takes_any_teachers_boxes_and_strays_from_them_bit_by_bit(windows):
    options, length = TrainOptions(), windows.length
    two = next(n for n in range(len(windows)) if not np.isnan(windows.window(n).teacher).any())
    one = next(n for n in range(len(windows)) if np.isnan(windows.window(n).teacher).any())
    drawn = dataclasses.replace(
        plan(options.episode, windows, 0, 0, 0, 4), window=two, drift=(0.0,) * 4, mirrored=False
    )
    for share, k in ((0.1, 0), (0.9, 1)):
        clip = load(windows, dataclasses.replace(drawn, follow=share), length, options, CPU)
        assert np.array_equal(clip.rows.followed, windows.window(two).teacher[:, k])
    alone = load(windows, dataclasses.replace(drawn, window=one, follow=0.9), length, options, CPU)
    assert np.array_equal(alone.rows.followed, windows.window(one).teacher[:, 0])
    strays = load(windows, dataclasses.replace(drawn, drift=(0.4, 0, -0.2, 0)), length, options, CPU)
    held = load(windows, dataclasses.replace(drawn), length, options, CPU).rows.followed
    share = torch.arange(length) / length
    torch.testing.assert_close(strays.rows.followed[:, 0], held[:, 0] + 0.4 * share * held[:, 2])
    torch.testing.assert_close(strays.rows.followed[:, 2], held[:, 2] * (1 - 0.2 * share))
    assert torch.equal(strays.rows.followed[:, [1, 3]], held[:, [1, 3]])
    turned = load(windows, dataclasses.replace(drawn, quarters=2, mirrored=True), length, options, CPU)
    back = overlap(turned.rows.followed, turned.rows.truth), overlap(held, strays.rows.truth)
    torch.testing.assert_close(*back)


def test_the_curriculum_grows_with_success_alone():
    c = Curriculum(CurriculumOptions(start=2, step=3, episodes=2, success=0.5), most=9)
    c.finish(0.3, 0.1 + 0.2)  # equal but for rounding
    c.finish(0.0, 1.0)
    assert c.horizon == 5 and c.longest_next == 8
    for _ in range(4):
        c.finish(0.0, 1.0)
    assert c.horizon == 5
    for _ in range(8):
        c.finish(1.0, 1.0)
    assert c.horizon == 9
    assert Curriculum(c.options, 9, True, **c.state()) == c
    assert Curriculum(CurriculumOptions(start=5), most=3).horizon == 3
    still = Curriculum(c.options, 9, grows=False)
    still.finish(1, 0)
    assert still.horizon == still.longest_next == 9


def test_videos_are_held_out_by_name():
    names = [f"video {i}" for i in range(2000)]
    out = held_out(names, 0.25)
    assert 0.2 < out.mean() < 0.3 and (held_out(names[::-1], 0.25)[::-1] == out).all()
    assert not held_out(names, 0.0).any() and (out <= held_out(names, 0.5)).all()
    assert held_out(names[:5], 1e-9).sum() == 1  # a small set gives one at least
