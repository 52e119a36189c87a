"""Whole pictures: backgrounds, vehicles in perspective, signs, weather, night, camera. Labels are plate corners."""

import io

import cv2
import numpy as np
from PIL import Image

import decoys
import lettering
import vehicles

WIDTH, HEIGHT = 640, 480
# Deviation of a plate's grey values from their surroundings below which nobody reads it.
LEAST_CONTRAST = 6.0


def background(rng, files):
    """A photograph's cut-out, or shapes and noise."""
    if rng.random() < 0.8:
        picture = cv2.imread(str(rng.choice(files)))
        h, w = picture.shape[:2]
        share = rng.uniform(0.35, 1.0)
        cw, ch = max(16, int(w * share)), max(16, int(h * share))
        x, y = int(rng.integers(0, w - cw + 1)), int(rng.integers(0, h - ch + 1))
        picture = cv2.resize(picture[y : y + ch, x : x + cw], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
        return np.ascontiguousarray(picture, np.float32)
    picture = np.empty((HEIGHT, WIDTH, 3), np.float32)
    horizon = int(rng.uniform(0.1, 0.7) * HEIGHT)
    picture[:horizon] = rng.integers(90, 256, 3)
    picture[horizon:] = rng.integers(40, 180) + rng.integers(-15, 15, 3)
    for _ in range(int(rng.integers(0, 14))):
        x, y = rng.integers(0, WIDTH), rng.integers(0, HEIGHT)
        w, h = rng.integers(10, 300), rng.integers(10, 200)
        cv2.rectangle(
            picture, (int(x), int(y)), (int(x + w), int(y + h)), tuple(float(v) for v in rng.integers(0, 256, 3)), -1
        )
    grain = rng.normal(0, 1, (HEIGHT // 4, WIDTH // 4, 1)).astype(np.float32)
    return picture + cv2.resize(grain, (WIDTH, HEIGHT))[..., None] * rng.uniform(2, 18)


def camera(rng):
    """Rotation of a flat thing before the camera and the focal length in widths of the picture."""
    yaw = np.radians(np.clip(rng.normal(0, 22), -55, 55) if rng.random() < 0.75 else rng.uniform(-65, 65))
    pitch = np.radians(np.clip(rng.normal(8, 11), -25, 40))
    roll = np.radians(rng.normal(0, 5) if rng.random() < 0.8 else rng.normal(0, 15))
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    around = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    down = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    turn = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return turn @ down @ around, rng.uniform(0.9, 3.0) * WIDTH


def mapping(rotation, focal, origin, axes, u, centre):
    """Homography from a panel's pixels (origin and two axes in plate widths) to the picture, `u` px a plate width."""
    depth = focal / u
    columns = [np.array(axes[0]) / u, np.array(axes[1]) / u, np.array(origin)]
    k = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])
    matrix = np.stack([rotation @ c for c in columns], 1)
    matrix[2, 2] += depth
    return k @ matrix


def lay(picture, surface, mask, homography):
    """Warps a surface onto the picture; what it covered is returned."""
    size = (WIDTH, HEIGHT)
    m = cv2.warpPerspective(mask, homography, size, flags=cv2.INTER_LINEAR)
    x, y, w, h = cv2.boundingRect(m)
    if w == 0:
        return m
    shift = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]], np.float64) @ homography
    warped = cv2.warpPerspective(surface, shift, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    a = m[y : y + h, x : x + w, None].astype(np.float32) / 255
    part = picture[y : y + h, x : x + w]
    part[:] = part * (1 - a) + warped * a
    return m


def add_vehicle(rng, picture, labels, width, with_plate):
    """Lays a vehicle with a plate about `width` px wide; labels that it covers are dropped."""
    u = max(40.0, width * 1.15)
    panel, corners = vehicles.vehicle(rng, u, with_plate)
    rotation, focal = camera(rng)
    low = 0.25 if width < 120 else 0.0
    at = (rng.uniform(0.02, 0.98) * WIDTH, rng.uniform(low, 0.98) * HEIGHT)
    # The panel's pixel (0, 0) lies left and above of the plate's centre.
    to = mapping(rotation, focal, (-panel.ox / u, -panel.oy / u, 0), ((1, 0, 0), (0, 1, 0)), u, at)
    s = width / u  # from u px a plate width to the width wanted
    shrink = np.array([[s, 0, at[0] * (1 - s)], [0, s, at[1] * (1 - s)], [0, 0, 1]])
    if rng.random() < 0.6:  # the flank that can be seen
        left = rotation[2, 0] > 0
        flank = vehicles.side(rng, u, panel.h / u, panel.oy / u)
        x = -panel.ox / u if left else (panel.w - panel.ox) / u
        flank_to = mapping(rotation, focal, (x, -panel.oy / u, 0), ((0, 0, 1), (0, 1, 0)), u, at)
        corner = np.array([[0, 0, 1], [flank.w, 0, 1], [flank.w, flank.h, 1], [0, flank.h, 1]], float)
        if ((shrink @ flank_to @ corner.T)[2] > 0.05).all():
            cover(labels, lay(picture, flank.px * rng.uniform(0.4, 1.0), flank.mask, shrink @ flank_to))
    to = shrink @ to
    edge = np.array([[0, 0, 1], [panel.w, 0, 1], [panel.w, panel.h, 1], [0, panel.h, 1]], float)
    if not ((to @ edge.T)[2] > 0.05).all():
        return
    if rng.random() < 0.5:  # what is mirrored in the paint
        k = rng.uniform(0.02, 0.14)
        panel.px = panel.px * (1 - k) + cv2.resize(picture[::4, ::4], (panel.w, panel.h)) * k
    if rng.random() < 0.12:  # dust on all of it
        dust = cv2.resize(rng.uniform(0.0, 0.7, (4, 6)).astype(np.float32), (panel.w, panel.h))[..., None]
        panel.px = panel.px * (1 - dust) + np.float32([rng.uniform(70, 200)] * 3) * dust
    cover(labels, lay(picture, panel.px, panel.mask, to))
    if corners is not None:
        points = (to @ np.c_[corners, np.ones(4)].T).T
        labels.append(np.float32(points[:, :2] / points[:, 2:]))


def cover(labels, mask):
    """Drops the labels that something new lies over."""
    for i in range(len(labels) - 1, -1, -1):
        inside = np.zeros(mask.shape, np.uint8)
        cv2.fillConvexPoly(inside, np.int32(labels[i]), 1)
        count = inside.sum()
        hidden = (mask[inside > 0] > 127).sum()
        if count and hidden / count > 0.5:
            del labels[i]


def add_flat(rng, picture, labels, surface, mask, most):
    """A sign or a decoy, in perspective, up to `most` px wide."""
    width = float(np.exp(rng.uniform(np.log(25), np.log(most))))
    rotation, focal = camera(rng)
    u = surface.shape[1]
    at = (rng.uniform(0, 1) * WIDTH, rng.uniform(0, 1) * HEIGHT)
    to = mapping(rotation, focal, (-0.5, -0.5 * surface.shape[0] / u, 0), ((1, 0, 0), (0, 1, 0)), u, at)
    s = width / u
    shrink = np.array([[s, 0, at[0] * (1 - s)], [0, s, at[1] * (1 - s)], [0, 0, 1]])
    if s < 0.5:
        surface = cv2.blur(surface, (int(0.5 / s) + 1,) * 2)
    cover(labels, lay(picture, surface, mask, shrink @ to))


def add_board(rng, picture, labels):
    """A sign with words on it."""
    surface = lettering.board(rng)
    add_flat(rng, picture, labels, surface, np.full(surface.shape[:2], 255, np.uint8), 300)


def night(rng, picture, labels):
    """Dark, plates throw light back, lamps glare."""
    dark = picture * rng.uniform(0.05, 0.4)
    for q in labels:
        mask = np.zeros(picture.shape[:2], np.float32)
        cv2.fillConvexPoly(mask, np.int32(q), 1.0)
        gain = rng.uniform(0.2, 1.3)
        dark = dark * (1 - mask[..., None]) + np.maximum(dark, picture * gain) * mask[..., None]
        if rng.random() < 0.6:
            w = np.linalg.norm(q[1] - q[0])
            for side_ in (-1, 1):
                x, y = q.mean(0) + np.array([side_ * rng.uniform(0.9, 1.6) * w, -rng.uniform(0, 0.7) * w])
                glow(dark, x, y, w * rng.uniform(0.05, 0.35), rng)
    for _ in range(int(rng.integers(0, 5))):
        glow(dark, rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.uniform(3, 40), rng)
    return dark


def glow(picture, x, y, r, rng):
    """A lamp with its halo."""
    r = max(2.0, float(r))
    n = int(r * 4)
    x0, y0, x1, y1 = int(max(x - n, 0)), int(max(y - n, 0)), int(min(x + n, WIDTH)), int(min(y + n, HEIGHT))
    if x0 >= x1 or y0 >= y1:
        return
    yy, xx = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    d = np.sqrt((xx - x) ** 2 + (yy - y) ** 2) / r
    light = np.exp(-d * d) * 400 + np.exp(-d) * rng.uniform(20, 160)
    picture[y0:y1, x0:x1] += light[..., None] * np.float32([0.85, 0.95, 1.0])


def overlay(rng, picture):
    """Date, time, camera name, watermark."""
    for _ in range(int(rng.integers(1, 4))):
        height = rng.uniform(8, 34)
        mask = lettering.text_mask(rng, height=int(height))
        x, y = (
            rng.uniform(0, max(1, WIDTH - mask.shape[1])),
            rng.choice([rng.uniform(0, 20), HEIGHT - height - 12, rng.uniform(0, HEIGHT)]),
        )
        colour = [
            (255, 255, 255),
            (255, 255, 255),
            (40, 40, 230),
            (30, 140, 250),
            (20, 20, 20),
            rng.integers(0, 256, 3),
        ][int(rng.integers(0, 6))]
        lettering.paint(picture, cv2.dilate(mask, np.ones((3, 3))), x, y, (0, 0, 0), 0.6 * (rng.random() < 0.4))
        lettering.paint(picture, mask, x, y, colour, rng.uniform(0.4, 1))


def seen(rng, picture):
    """What weather, lens, sensor and coding do."""
    if rng.random() < 0.1:  # rain or snow
        drops = np.zeros(picture.shape[:2], np.float32)
        dx, dy = rng.integers(-4, 5), rng.integers(3, 18)
        for x, y in rng.uniform(0, 1, (int(rng.integers(50, 500)), 2)) * [WIDTH, HEIGHT]:
            cv2.line(drops, (int(x), int(y)), (int(x + dx), int(y + dy)), 1.0, 1)
        picture = picture + drops[..., None] * rng.uniform(20, 110)
    if rng.random() < 0.15:  # sun or haze
        low = rng.uniform(0, 90)
        picture = picture * (1 - low / 255 * rng.uniform(0.5, 1.2)) + low
    picture = picture * rng.uniform(0.55, 1.5) if rng.random() < 0.6 else picture
    picture = picture * np.float32(rng.uniform(0.85, 1.15, 3))
    picture = np.clip(picture, 0, 255)
    kind = rng.random()
    if kind < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.8))
    elif kind < 0.45:
        n = int(rng.integers(3, 12))
        kernel = np.zeros((n, n), np.float32)
        angle = rng.normal(0, 0.5)
        c = (n - 1) / 2
        cv2.line(
            kernel,
            (round(c - c * np.cos(angle)), round(c - c * np.sin(angle))),
            (round(c + c * np.cos(angle)), round(c + c * np.sin(angle))),
            1.0,
            1,
        )
        picture = cv2.filter2D(picture, -1, kernel / kernel.sum())
    elif kind < 0.6:  # sharpened, as cheap cameras do
        picture = picture + (picture - cv2.GaussianBlur(picture, (0, 0), 1.2)) * rng.uniform(0.3, 1.2)
    if rng.random() < 0.15:
        picture = np.repeat(picture.mean(2, keepdims=True), 3, 2)
    if rng.random() < 0.5:
        sigma = rng.uniform(1, 14)
        picture = picture + rng.standard_normal(picture.shape[:2], np.float32)[..., None] * sigma
    return np.clip(picture, 0, 255).astype(np.uint8)


