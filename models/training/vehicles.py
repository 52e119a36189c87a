"""Draws fronts and rears of cars, trucks and trailers flat, round a plate. Lengths in units of the plate's width."""

import cv2
import numpy as np

import plates
from decoys import lens
from lettering import board, write


def colour(rng):
    """Vehicle paint: mostly white, grey, black, some bright."""
    kind = rng.random()
    if kind < 0.65:
        v = float(rng.choice([235, 200, 150, 100, 60, 30, 15])) + rng.uniform(-12, 12)
        return np.float32([v, v, v]) + np.float32(rng.uniform(-8, 8, 3))
    return np.float32(
        cv2.cvtColor(
            np.uint8([[[rng.integers(0, 180), rng.integers(80, 230), rng.integers(40, 230)]]]), cv2.COLOR_HSV2BGR
        )[0, 0]
    )


class Panel:
    """A flat surface being drawn; `u` is the plate's width in pixels, the origin its centre."""

    def __init__(self, rng, u, extent):
        left, top, right, bottom = extent
        self.rng, self.u = rng, u
        self.ox, self.oy = left * u, top * u
        self.w, self.h = max(8, int((left + right) * u)), max(8, int((top + bottom) * u))
        self.px = np.zeros((self.h, self.w, 3), np.float32)
        self.mask = np.zeros((self.h, self.w), np.uint8)

    def x(self, v):
        return int(self.ox + v * self.u)

    def y(self, v):
        return int(self.oy + v * self.u)

    def rect(self, x0, y0, x1, y1, c, thick=-1):
        cv2.rectangle(self.px, (self.x(x0), self.y(y0)), (self.x(x1), self.y(y1)), tuple(float(v) for v in c), thick)

    def poly(self, points, c):
        cv2.fillPoly(
            self.px, [np.int32([[self.x(a), self.y(b)] for a, b in points])], tuple(float(v) for v in c), cv2.LINE_AA
        )

    def line(self, x0, y0, x1, y1, c, thick):
        cv2.line(
            self.px,
            (self.x(x0), self.y(y0)),
            (self.x(x1), self.y(y1)),
            tuple(float(v) for v in c),
            max(1, int(thick * self.u)),
            cv2.LINE_AA,
        )

    def shade(self, y0, y1):
        """Soft bands of light across, as on bent sheet metal."""
        a, b = max(self.y(y0), 0), min(self.y(y1), self.h)
        if b - a < 2:
            return
        knots = self.rng.uniform(0.7, 1.25, int(self.rng.integers(2, 7))).astype(np.float32)
        curve = cv2.resize(knots[:, None], (1, b - a), interpolation=cv2.INTER_CUBIC)
        self.px[a:b] *= curve[..., None]

    def text(self, x, y, height, c, text=None):
        write(self.rng, self.px, self.x(x), self.y(y), height * self.u, c, text)

    def place(self, surface, x, y, w, h):
        """Lays a picture on the panel."""
        x0, y0, ww, hh = self.x(x), self.y(y), max(2, int(w * self.u)), max(2, int(h * self.u))
        small = cv2.resize(surface, (ww, hh), interpolation=cv2.INTER_AREA)
        paint_picture(self.px, small, x0, y0)


def paint_picture(target, source, x, y):
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + source.shape[1], target.shape[1]), min(y + source.shape[0], target.shape[0])
    if x0 < x1 and y0 < y1:
        target[y0:y1, x0:x1] = source[y0 - y : y1 - y, x0 - x : x1 - x]


def grille(p, x0, y0, x1, y1):
    """Bars, mesh or honeycomb: the net must not take bars for letters."""
    rng = p.rng
    back = np.float32([20, 20, 20]) + rng.uniform(-15, 30)
    bar = np.float32([rng.uniform(25, 90)] * 3) if rng.random() < 0.6 else np.float32([rng.uniform(150, 230)] * 3)
    p.rect(x0, y0, x1, y1, back)
    step = rng.uniform(0.05, 0.16)
    kind = int(rng.integers(0, 4))
    if kind in (0, 2, 3):
        for y in np.arange(y0 + step / 2, y1, step):
            p.line(x0, y, x1, y, bar, step * rng.uniform(0.15, 0.45))
    if kind in (1, 2):
        for x in np.arange(x0 + step / 2, x1, step * (1 if kind == 2 else 0.8)):
            p.line(x, y0, x, y1, bar, step * 0.25)
    if rng.random() < 0.5:
        p.rect(x0, y0, x1, y1, (200, 200, 200), max(1, int(0.02 * p.u)))


