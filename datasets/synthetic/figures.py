"""The things that are tracked: balls, cars, fish, dogs, birds, kites, balloons, signs; and what hides them.

Each takes a source of randomness, a hue, the density of its textures and how lively it is (0: stiff, 1: limbs
swing and bodies wave fully), and gives a `Sprite`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from datasets.synthetic.sprites import Joint, Points, Sprite, curve, ellipse, make_part, material
from datasets.synthetic.textures import star

Figure = Callable[[np.random.Generator, float, float, float], Sprite]
DARK, PALE, GLASS = (25.0, 22.0, 20.0), (225.0, 230.0, 232.0), (120.0, 95.0, 60.0)


def ball(rng: np.random.Generator, hue: float, density: float, lively: float) -> Sprite:
    """A ball with stripes or patches, which may roll."""
    pattern = str(rng.choice(["stripes", "patches", "checks", "spots"]))
    skin = material(rng, hue, pattern)
    return (
        make_part(
            rng, ellipse(0, 0, 0.5, 0.5), skin, density, joint=Joint(spin=lively * rng.normal(0, 0.05))
        ),
    )


def car(rng: np.random.Generator, hue: float, density: float, lively: float) -> Sprite:
    """A car from the side: a body with windows, and two wheels."""
    roof = rng.uniform(0.2, 0.3)
    corners = ((-0.5, 0.16), (-0.5, -0.02), (-0.33, -0.06), (-0.2, -roof), (0.15, -roof), (0.3, -0.05))
    body = curve(*corners, (0.5, 0.0), (0.5, 0.16))
    panes = [curve((-0.26, -0.06), (-0.17, 0.04 - roof), (-0.03, 0.04 - roof), (-0.03, -0.06), smooth=1)]
    panes += [curve((0.0, -0.06), (0.0, 0.04 - roof), (0.13, 0.04 - roof), (0.23, -0.06), smooth=1)]
    lamp = ellipse(0.45, 0.04, 0.03, 0.025)
    marks = (*((p, GLASS) for p in panes), (lamp, PALE))
    paint = material(rng, hue, str(rng.choice(["plain", "stripes", "patches"])))
    rubber = material(rng, 0.6, "plain")
    parts = [make_part(rng, body, paint, density, marks=marks)]
    for x in (-0.3, 0.29):
        hub = (ellipse(x, 0.16, 0.1, 0.1), DARK), (ellipse(x, 0.16, 0.05, 0.045), PALE)
        wheel = ellipse(x, 0.16, 0.1, 0.1)
        axle = Joint(pivot=(x, 0.16), spin=lively * 0.3)
        parts.append(make_part(rng, wheel, rubber, density, marks=hub, joint=axle))
    return tuple(parts)


def fish(rng: np.random.Generator, hue: float, density: float, lively: float) -> Sprite:
    """A fish, whose tail waves."""
    fat = rng.uniform(0.15, 0.24)
    upper = ((0.5, 0.0), (0.35, -0.8 * fat), (0.05, -fat), (-0.2, -0.5 * fat), (-0.33, -0.2 * fat))
    tail = ((-0.5, -rng.uniform(0.12, 0.2)), (-0.43, 0.0))
    lower = tuple((x, -y) for x, y in reversed((*upper[1:], tail[0])))
    eye = ((ellipse(0.36, -0.05, 0.035, 0.035), PALE), (ellipse(0.365, -0.05, 0.018, 0.018), DARK))
    body = densified(curve(*upper, *tail, *lower))
    swim = Joint(wave=lively * rng.uniform(0.1, 0.3), period=rng.uniform(12, 26))
    return (make_part(rng, body, material(rng, hue), density, marks=eye, joint=swim),)


def dog(rng: np.random.Generator, hue: float, density: float, lively: float) -> Sprite:
    """An animal with four legs, a tail and a head."""
    fur, period, gait = material(rng, hue), rng.uniform(10, 20), lively * rng.uniform(0.3, 0.7)
    parts = []
    for x, phase in ((-0.24, 0.0), (0.18, np.pi), (-0.17, np.pi), (0.25, 0.0)):
        leg = ellipse(x, 0.22, 0.05, 0.2, 0.0, 2.6)
        hip = Joint(pivot=(x, 0.08), swing=gait, period=period, phase=phase)
        parts.append(make_part(rng, leg, fur, density, joint=hip))
    tail = curve((-0.28, -0.08), (-0.42, -0.28), (-0.47, -0.3), (-0.45, -0.24), (-0.3, 0.0))
    wag = Joint(pivot=(-0.28, -0.04), swing=gait * 0.8, period=period * 0.8)
    parts.append(make_part(rng, tail, fur, density, joint=wag))
    parts.append(make_part(rng, ellipse(0.0, 0.0, 0.33, 0.16, 0.0, 2.4), fur, density))
    face = ((ellipse(0.39, -0.2, 0.02, 0.02), DARK), (ellipse(0.47, -0.13, 0.022, 0.02), DARK))
    head = curve(
        (0.22, -0.05), (0.24, -0.27), (0.28, -0.38), (0.33, -0.29), (0.42, -0.26), (0.5, -0.14), (0.36, -0.02)
    )
    nod = Joint(pivot=(0.26, -0.08), swing=gait * 0.25, period=period * 1.7)
    parts.append(make_part(rng, head, fur, density, marks=face, joint=nod))
    return tuple(parts)


def bird(rng: np.random.Generator, hue: float, density: float, lively: float) -> Sprite:
    """A bird with a beating wing on either side of its body."""
    feathers, period, beat = material(rng, hue), rng.uniform(8, 18), lively * rng.uniform(0.3, 0.8)
    wing = curve((-0.1, 0.0), (-0.3, -0.42), (-0.2, -0.45), (0.05, -0.25), (0.16, -0.02))
    body = curve(
        (0.5, -0.08),
        (0.36, -0.15),
        (0.24, -0.12),
        (-0.1, -0.06),
        (-0.5, -0.02),
        (-0.48, 0.1),
        (-0.1, 0.13),
        (0.25, 0.06),
    )
    eye = ((ellipse(0.35, -0.09, 0.022, 0.022), DARK),)
    shoulder = Joint(pivot=(0.02, -0.02), swing=beat, period=period)
    far = make_part(rng, wing + np.array([0.1, 0.0]), feathers, density, joint=replace(shoulder, phase=0.4))
    near = make_part(rng, wing, material(rng, hue), density, joint=shoulder)
    return (far, make_part(rng, body, feathers, density, marks=eye), near)


def kite(rng: np.random.Generator, hue: float, density: float, lively: float) -> Sprite:
    """A kite of two cloths, with a tail."""
    side = rng.uniform(0.28, 0.4)
    left, right = material(rng, hue), material(rng, hue + rng.uniform(0.1, 0.5))
    tail = curve((-0.02, 0.2), (-0.05, 0.35), (-0.02, 0.5), (0.03, 0.5), (0.03, 0.35), (0.02, 0.2))
    cloths = (((0.0, -0.5), (0.0, 0.28), (-side, -0.15)), ((0.0, -0.5), (side, -0.15), (0.0, 0.28)))
    flutter = Joint(pivot=(0.0, 0.22), swing=lively * 0.5, period=rng.uniform(10, 24))
    parts = [make_part(rng, tail, left, density, joint=flutter)]
    parts += [make_part(rng, np.array(c), m, density) for c, m in zip(cloths, (left, right), strict=True)]
    return tuple(parts)


def balloon(rng: np.random.Generator, hue: float, density: float, lively: float) -> Sprite:
    """A soft body of irregular outline, which wobbles."""
    shape = star(rng, 90, 0.3)
    shape = shape / np.ptp(shape, axis=0).max()
    shape -= (shape.min(axis=0) + shape.max(axis=0)) / 2
    wobble = Joint(wave=lively * rng.uniform(0.05, 0.2), period=rng.uniform(15, 40))
    return (make_part(rng, shape, material(rng, hue), density, joint=wobble),)


def sign(rng: np.random.Generator, hue: float, density: float, _lively: float) -> Sprite:
    """A box or book with a label and lines of text."""
    half = rng.uniform(0.3, 0.5)
    board = ellipse(0, 0, 0.5 if half < 0.4 else half, 0.5, 0.0, rng.uniform(5, 12))
    board = board * (half / np.abs(board[:, 0]).max(), 1.0)
    label = ellipse(0, -0.2, 0.7 * half, 0.14, 0.0, 6)
    lines: list[tuple[Points, tuple[float, float, float]]] = [(label, PALE)]
    for y in (-0.24, -0.16, 0.1, 0.2, 0.3):
        length = half * rng.uniform(0.25, 0.62)
        lines.append((ellipse(rng.uniform(-0.1, 0.1) * half, y, length, 0.022, 0.0, 8), DARK))
    return (make_part(rng, board, material(rng, hue), density, marks=tuple(lines)),)


FIGURES: dict[str, Figure] = {
    "ball": ball,
    "balloon": balloon,
    "bird": bird,
    "car": car,
    "dog": dog,
    "fish": fish,
    "kite": kite,
    "sign": sign,
}


def pole(rng: np.random.Generator, hue: float, density: float, slim: float) -> Sprite:
    """A trunk or post, 3.4 units tall and `slim` units wide."""
    edge = 0.06 * slim * np.cumsum(rng.normal(0, 0.5, (2, 16)), axis=1)
    y = np.linspace(-1.7, 1.7, 16)
    left, right = np.stack([edge[0] - slim / 2, y], axis=1), np.stack([edge[1] + slim / 2, y], axis=1)
    return (make_part(rng, np.concatenate([left, right[::-1]]), material(rng, hue), density),)


def bush(rng: np.random.Generator, hue: float, density: float, _lively: float) -> Sprite:
    """Foliage of ragged outline."""
    outline = star(rng, 60, 0.35) * 0.55 * (1 + 0.06 * rng.normal(size=(60, 1)))
    return (make_part(rng, outline, material(rng, hue, "spots"), density),)


def densified(outline: Points) -> Points:
    """The same outline with three points on every edge, for parts that bend."""
    following = np.roll(outline, -1, axis=0)
    return np.concatenate(
        [outline, (2 * outline + following) / 3, (outline + 2 * following) / 3], axis=1
    ).reshape(-1, 2)
