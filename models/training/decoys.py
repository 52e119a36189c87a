"""Things near plates that are bright, framed and full of detail, and are no plates: lamps, wheels, stickers, patches."""

import cv2
import numpy as np

from lettering import paint, text_mask
from plates import signs


def lens(rng):
    """A lamp: glass over reflectors, ribs, bulbs, in a rounded or slanted outline. f32[H,W,3] and u8[H,W]."""
    h, w = int(rng.integers(40, 110)), int(rng.integers(90, 240))
    base = [[225, 225, 220], [150, 150, 150], [60, 150, 240], [40, 40, 190], [70, 70, 70]][
        rng.choice(5, p=[0.4, 0.2, 0.15, 0.15, 0.1])
    ]
    s = np.empty((h, w, 3), np.float32)
    s[:] = np.float32(base) * rng.uniform(0.5, 1.1)
    s *= cv2.resize(
        rng.uniform(0.4, 1.5, (int(rng.integers(2, 6)), int(rng.integers(2, 9)))).astype(np.float32),
        (w, h),
        interpolation=cv2.INTER_CUBIC,
    )[..., None]
    if rng.random() < 0.5:  # ribs
        step = int(rng.integers(4, 16))
        s[:, ::step] *= rng.uniform(0.4, 1.5)
        if rng.random() < 0.4:
            s[::step] *= rng.uniform(0.4, 1.5)
    for _ in range(int(rng.integers(0, 5))):  # reflectors
        centre, r = (int(rng.integers(0, w)), int(rng.integers(0, h))), int(rng.uniform(0.15, 0.5) * h)
        cv2.circle(
            s,
            centre,
            r,
            tuple(float(v) for v in rng.uniform(40, 255, 3) * 0.3 + rng.uniform(20, 180)),
            -1 if rng.random() < 0.6 else 3,
            cv2.LINE_AA,
        )
        cv2.circle(s, centre, max(2, r // 3), (250, 250, 250), -1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 4))):
        x = int(rng.integers(0, w))
        cv2.line(
            s,
            (x, 0),
            (x + int(rng.integers(-20, 20)), h),
            (30, 30, 30) if rng.random() < 0.5 else (245, 245, 245),
            int(rng.integers(1, 6)),
            cv2.LINE_AA,
        )
    mask = np.zeros((h, w), np.uint8)
    if rng.random() < 0.4:
        cv2.ellipse(mask, (w // 2, h // 2), (w // 2 - 1, h // 2 - 1), 0, 0, 360, 255, -1)
    else:
        k = rng.uniform(0, 0.35, 8)
        cv2.fillPoly(
            mask,
            [
                np.int32(
                    [
                        [k[0] * w, k[1] * h],
                        [w - k[2] * w, k[3] * h],
                        [w - k[4] * w, h - k[5] * h],
                        [k[6] * w, h - k[7] * h],
                    ]
                )
            ],
            255,
        )
    return s, mask


def wheel(rng):
    """A tyre and spokes."""
    n = int(rng.integers(60, 160))
    s = np.full((n, n, 3), float(rng.uniform(15, 45)), np.float32)
    mask = np.zeros((n, n), np.uint8)
    c, rim = n // 2, int(n * rng.uniform(0.28, 0.4))
    cv2.circle(mask, (c, c), c - 1, 255, -1)
    cv2.circle(s, (c, c), rim, tuple([float(rng.uniform(20, 140))] * 3), -1, cv2.LINE_AA)
    metal = tuple([float(rng.uniform(120, 235))] * 3)
    spokes = int(rng.integers(4, 16))
    for a in np.arange(spokes) * 2 * np.pi / spokes + rng.uniform(0, 1):
        cv2.line(
            s,
            (c, c),
            (int(c + rim * np.cos(a)), int(c + rim * np.sin(a))),
            metal,
            max(2, int(rim / spokes * rng.uniform(0.6, 1.6))),
            cv2.LINE_AA,
        )
    cv2.circle(s, (c, c), rim, metal, max(2, n // 40), cv2.LINE_AA)
    return s, mask


def oval(rng):
    """A country's oval, an emblem with letters."""
    h, w = 80, int(rng.integers(80, 150))
    back, fore = ([240, 240, 240], [20, 20, 20]) if rng.random() < 0.6 else ([30, 30, 30], [220, 220, 220])
    s = np.empty((h, w, 3), np.float32)
    s[:] = np.float32(back)
    mask = np.zeros((h, w), np.uint8)
    cv2.ellipse(mask, (w // 2, h // 2), (w // 2 - 1, h // 2 - 1), 0, 0, 360, 255, -1)
    ink = text_mask(rng, signs(rng, "L" * int(rng.integers(1, 4))), int(rng.integers(26, 44)))
    paint(s, ink, (w - ink.shape[1]) // 2, (h - ink.shape[0]) // 2, fore)
    cv2.ellipse(s, (w // 2, h // 2), (w // 2 - 4, h // 2 - 4), 0, 0, 360, tuple(float(v) for v in fore), 2)
    return s, mask


def dots(rng):
    """Rows of light-emitting diodes, bars, rungs, a fence."""
    h, w = int(rng.integers(30, 90)), int(rng.integers(100, 240))
    s = np.full((h, w, 3), 1.0, np.float32) * np.float32(rng.uniform(10, 120, 3))
    light = tuple(float(v) for v in np.clip(rng.uniform(130, 255) + rng.uniform(-70, 40, 3), 0, 255))
    step, kind = int(rng.integers(8, 26)), rng.random()
    for x in range(step // 2, w, step):
        if kind < 0.4:
            for y in range(step // 2, h, step):
                cv2.circle(s, (x, y), step // 3, light, -1, cv2.LINE_AA)
        else:
            bent = int(rng.integers(-step, step)) if kind < 0.7 else 0
            cv2.line(
                s,
                (x, int(rng.uniform(0, 0.3) * h)),
                (x + bent, int(rng.uniform(0.7, 1) * h)),
                light,
                max(2, step // 3),
                cv2.LINE_AA,
            )
    return s, np.full((h, w), 255, np.uint8)


def patch(rng, files):
    """A photograph's cut-out in a plate's outline, often brighter than what is around it."""
    picture = cv2.imread(str(rng.choice(files)))
    h, w = picture.shape[:2]
    ph, pw = int(rng.integers(24, min(90, h))), int(rng.integers(60, min(260, w)))
    x, y = int(rng.integers(0, w - pw + 1)), int(rng.integers(0, h - ph + 1))
    s = picture[y : y + ph, x : x + pw].astype(np.float32) * rng.uniform(0.6, 1.6) + rng.uniform(-20, 60)
    mask = np.zeros((ph, pw), np.uint8)
    if rng.random() < 0.3:
        cv2.ellipse(mask, (pw // 2, ph // 2), (pw // 2 - 1, ph // 2 - 1), 0, 0, 360, 255, -1)
    else:
        mask[:] = 255
        if rng.random() < 0.4:
            cv2.rectangle(s, (1, 1), (pw - 2, ph - 2), (20, 20, 20) if rng.random() < 0.6 else (235, 235, 235), 2)
    return s, mask


def gap(rng):
    """Bright ground or sky seen between dark parts: under a vehicle, through a window, a mirror."""
    h, w = int(rng.integers(60, 120)), int(rng.integers(120, 260))
    s = np.full((h, w, 3), float(rng.uniform(5, 60)), np.float32)
    light = np.float32(rng.uniform(90, 255) + rng.uniform(-12, 12, 3))
    xs = np.linspace(0.15, 0.85, int(rng.integers(4, 14))) * w
    top, bottom = rng.uniform(0.2, 0.45), rng.uniform(0.55, 0.8)
    rough = rng.uniform(0.0, 0.12)
    upper = [(x, (top + rng.uniform(-rough, rough)) * h) for x in xs]
    lower = [(x, (bottom + rng.uniform(-rough, rough)) * h) for x in xs[::-1]]
    cv2.fillPoly(s, [np.int32(upper + lower)], tuple(float(v) for v in light), cv2.LINE_AA)
    grain = cv2.resize(rng.normal(1, rng.uniform(0, 0.25), (h // 4, w // 4)).astype(np.float32), (w, h))
    return s * grain[..., None], np.full((h, w), 255, np.uint8)


def decoy(rng, files):
    """One of them: its pixels and its outline."""
    kind = rng.random()
    if kind < 0.28:
        return lens(rng)
    if kind < 0.43:
        return gap(rng)
    if kind < 0.53:
        return wheel(rng)
    if kind < 0.6:
        return oval(rng)
    if kind < 0.72:
        return dots(rng)
    return patch(rng, files)