def lamp(p, x, y, w, h, rear):
    """A head lamp or a rear light."""
    rng = p.rng
    if rng.random() < 0.5:
        glass, mask = lens(rng)
        size = max(2, int(w * p.u)), max(2, int(h * p.u))
        glass, mask = cv2.resize(glass, size, interpolation=cv2.INTER_AREA), cv2.resize(mask, size)
        if rear and rng.random() < 0.6:
            glass = glass * np.float32([0.25, 0.2, 1.0])
        x0, y0 = p.x(x), p.y(y)
        a, b = max(y0, 0), max(x0, 0)
        part = p.px[a : y0 + size[1], b : x0 + size[0]]
        if part.size:
            k = mask[a - y0 :, b - x0 :][: part.shape[0], : part.shape[1], None] / np.float32(255)
            part[:] = part * (1 - k) + glass[a - y0 :, b - x0 :][: part.shape[0], : part.shape[1]] * k
        return
    base = (40, 30, float(rng.uniform(110, 210))) if rear else tuple([float(rng.uniform(130, 225))] * 3)
    k = rng.uniform(-0.3, 0.3, 8) * h
    p.poly(
        [(x + k[0], y + k[1]), (x + w + k[2], y + k[3]), (x + w + k[4], y + h + k[5]), (x + k[6], y + h + k[7])], base
    )
    for _ in range(int(rng.integers(1, 4))):
        c = [(230, 230, 230), (30, 140, 240), (60, 60, 160), (90, 90, 90)][int(rng.integers(0, 4))]
        r = rng.uniform(0.15, 0.45) * min(w, h)
        cx, cy = x + rng.uniform(0.2, 0.8) * w, y + rng.uniform(0.3, 0.7) * h
        cv2.circle(p.px, (p.x(cx), p.y(cy)), max(1, int(r * p.u)), c, -1, cv2.LINE_AA)
    if rear and rng.random() < 0.5:
        p.rect(x, y + h * 0.4, x + w, y + h * 0.6, (210, 210, 210) if rng.random() < 0.5 else (40, 120, 230))


def badge(p, x, y, h):
    """Chrome or dark letters on paint."""
    p.text(x, y, h, [(205, 205, 205), (235, 235, 235), (40, 40, 40), (30, 30, 180)][int(p.rng.integers(0, 4))])


def emblem(p, x, y, r):
    c = [(210, 210, 210), (60, 60, 60), (40, 40, 180), (160, 70, 30)][int(p.rng.integers(0, 4))]
    cv2.ellipse(
        p.px,
        (p.x(x), p.y(y)),
        (max(1, int(r * p.u)), max(1, int(r * p.u * p.rng.uniform(0.5, 1)))),
        0,
        0,
        360,
        c,
        -1 if p.rng.random() < 0.5 else max(1, int(0.03 * p.u)),
        cv2.LINE_AA,
    )
    if p.rng.random() < 0.4:
        p.line(x - r, y, x + r, y, (230, 230, 230), 0.03)


