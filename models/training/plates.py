"""Draws registration plates flat, 1 px a millimetre, BGR: layouts of RU, BY, KZ, KG, AM, UZ, UA, EU, and made-up ones."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

DEBIAN = Path("/usr/share/fonts")
FONTS = [
    "truetype/osifont/osifont.ttf",
    "opentype/bebas-neue/BebasNeue-Regular.otf",
    "opentype/bebas-neue/BebasNeue-Bold.otf",
    "truetype/roboto/unhinted/RobotoCondensed-Medium.ttf",
    "truetype/roboto/unhinted/RobotoCondensed-Bold.ttf",
    "truetype/dejavu/DejaVuSansCondensed-Bold.ttf",
    "truetype/liberation/LiberationSansNarrow-Bold.ttf",
    "truetype/liberation/LiberationSans-Bold.ttf",
]
SHARED = "ABEKMHOPCTYX"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BLACK, WHITE = (25, 25, 25), (240, 240, 240)
BLUE, YELLOW, RED, GREEN = (150, 60, 20), (30, 190, 245), (40, 30, 190), (70, 130, 20)


@cache
def glyph(font, sign, height=100):
    """A sign's ink, cropped, `height` px high."""
    pen = ImageFont.truetype(font if font.startswith("/") else str(DEBIAN / font), 120)
    box = pen.getbbox(sign)
    picture = Image.new("L", (max(box[2] - box[0], 1), max(box[3] - box[1], 1)))
    ImageDraw.Draw(picture).text((-box[0], -box[1]), sign, 255, font=pen)
    ink = np.asarray(picture)
    if "osifont" in font:  # a drawing pen's line, thickened to a stamp's
        ink = cv2.dilate(ink, np.ones((7, 7), np.uint8))
    return cv2.resize(ink, (max(1, ink.shape[1] * height // ink.shape[0]), height), interpolation=cv2.INTER_AREA)


def ink(plate, sign, font, x, y, width, height, colour):
    """Draws one sign into the box; narrow signs stay narrow."""
    if sign == " ":
        return
    g = glyph(font, sign)
    w = max(2, min(int(width), int(g.shape[1] * height / 100 * 1.15)) if sign in "I1-.:'" else int(width))
    h = max(2, int(height))
    x, y = int(x + (width - w) / 2), int(y)
    if sign in "-.":
        h = max(2, h // 8)
        y += int(height * 0.45)
    a = cv2.resize(g, (w, h), interpolation=cv2.INTER_AREA)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, plate.shape[1]), min(y + h, plate.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    a = a[y0 - y : y1 - y, x0 - x : x1 - x, None].astype(np.float32) / 255
    part = plate[y0:y1, x0:x1]
    part[:] = part * (1 - a) + np.float32(colour) * a


def line(plate, text, font, box, colour, small=None):
    """Spreads a text over a box. `small` is a height of letters below that of digits, as a share."""
    x, y, w, h = box
    widths = [0.45 if s == " " else 0.5 if s in "-1I" else 1.0 for s in text]
    unit = w / sum(widths)
    for sign, width in zip(text, widths):
        low = small if small and sign.isalpha() else 1.0
        ink(plate, sign, font, x + 0.07 * unit, y + h * (1 - low), width * unit * 0.86, h * low, colour)
        x += width * unit


def signs(rng, pattern):
    """`D` a digit, `L` a letter, `R` a letter of those Cyrillic and Latin share; others stand for themselves."""
    pick = {"D": "0123456789", "L": LETTERS, "R": SHARED}
    return "".join(str(rng.choice(list(pick[p]))) if p in pick else p for p in pattern)


def flag(plate, box, bands, upright=False):
    x, y, w, h = (int(v) for v in box)
    for i, colour in enumerate(bands):
        if upright:
            plate[y : y + h, x + i * w // len(bands) : x + (i + 1) * w // len(bands)] = colour
        else:
            plate[y + i * h // len(bands) : y + (i + 1) * h // len(bands), x : x + w] = colour


FLAGS = {
    "RU": (WHITE, (170, 70, 20), (40, 30, 200)),
    "BY": ((40, 30, 200), (40, 30, 200), (60, 140, 20)),
    "KZ": ((190, 170, 30), (190, 170, 30), (190, 170, 30)),
    "KG": ((30, 20, 220), (60, 210, 240), (30, 20, 220)),
    "AM": ((30, 20, 210), (150, 60, 20), (20, 150, 240)),
    "UZ": ((200, 150, 20), WHITE, (70, 150, 30)),
    "UA": ((190, 100, 20), (190, 100, 20), (20, 210, 250)),
}


def blank(w, h, back, border, thick=4):
    plate = np.empty((h, w, 3), np.float32)
    plate[:] = back
    if border is not None:
        cv2.rectangle(plate, (5, 5), (w - 6, h - 6), tuple(float(c) for c in border), thick)
    return plate


def russian(rng, font):
    kind = rng.choice(
        ["car", "taxi", "trailer", "police", "military", "tractor", "square", "transit"],
        p=[0.6, 0.06, 0.12, 0.03, 0.03, 0.04, 0.09, 0.03],
    )
    back, fore = {"taxi": (YELLOW, BLACK), "police": (BLUE, WHITE), "military": (BLACK, WHITE)}.get(
        kind, (WHITE, BLACK)
    )
    region = signs(rng, "DD" if rng.random() < 0.6 else "DDD")
    if kind in ("square", "tractor"):
        plate = blank(290, 170, back, fore)
        top, bottom = ("RDDD", "RR") if kind == "square" else ("DDDD", "RR")
        line(plate, signs(rng, top), font, (20, 18, 250, 62), fore, 0.8)
        line(plate, signs(rng, bottom), font, (20, 95, 115, 58), fore)
        line(plate, region, font, (160, 88, 105, 45), fore)
        line(plate, "RUS", font, (165, 140, 50, 18), fore)
        flag(plate, (225, 138, 40, 20), FLAGS["RU"])
        cv2.rectangle(plate, (148, 84), (284, 164), fore, 3)
        return plate
    plate = blank(520, 112, back, fore)
    pattern = {
        "car": "R DDD RR",
        "taxi": "RR DDD",
        "trailer": "RR DDDD",
        "police": "R DDDD",
        "military": "DDDD RR",
        "transit": "RR DDD R",
    }[kind]
    line(plate, signs(rng, pattern), font, (28, 18, 345, 76), fore, 0.78)
    cv2.line(plate, (385, 5), (385, 107), fore, 4)
    line(plate, region, font, (395, 12, 112, 58), fore)
    line(plate, "RUS", font, (398, 78, 60, 22), fore)
    flag(plate, (465, 78, 42, 24), FLAGS["RU"])
    if rng.random() < 0.5:
        for x in (15, 505 - 128 if rng.random() < 0.5 else 505):
            cv2.circle(plate, (x, 56), 5, fore, -1)
    return plate


def european(rng, font, two=False):
    back = YELLOW if rng.random() < 0.12 else WHITE
    fore = [BLACK, RED, GREEN, BLUE][rng.choice(4, p=[0.85, 0.05, 0.05, 0.05])]
    w, h = (300, 200) if two else (520, 112)
    plate = blank(w, h, back, fore if rng.random() < 0.6 else None, int(rng.integers(2, 6)))
    strip = 46
    blue = (170, 70 + int(rng.integers(-40, 40)), 10)
    plate[:, :strip] = blue
    for a in np.arange(0, 2 * np.pi, np.pi / 6):
        cv2.circle(plate, (23 + int(14 * np.cos(a)), 30 + int(14 * np.sin(a))), 2, YELLOW, -1)
    line(
        plate,
        str(rng.choice(["PL", "D", "CZ", "SK", "LT", "LV", "EST", "FIN", "H", "RO", "BG", "F", "I", "B"])),
        font,
        (6, h - 48, 34, 32),
        WHITE,
    )
    patterns = [
        "LL DDDDD",
        "LLL DDDD",
        "LL LDDD",
        "DLD DDDD",
        "LL DDD LL",
        "LLL DDD",
        "DDD LLL",
        "LL-DDDD",
        "L LLDDDD",
    ]
    text = signs(rng, str(rng.choice(patterns)))
    right = w - 14
    if rng.random() < 0.2 and not two:
        plate[:, w - strip :] = blue
        right -= strip
    if two:
        cut = max(2, len(text) // 2)
        line(plate, text[:cut].strip(), font, (60, 14, right - 75, 78), fore)
        line(plate, text[cut:].strip(), font, (55, 106, right - 60, 78), fore)
    else:
        line(plate, text, font, (strip + 12, 18, right - strip - 14, 76), fore)
        if rng.random() < 0.4:
            cv2.circle(
                plate, (strip + 12 + (right - strip) // 3, 56), 11, fore if rng.random() < 0.4 else (40, 80, 180), -1
            )
    return plate


def neighbour(rng, font, country=None, two=False):
    """BY, KZ, KG, AM, UZ, UA: a strip with flag and country, the number, a region's box."""
    country = country or str(rng.choice(["BY", "KZ", "KG", "AM", "UZ", "UA"]))
    patterns = {
        "BY": ["DDDD RR-D", "RR DDDD-D"],
        "KZ": ["DDD LLL", "DDD LL", "DD LLL", "L DDD LL"],
        "KG": ["DDD LLL", "DDDD LL"],
        "AM": ["DD LL DDD", "DDD LL DD"],
        "UZ": ["L DDD LL", "DDD LLL"],
        "UA": ["RR DDDD RR"],
    }[country]
    text = signs(rng, str(rng.choice(patterns)))
    back = YELLOW if rng.random() < 0.07 else WHITE
    if two:
        plate = blank(290, 170 if rng.random() < 0.5 else 200, back, BLACK)
        h = plate.shape[0]
        flag(plate, (14, 14, 48, 30), FLAGS[country])
        line(plate, country, font, (14, 50, 48, 24), BLACK)
        words = text.replace("-", " ").split()
        line(plate, words[0], font, (75, 16, 195, h * 0.4), BLACK)
        rest = "".join(words[1:]) + (signs(rng, " DD") if country in ("KZ", "KG", "UZ") else "")
        line(plate, rest, font, (20, h * 0.53, 250, h * 0.38), BLACK)
        return plate
    plate = blank(520, 112, back, BLACK, int(rng.integers(2, 6)))
    left, right = 20, 505
    if country == "UA" and rng.random() < 0.7 or country == "KZ" and rng.random() < 0.3:
        plate[4:108, 4:48] = FLAGS[country][0]
        if country == "UA":
            plate[56:108, 4:48] = FLAGS["UA"][2]
        line(plate, country, font, (8, 70, 36, 26), WHITE if country == "KZ" else BLACK)
        left = 58
    elif country != "UZ":
        flag(plate, (14, 20, 46, 30), FLAGS[country])
        line(plate, country, font, (15, 60, 44, 26), BLACK)
        left = 70
    if country in ("KZ",):
        cv2.line(plate, (415, 5), (415, 107), BLACK, 4)
        line(plate, signs(rng, "DD"), font, (425, 22, 80, 66), BLACK)
        right = 405
    if country in ("KG", "UZ"):
        cv2.line(plate, (left + 82, 5), (left + 82, 107), BLACK, 4)
        line(plate, signs(rng, "DD"), font, (left, 20, 76, 68), BLACK)
        left += 94
    if country == "UZ":
        flag(plate, (458, 20, 44, 28), FLAGS["UZ"])
        line(plate, "UZ", font, (460, 60, 42, 26), GREEN)
        right = 450
    line(plate, text, font, (left, 18, right - left, 76), BLACK)
    return plate


def made_up(rng, font):
    """Any country: keeps the network from learning countries by heart."""
    two = rng.random() < 0.2
    w, h = (
        (int(rng.integers(220, 340)), int(rng.integers(150, 210)))
        if two
        else (int(rng.integers(420, 560)), int(rng.integers(100, 130)))
    )
    pairs = [
        (WHITE, BLACK),
        (YELLOW, BLACK),
        (BLUE, WHITE),
        (BLACK, WHITE),
        (RED, WHITE),
        (GREEN, WHITE),
        (WHITE, RED),
        (WHITE, GREEN),
    ]
    back, fore = pairs[rng.choice(8, p=[0.52, 0.12, 0.07, 0.09, 0.05, 0.05, 0.05, 0.05])]
    plate = blank(w, h, back, fore if rng.random() < 0.7 else None, int(rng.integers(2, 7)))
    groups = [
        signs(rng, "".join(rng.choice(["D", "L"]) * int(rng.integers(1, 4)))) for _ in range(int(rng.integers(2, 4)))
    ]
    if two:
        line(plate, groups[0] + " " * (len(groups[0]) < 2), font, (20, h * 0.1, w - 40, h * 0.38), fore)
        line(plate, "".join(groups[1:]), font, (20, h * 0.54, w - 40, h * 0.38), fore)
    else:
        tall = rng.uniform(0.55, 0.75)
        line(
            plate,
            (" " if rng.random() < 0.7 else "").join(groups),
            font,
            (25, h * (1 - tall) / 2, w - 50, h * tall),
            fore,
        )
    return plate


def draw(rng, fonts=None):
    """A plate, f32[H,W,3] BGR 0-255, and whether it has two lines."""
    font = str(rng.choice(fonts or FONTS))
    kind = rng.random()
    if kind < 0.38:
        plate = russian(rng, font)
    elif kind < 0.66:
        plate = neighbour(rng, font, two=rng.random() < 0.2)
    elif kind < 0.88:
        plate = european(rng, font, two=rng.random() < 0.12)
    else:
        plate = made_up(rng, font)
    return weather(rng, plate), plate.shape[0] / plate.shape[1] > 0.4


def weather(rng, plate):
    """Bolts, embossing, wear, dirt and the light on the plate."""
    h, w = plate.shape[:2]
    if rng.random() < 0.4:
        for x in (w * 0.25, w * 0.75):
            cv2.circle(plate, (int(x), int(h * rng.choice([0.1, 0.9]))), 5, (120, 120, 120), -1)
    if rng.random() < 0.5:
        dirt = cv2.resize(
            rng.random((int(rng.integers(2, 8)), int(rng.integers(3, 16)))).astype(np.float32),
            (w, h),
            interpolation=cv2.INTER_CUBIC,
        )
        brown = np.float32([rng.uniform(40, 110), rng.uniform(60, 120), rng.uniform(70, 130)])
        amount = (np.clip(dirt, 0, 1) * rng.uniform(0.1, 0.75))[..., None]
        plate = plate * (1 - amount) + brown * amount
    if rng.random() < 0.14:  # caked: hardly any contrast is left
        mud = np.float32([rng.uniform(60, 190)] * 3) + np.float32(rng.uniform(-15, 15, 3))
        cake = cv2.resize(
            rng.uniform(0.4, 0.85, (int(rng.integers(1, 5)), int(rng.integers(2, 9)))).astype(np.float32),
            (w, h),
            interpolation=cv2.INTER_LINEAR,
        )
        plate = plate * (1 - cake[..., None]) + mud * cake[..., None]
    if rng.random() < 0.5:
        slope = np.linspace(rng.uniform(0.6, 1.1), rng.uniform(0.6, 1.1), h, dtype=np.float32)[:, None, None]
        plate = plate * slope
    if rng.random() < 0.25:  # a shadow's edge across the plate
        mask = np.zeros((h, w), np.float32)
        y0, y1 = rng.uniform(-0.3, 1.0, 2) * h
        cv2.fillPoly(mask, [np.int32([[0, -9], [w, -9], [w, y1], [0, y0]])], 1.0)
        plate = plate * (1 - (mask * rng.uniform(0.2, 0.6))[..., None])
    return np.clip(plate, 0, 255).astype(np.float32)