def scene(rng, files):
    """A picture, u8[480,640,3] BGR, and plate corners, f32[N,4,2]."""
    picture, labels = background(rng, files), []
    for _ in range(int(rng.integers(0, 4))):
        add_board(rng, picture, labels)
    count = int(rng.choice([0, 1, 2, 3, 4, 6], p=[0.08, 0.2, 0.2, 0.22, 0.18, 0.12]))
    widths = [
        float(np.exp(rng.uniform(np.log(24), np.log(90))))
        if rng.random() < 0.45
        else float(np.exp(rng.uniform(np.log(50), np.log(230))))
        for _ in range(count)
    ]
    if count == 1 and rng.random() < 0.5:
        widths = [float(rng.uniform(120, 420))]
    for width in sorted(widths):
        add_vehicle(rng, picture, labels, width, rng.random() < 0.88)
    for _ in range(int(rng.integers(0, 7))):
        add_flat(rng, picture, labels, *decoys.decoy(rng, files), 170)
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        if rng.random() < 0.5:
            add_board(rng, picture, labels)
        else:
            mask = lettering.text_mask(rng, height=int(rng.integers(8, 60)))
            at = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
            cover_box = np.zeros((HEIGHT, WIDTH), np.uint8)
            lettering.paint(picture, mask, *at, rng.integers(0, 256, 3))
            cv2.rectangle(
                cover_box, (int(at[0]), int(at[1])), (int(at[0] + mask.shape[1]), int(at[1] + mask.shape[0])), 255, -1
            )
            cover(labels, cover_box)
    if rng.random() < 0.16:
        picture = night(rng, np.clip(picture, 0, 255), labels)
    if rng.random() < 0.4:
        overlay(rng, picture)
    picture = seen(rng, picture)
    labels = [q for q in labels if has_signs(picture, q)]
    return picture, np.float32(labels).reshape(-1, 4, 2)


def has_signs(picture, q):
    """Whether anything is left to be seen on the plate: a blank patch is not to be found."""
    target = np.float32([[0, 0], [96, 0], [96, 28], [0, 28]])
    flat = cv2.warpPerspective(picture, cv2.getPerspectiveTransform(q, target), (96, 28)).mean(2)
    flat = flat[4:-4, 6:-6]
    return (flat - cv2.GaussianBlur(flat, (0, 0), 8)).std() > LEAST_CONTRAST


def jpeg(rng, picture):
    """JPEG bytes of a quality as cameras use."""
    out = io.BytesIO()
    Image.fromarray(picture[:, :, ::-1]).save(out, "JPEG", quality=int(rng.integers(35, 95)))
    return out.getvalue()