def put_plate(p, plate, two):
    """The plate with its frame, dealer's words and shadow; its corners on the panel are returned."""
    rng = p.rng
    h = plate.shape[0] / plate.shape[1] * (290 / 520 if two else 1.0)
    w = 290 / 520 if two else 1.0
    if rng.random() < 0.55:  # recess or holder
        m, n = rng.uniform(0.02, 0.25), rng.uniform(0.02, 0.15)
        p.rect(
            -w / 2 - m,
            -h / 2 - n,
            w / 2 + m,
            h / 2 + n * 1.4,
            np.float32([rng.uniform(10, 70)] * 3) if rng.random() < 0.7 else colour(rng),
        )
    if rng.random() < 0.5:  # frame, often with the dealer's name below
        f, low = rng.uniform(0.01, 0.03), rng.uniform(0.01, 0.07)
        c = (25, 25, 25) if rng.random() < 0.75 else (190, 190, 190)
        p.rect(-w / 2 - f, -h / 2 - f, w / 2 + f, h / 2 + low, c)
        if low > 0.03 and rng.random() < 0.8:
            p.text(
                -w / 2 + rng.uniform(0, 0.5) * w,
                h / 2 + 0.008,
                low * 0.6,
                (230, 230, 230) if c[0] < 90 else (20, 20, 20),
            )
    p.place(plate, -w / 2, -h / 2, w, h)
    if rng.random() < 0.2:  # shadow of an edge above
        a, b = p.y(-h / 2 - 0.1), p.y(-h / 2 + rng.uniform(0, 0.5) * h)
        p.px[max(a, 0) : max(b, 0)] *= rng.uniform(0.3, 0.8)
    if rng.random() < 0.05:  # a tow hook or a cable before it
        x = rng.uniform(-0.5, 0.5)
        p.line(x, -h, x + rng.uniform(-0.1, 0.1), h, (50, 50, 50), rng.uniform(0.01, 0.04))
    x0, x1, y0, y1 = p.x(-w / 2), p.x(-w / 2) + int(w * p.u), p.y(-h / 2), p.y(-h / 2) + int(h * p.u)
    return np.float32([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def silhouette(p, curve):
    """Rounded outline of the panel."""
    r = int(min(p.w, p.h) * curve)
    cv2.rectangle(p.mask, (r, 0), (p.w - r, p.h), 255, -1)
    cv2.rectangle(p.mask, (0, r), (p.w, p.h), 255, -1)
    for x in (r, p.w - r):
        cv2.circle(p.mask, (x, r), r, 255, -1)


def car(rng, u, plate, two, rear):
    """A car's end: windscreen, bonnet or boot lid, lamps, grille, bumper, plate."""
    half, above, below = rng.uniform(1.5, 1.9), rng.uniform(1.0, 2.3), rng.uniform(0.3, 0.8)
    p = Panel(rng, u, (half + rng.uniform(-0.15, 0.15), above, half, below))
    paint_ = colour(rng)
    p.px[:] = paint_
    p.shade(-above, below)
    if above > 1.3:  # window
        bottom = -rng.uniform(0.8, 1.2)
        glass = np.float32([rng.uniform(20, 120)] * 3) + np.float32([rng.uniform(0, 30), 5, 0])
        p.poly(
            [
                (-half * 0.7, -above + 0.12),
                (half * 0.7, -above + 0.12),
                (half * 0.85, bottom),
                (-half * 0.85, bottom),
            ],
            glass,
        )
        for _ in range(int(rng.integers(0, 4))):
            a = rng.uniform(-half, half)
            p.poly(
                [(a, -above + 0.15), (a + 0.3, -above + 0.15), (a + 0.1, bottom), (a - 0.3, bottom)],
                glass * rng.uniform(0.7, 1.8),
            )
        if rng.random() < 0.3:
            p.place(board(rng), rng.uniform(-1, 0.6), -above + 0.2, 0.5, 0.12)
        if rng.random() < 0.2:
            write(rng, p.px, p.x(rng.uniform(-0.9, 0.2)), p.y(-above + 0.13), 0.12 * u)
    for _ in range(int(rng.integers(0, 4))):  # gaps between sheets
        y = rng.uniform(-above, below)
        p.line(-half, y, half, y + rng.uniform(-0.05, 0.05), paint_ * 0.4, 0.012)
    bumper = rng.uniform(-0.55, -0.12)
    if rng.random() < 0.55:
        p.rect(
            -half,
            bumper if not rear else rng.uniform(-0.2, 0.3),
            half,
            below,
            np.float32([rng.uniform(20, 80)] * 3) if rng.random() < 0.5 else paint_ * rng.uniform(0.8, 1.1),
        )
        p.shade(bumper, below)
    ly, lw, lh = rng.uniform(-0.9, -0.35), rng.uniform(0.4, 0.7), rng.uniform(0.15, 0.45)
    for side in (-1, 1):
        lamp(p, side * (half - 0.05 - lw / 2) - lw / 2, ly, lw, lh, rear)
    if not rear or rng.random() < 0.15:
        g = rng.uniform(0.5, 1.1)
        grille(p, -g, ly + rng.uniform(-0.1, 0.2), g, rng.uniform(-0.2, -0.12))
    if rng.random() < 0.6:
        grille(p, -rng.uniform(0.4, 1.3), rng.uniform(-0.25, 0.15), rng.uniform(0.4, 1.3), rng.uniform(0.2, below))
    if rng.random() < 0.7:
        emblem(p, rng.uniform(-0.05, 0.05), rng.uniform(-0.75, -0.3), rng.uniform(0.06, 0.16))
    for _ in range(int(rng.integers(0, 5)) if rear else int(rng.integers(0, 2))):
        badge(p, rng.uniform(-1.4, 1.0), rng.uniform(-0.8, -0.2), rng.uniform(0.06, 0.14))
    if rear and rng.random() < 0.5:
        p.rect(-0.6, -0.26, 0.6, -0.2, (200, 200, 200) if rng.random() < 0.5 else paint_ * 0.7)
    for side in (-1, 1):
        if rng.random() < 0.5:
            cv2.ellipse(
                p.px,
                (p.x(side * (half - 0.35)), p.y(rng.uniform(0.05, 0.3))),
                (int(0.14 * u), int(0.09 * u)),
                0,
                0,
                360,
                (30, 30, 180) if rear else (190, 190, 190),
                -1,
            )
        if rng.random() < 0.4:
            p.rect(
                side * 1.0 - 0.25,
                below - 0.2,
                side * 1.0 + 0.25,
                below - 0.12,
                (30, 30, 200) if rear else (230, 230, 230),
            )
    corners = put_plate(p, plate, two) if plate is not None else None
    silhouette(p, rng.uniform(0.02, 0.15))
    return p, corners


def truck(rng, u, plate, two, rear):
    """A truck's front or a trailer's doors with lettering, hinges, stripes and an underrun bar."""
    half, above, below = rng.uniform(1.9, 2.6), rng.uniform(1.5, 3.6), rng.uniform(0.3, 0.9)
    p = Panel(rng, u, (half, above, half, below))
    paint_ = colour(rng)
    p.px[:] = paint_
    p.shade(-above, below)
    edge = -rng.uniform(0.25, 0.7)
    if rear:
        for x in np.linspace(-half, half, int(rng.choice([2, 3, 5, 9, 17]))):
            p.line(x, -above, x, edge, paint_ * rng.uniform(0.4, 0.8), 0.02)
        for x in rng.uniform(-half, half, int(rng.integers(0, 5))):
            p.line(x, -above, x, edge, (180, 180, 180), rng.uniform(0.02, 0.05))
        for _ in range(int(rng.integers(0, 7))):
            p.text(
                rng.uniform(-half, half * 0.4),
                rng.uniform(-above, edge - 0.2),
                rng.uniform(0.1, 0.5),
                rng.integers(0, 256, 3),
            )
        for _ in range(int(rng.integers(0, 4))):
            s = board(rng)
            w = rng.uniform(0.25, 1.2)
            p.place(s, rng.uniform(-half, half - w), rng.uniform(-above, edge - 0.1), w, w * s.shape[0] / s.shape[1])
        p.rect(-half, edge, half, below, np.float32([rng.uniform(20, 90)] * 3))
        if rng.random() < 0.5:  # stripes
            y, h = edge + rng.uniform(-0.2, 0.05), rng.uniform(0.06, 0.14)
            for i, x in enumerate(np.arange(-half, half, h * rng.uniform(1, 3))):
                p.rect(
                    x,
                    y,
                    x + h * 2,
                    y + h,
                    [(40, 40, 200), (230, 230, 230), (30, 190, 240)][i % 2 if rng.random() < 0.9 else 2],
                )
    else:
        p.rect(
            -half * 0.9,
            -above + 0.1,
            half * 0.9,
            -above + rng.uniform(0.6, 1.2),
            np.float32([rng.uniform(20, 90)] * 3),
        )
        grille(p, -rng.uniform(0.8, 1.6), -rng.uniform(0.9, 1.4), rng.uniform(0.8, 1.6), -rng.uniform(0.25, 0.4))
        if rng.random() < 0.7:
            p.text(
                rng.uniform(-1, 0),
                -rng.uniform(0.9, 1.6),
                rng.uniform(0.12, 0.3),
                (220, 220, 220) if paint_.mean() < 150 else (30, 30, 30),
            )
        p.rect(-half, edge, half, below, paint_ * rng.uniform(0.3, 1.0))
        p.shade(edge, below)
        if rng.random() < 0.4:
            grille(p, -1.0, rng.uniform(0.15, 0.2), 1.0, rng.uniform(0.25, below))
    for side in (-1, 1):
        w, h = rng.uniform(0.35, 0.8), rng.uniform(0.14, 0.35)
        lamp(p, side * (half - 0.1 - w / 2) - w / 2, rng.uniform(-0.2, 0.15), w, h, rear)
    for _ in range(int(rng.integers(0, 3))):  # a board of figures or a speed disc
        s = board(rng)
        w = rng.uniform(0.2, 0.9)
        p.place(
            s,
            rng.choice([-1, 1]) * rng.uniform(1.0, 1.5) - w / 2,
            rng.uniform(-0.6, 0.3),
            w,
            w * s.shape[0] / s.shape[1],
        )
    if rng.random() < 0.3:
        for _ in range(5):
            p.rect(
                rng.uniform(-half, half),
                rng.uniform(-0.2, below),
                rng.uniform(-half, half),
                rng.uniform(0, below),
                np.float32([rng.uniform(10, 60)] * 3),
                max(1, int(0.04 * u)),
            )
    corners = put_plate(p, plate, two) if plate is not None else None
    silhouette(p, rng.uniform(0.0, 0.03))
    return p, corners


def side(rng, u, height, rear_height):
    """A vehicle's flank: windows and wheels, or a wall with lettering."""
    p = Panel(rng, u, (0.0, rear_height, rng.uniform(2, 6), height - rear_height))
    c = colour(rng)
    p.px[:] = c
    p.shade(-rear_height, height)
    w = p.w / u
    if rng.random() < 0.5:
        p.rect(0.3, -rear_height + 0.15, w - 0.4, -rear_height + 0.8, np.float32([rng.uniform(15, 90)] * 3))
    else:
        for _ in range(int(rng.integers(0, 5))):
            p.text(rng.uniform(0, w), rng.uniform(-rear_height, 0), rng.uniform(0.15, 0.7), rng.integers(0, 256, 3))
    for x in (rng.uniform(0.5, 1.2), rng.uniform(2.5, 5)):
        cv2.circle(p.px, (p.x(x), p.h - int(0.2 * u)), int(0.55 * u), (25, 25, 25), -1)
        cv2.circle(
            p.px,
            (p.x(x), p.h - int(0.2 * u)),
            int(0.33 * u),
            (130, 130, 130),
            int(rng.choice([-1, max(2, int(0.08 * u))])),
        )
    p.mask[:] = 255
    return p


def bare(rng, u, plate, two):
    """A plate on a plain surface: cheap variety."""
    m = rng.uniform(0.02, 0.5)
    p = Panel(rng, u, (0.5 + m, 0.2 + m, 0.5 + m, 0.2 + m))
    p.px[:] = colour(rng)
    p.shade(-1, 1)
    corners = put_plate(p, plate, two)
    silhouette(p, rng.uniform(0, 0.1))
    return p, corners


def vehicle(rng, u, with_plate=True):
    """A panel and the plate's corners on it (`None` without plate)."""
    plate, two = plates.draw(rng)
    if not with_plate:
        plate = None
    kind = rng.random()
    rear = rng.random() < 0.5
    if kind < 0.55:
        return car(rng, u, plate, two, rear)
    if kind < 0.9 or plate is None:
        return truck(rng, u, plate, two, rear)
    return bare(rng, u, plate, two)
