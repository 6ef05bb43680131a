"""What students learn from: the order of windows, clips turned and mirrored, a follower's boxes, the curriculum."""

import dataclasses

import numpy as np
import torch
from learning_runs import CPU

from trainer.crops import crop_batch
from trainer.curriculum import Curriculum
from trainer.episodes import load, plan
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
    still = Curriculum(c.options, 9, grows=False)
    still.finish(1, 0)
    assert still.horizon == still.longest_next == 9


def test_videos_are_held_out_by_name():
    names = [f"video {i}" for i in range(2000)]
    out = held_out(names, 0.25)
    assert 0.2 < out.mean() < 0.3 and (held_out(names[::-1], 0.25)[::-1] == out).all()
    assert not held_out(names, 0.0).any() and (out <= held_out(names, 0.5)).all()
    assert held_out(names[:5], 1e-9).sum() == 1  # a small set gives one at least
