"""What is written near roads and on vehicles and is no plate."""

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from plates import DEBIAN, signs

FACES = [
    "truetype/dejavu/DejaVuSans.ttf",
    "truetype/dejavu/DejaVuSans-Bold.ttf",
    "truetype/dejavu/DejaVuSerif-Bold.ttf",
    "truetype/dejavu/DejaVuSansMono.ttf",
    "truetype/liberation/LiberationSans-Regular.ttf",
    "truetype/liberation/LiberationSans-Bold.ttf",
    "truetype/liberation/LiberationSerif-Italic.ttf",
    "truetype/roboto/unhinted/RobotoCondensed-Bold.ttf",
    "truetype/roboto/unhinted/RobotoTTF/Roboto-Black.ttf",
]
WORDS = [
    "cargo",
    "logistics",
    "express",
    "trans",
    "auto",
    "motors",
    "service",
    "diesel",
    "turbo",
    "hybrid",
    "quattro",
    "sport",
    "limited",
    "group",
    "partner",
    "ДОСТАВКА",
    "ПЕРЕВОЗКИ",
    "ГРУЗЫ",
    "ЛЮДИ",
    "АВТОСАЛОН",
    "АВТОЦЕНТР",
    "ДИЛЕР",
    "МОСКВА",
    "АПТЕКА",
    "ПРОДУКТЫ",
    "РЕМОНТ",
    "ШИНОМОНТАЖ",
    "СТОП",
    "ТАМОЖНЯ",
    "parking",
    "hotel",
    "market",
    "cafe",
    "bank",
    "exit",
    "customs",
    "control",
    "stop",
    "long",
    "vehicle",
    "keep",
    "distance",
    "danger",
    "flammable",
]


def made_up_word(rng):
    """Syllables, so that no word is learnt by heart."""
    text = "".join(
        str(rng.choice(list("bcdfgklmnprstvz"))) + str(rng.choice(list("aeiou")))
        for _ in range(int(rng.integers(1, 5)))
    )
    return text + str(rng.choice(["", "", "s", "n", "r", "x"]))


def phrase(rng):
    """A word, a name, a phone number, an address, a time, a container's code, a badge."""
    kind = int(rng.integers(0, 10))
    word = str(rng.choice(WORDS)) if rng.random() < 0.4 else made_up_word(rng)
    word = [word, word.upper(), word.capitalize()][int(rng.integers(0, 3))]
    if kind < 3:
        return word
    if kind == 3:
        return word + " " + made_up_word(rng)
    if kind == 4:
        return signs(
            rng,
            str(rng.choice(["+7 (DDD) DDD-DD-DD", "8-DDD-DDD-DD-DD", "DDD-DD-DD", "+DDD DD DDDDDD", "DDD DDDD DDD"])),
        )
    if kind == 5:
        start = str(rng.choice(["www.", "", made_up_word(rng) + "@", "(c) "]))
        return (
            start
            + word.lower()
            + str(rng.choice([".ru", ".kz", ".com", ".by", ".eu", ".net", " 20" + signs(rng, "DD")]))
        )
    if kind == 6:
        return signs(
            rng,
            str(
                rng.choice(
                    [
                        "20DD-DD-DD DD:DD:DD",
                        "DD.DD.20DD  DD:DD",
                        "DD:DD:DD",
                        "CAM DD",
                        "DDDD/DD/DD DD:DD",
                        "'DD DD DD",
                        "DD DD 20DD",
                        "DD/20DD",
                    ]
                )
            ),
        )
    if kind == 7:
        return signs(rng, "LLL") + "U " + signs(rng, str(rng.choice(["DDDDDD D", "DDDDDD", "DDDDDD D DDLD"])))
    if kind == 8:
        return signs(
            rng,
            str(
                rng.choice(
                    [
                        "LDDD",
                        "LLDDD",
                        "D.D",
                        "LDD",
                        "DDL",
                        "LL",
                        "LL D.D",
                        "V8",
                        "4x4",
                        "MAX DDDDD KG",
                        "TIR",
                        "DD",
                        "DD T",
                    ]
                )
            ),
        )
    return word + " " + signs(rng, "D" * int(rng.integers(1, 5)))


def text_mask(rng, text=None, height=40):
    """The ink of a phrase, u8[H,W]."""
    face = ImageFont.truetype(str(DEBIAN / str(rng.choice(FACES))), height)
    text = text or phrase(rng)
    box = face.getbbox(text)
    pad = 2
    picture = Image.new("L", (max(box[2] - box[0], 1) + 2 * pad, max(box[3] - box[1], 1) + 2 * pad))
    ImageDraw.Draw(picture).text((pad - box[0], pad - box[1]), text, 255, font=face)
    mask = np.asarray(picture)
    if rng.random() < 0.15 and text.isupper():  # letters set apart, as on a tail-gate
        columns = int(mask.shape[1] * rng.uniform(1.2, 1.6))
        mask = cv2.resize(mask, (columns, mask.shape[0]))
    return mask


def paint(picture, mask, x, y, colour, alpha=1.0):
    """Lays a mask in a colour on the picture, cut at its borders."""
    h, w = mask.shape[:2]
    x, y = int(x), int(y)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, picture.shape[1]), min(y + h, picture.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    a = mask[y0 - y : y1 - y, x0 - x : x1 - x, None].astype(np.float32) * (alpha / 255)
    part = picture[y0:y1, x0:x1]
    part[:] = part * (1 - a) + np.float32(colour) * a


def write(rng, picture, x, y, height, colour=None, text=None, alpha=1.0):
    """Writes a phrase; its width is returned."""
    mask = text_mask(rng, text, max(6, int(height)))
    paint(picture, mask, x, y, rng.integers(0, 256, 3) if colour is None else colour, alpha)
    return mask.shape[1]


def board(rng):
    """A sign, banner, sticker or shop front: a plate-like surface with words on it, f32[H,W,3]."""
    rows = int(rng.choice([1, 1, 1, 2, 3, 4]))
    back = rng.choice([[240, 240, 240], [30, 180, 245], [150, 60, 20], [30, 30, 200], [60, 130, 20], [20, 20, 20]])
    if rng.random() < 0.4:
        back = rng.integers(0, 256, 3)
    masks = [text_mask(rng, height=int(rng.integers(24, 56))) for _ in range(rows)]
    w = max(m.shape[1] for m in masks) + int(rng.integers(6, 60))
    h = sum(m.shape[0] + 6 for m in masks) + int(rng.integers(6, 50))
    surface = np.empty((h, w, 3), np.float32)
    surface[:] = np.float32(back)
    fore = np.float32([20, 20, 20]) if np.mean(back) > 110 else np.float32([240, 240, 240])
    if rng.random() < 0.3:
        fore = 255 - np.float32(back)
    y = (h - sum(m.shape[0] + 6 for m in masks)) // 2
    for m in masks:
        paint(surface, m, (w - m.shape[1]) // 2, y, fore)
        y += m.shape[0] + 6
    if rng.random() < 0.4:
        cv2.rectangle(surface, (3, 3), (w - 4, h - 4), tuple(float(c) for c in fore), int(rng.integers(1, 5)))
    if rng.random() < 0.1:  # a sign with bare figures: speed, house number
        cv2.circle(surface, (w // 2, h // 2), min(h, w) // 2 - 2, (40, 30, 200), 5)
    return surface
