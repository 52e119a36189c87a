"""Renders what the plate reader is trained on: grey strips of plates, cut out as badly as a finder cuts them, with the text
and the place of each sign. Signs that are no part of the number (flags, badges, RUS, dealers' names) are drawn and not wanted."""

import cv2
import numpy as np

from plates import FONTS as PLATE_FONTS
from plates import glyph, signs

HEIGHT = 32
# Letters of Cyrillic that Latin has no look-alike of; old Ukrainian, Soviet and Mongolian plates have them.
CYRILLIC = "БГДЖЗИЛПФЦЧШЩЭЮЯ"
CHARSET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" + CYRILLIC
FONTS = PLATE_FONTS + [
    "truetype/osifont/osifont.ttf",
    "truetype/osifont/osifont.ttf",
    "truetype/opendin/OSP-DIN.ttf",
    "truetype/roadgeek/RG2014C.ttf",
    "truetype/roadgeek/RG2014D.ttf",
    "truetype/roadgeek/RG2014E.ttf",
    "truetype/routed-gothic/routed-gothic.ttf",
    "truetype/routed-gothic/routed-gothic-narrow.ttf",
    "truetype/open-sans/OpenSans-CondBold.ttf",
    "truetype/lato/Lato-Bold.ttf",
    "opentype/play/Play-Bold.otf",
    "opentype/cantarell/Cantarell-Bold.otf",
    "truetype/inconsolata/Inconsolata.otf",
    "opentype/league-mono/LeagueMono-NarrowSemiBold.otf",
]
# Fonts whose line is thin and is thickened to that of a stamp, in pixels of a sign 100 high.
THIN = {"osifont": (5, 11), "routed": (3, 9), "Inconsolata": (3, 8), "roadgeek": (1, 4)}
HAS_CYRILLIC = ("osifont", "BebasNeue", "Roboto", "DejaVu", "Liberation", "OpenSans", "Lato", "Play", "Cantarell")
# Pixels a millimetre of the flat plate.
SCALE = 0.6
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
UA = "ABCEHIKMOPTX"
EUROPEAN = [
    *("LL DDDLL", "LLDDDLL", "LL DDDDD", "LLL DDDD", "LL DDDL", "LLL DDLL", "DLD DDDD", "DLL DDDD", "LLL DDD", "DDD LLL"),
    *("LL-DDDD", "L LLDDDD", "LLL LDDD", "LLDD LLL", "LDDDDLL", "DDLLDDDD", "LL LDDD", "LLLLLLL", "LL DDDD"),
]
# Letters that a small network takes for others, and by which a letter is now and then replaced to have more of them.
HARD = {"A": "M", "B": "H", "C": "M", "E": "M", "P": "H", "T": "H", "D": "W", "G": "N", "L": "W", "Q": "M", "R": "N"}


class Plate:
    """A flat plate in grey: its pixels and the signs of its number, (sign, left, top, right, bottom)."""

    def __init__(self, rng, width, height):
        self.rng = rng
        self.w, self.h = int(width * SCALE), int(height * SCALE)
        dark = rng.random() < 0.13
        back, fore = rng.uniform(170, 250), rng.uniform(5, 70)
        self.back, self.fore = (fore, back) if dark else (back, fore)
        self.pixels = np.full((self.h, self.w), self.back, np.float32)
        self.signs = []
        self.font = str(rng.choice(FONTS))
        self.thick = next((int(rng.integers(*r)) for name, r in THIN.items() if name in self.font), 0)
        self.face = rng.uniform(0.86, 1.1)  # widths of glyphs beside the layout's
        if rng.random() < 0.7:
            edge = int(rng.integers(1, 4))
            grey = self.fore if rng.random() < 0.8 else rng.uniform(0, 255)
            cv2.rectangle(self.pixels, (2, 2), (self.w - 3, self.h - 3), grey, edge)

    def write(self, text, box, wanted=True, small=1.0, fore=None):
        """Spreads a text over a box in millimetres; `small` is the letters' height beside the digits'."""
        if wanted:  # the letters that small networks take for each other come more often
            hard = self.rng.random(len(text)) < 0.2
            text = "".join(HARD.get(s, s) if h else s for s, h in zip(text, hard))
        x, y, w, h = (v * SCALE for v in box)
        widths = [0.42 if s == " " else 0.55 if s in "-I" else 1.0 for s in text]
        unit = w / max(sum(widths), 1e-6)
        fore = self.fore if fore is None else fore
        for sign, width in zip(text, widths):
            low = small if sign.isalpha() else 1.0
            if sign != " ":
                room = (x, y + h * (1 - low), width * unit * 0.88 * (0.5 + 0.5 * self.face), h * low)
                self.ink(sign, room, fore)
                if wanted and sign in CHARSET:
                    self.signs.append((sign, x, room[1], x + room[2], y + h))
            x += width * unit

    def ink(self, sign, box, fore):
        x, y, w, h = box
        g = thickened(self.font, sign, self.thick)
        natural = g.shape[1] * h / 100
        if sign in "-.":
            h, y = max(2.0, h / 8), y + h * 0.45
        wide = min(w, natural * 1.3) if sign in "I1-." else w
        width, height = max(2, round(wide)), max(2, round(h))
        left, top = round(x + (w - wide) / 2), round(y)
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + width, self.w), min(top + height, self.h)
        if x0 >= x1 or y0 >= y1:
            return
        a = cv2.resize(g, (width, height), interpolation=cv2.INTER_AREA)
        a = a[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.float32) / 255
        part = self.pixels[y0:y1, x0:x1]
        part += (fore - part) * a

    def patch(self, box, grey):
        x, y, w, h = (int(v * SCALE) for v in box)
        self.pixels[max(y, 0) : y + h, max(x, 0) : x + w] = grey

    def flag(self, box):
        x, y, w, h = box
        for i in range(3):
            self.patch((x, y + i * h / 3, w, h / 3 + 1), self.rng.uniform(20, 255))

    def rule(self, x, top=5, bottom=107):
        cv2.line(self.pixels, (int(x * SCALE), int(top * SCALE)), (int(x * SCALE), int(bottom * SCALE)), self.fore, 2)

    def emblem(self, x, y, size):
        """A coat of arms, a test mark, a hologram."""
        centre, r = (int(x * SCALE), int(y * SCALE)), max(2, int(size * SCALE / 2))
        cv2.circle(self.pixels, centre, r, self.rng.uniform(20, 255), -1)
        for _ in range(3):
            at = (centre[0] + int(self.rng.integers(-r, r + 1)), centre[1] + int(self.rng.integers(-r, r + 1)))
            cv2.circle(self.pixels, at, max(1, r // 3), self.rng.uniform(0, 255), -1)


_thick = {}


def thickened(font, sign, by):
    key = (font, sign, by)
    if key not in _thick:
        g = glyph(font, sign)
        if by:
            # plates.glyph already thickens osifont by 7
            by = by - 6 if "osifont" in font else by
            kernel = np.ones((abs(by), abs(by)), np.uint8) if by else None
            g = g if kernel is None else cv2.dilate(g, kernel) if by > 0 else cv2.erode(g, kernel)
        _thick[key] = g
    return _thick[key]


def russian(rng):
    two = "DD" if rng.random() < 0.62 else "DDD"
    kinds = ["car", "taxi", "trailer", "police", "tractor", "transit", "plain"]
    kind = rng.choice(kinds, p=[0.68, 0.05, 0.12, 0.03, 0.05, 0.03, 0.04])
    p = Plate(rng, 520, 112)
    region = signs(rng, two)
    if rng.random() < 0.5 and len(region) == 3:
        region = str(rng.choice(list("1279"))) + region[1:]
    wide = 116 if len(region) == 3 else 92
    edge = 520 - wide - rng.uniform(10, 26)
    text = signs(
        rng,
        {
            "car": "RDDDRR",
            "taxi": "RRDDD",
            "trailer": "RRDDDD",
            "police": "RDDDD",
            "tractor": "DDDDRR",
            "transit": "RRDDDR",
            "plain": "RDDDRR",
        }[kind],
    )
    if kind == "car" and rng.random() < 0.25:  # repeats are what readers merge
        d, l = str(rng.integers(0, 10)), str(rng.choice(list("ABEKMHOPCTYX")))
        same = [l + d * 3 + l * 2, text[0] + d * 3 + text[4:], l + text[1:4] + l * 2, text[0] + "00" + text[3:]]
        text = str(rng.choice(same))
    left = rng.uniform(18, 42)
    high = rng.uniform(70, 80)
    box = (left, 112 - 18 - high + rng.uniform(-3, 3), edge - left - rng.uniform(4, 12), high)
    p.write(text, box, small=rng.uniform(0.74, 0.82))
    if rng.random() < 0.93:
        p.rule(edge)
    p.write(region, (edge + 8, rng.uniform(8, 16), 512 - edge - rng.uniform(8, 16), rng.uniform(54, 62)))
    if rng.random() < 0.95:
        p.write("RUS", (edge + 10, 80, 56, 22), wanted=False)
    if rng.random() < 0.85:
        p.flag((edge + 68, 80, 40, 22))
    for x in (10, 510):
        if rng.random() < 0.5:
            p.emblem(x, rng.uniform(40, 70), rng.uniform(5, 12))
    return p


def kazakh(rng):
    p = Plate(rng, 520, 112)
    kind = str(rng.choice(["DDD LLL", "DDD LL", "DD LLL", "L DDD LLL"], p=[0.62, 0.22, 0.08, 0.08]))
    text = signs(rng, kind)
    if rng.random() < 0.2 and kind.startswith("DDD"):
        letter = str(rng.choice(list(LETTERS)))
        text = text[:4] + letter * (len(text) - 4)
        if rng.random() < 0.5:
            text = str(rng.integers(0, 10)) * 3 + text[3:]
    left = 66
    small = rng.uniform(0.72, 0.84) if rng.random() < 0.65 else 1.0
    if rng.random() < 0.4:
        p.patch((4, 4, 50, 104), rng.uniform(90, 190))
        p.emblem(28, 40, 26)
        p.write("KZ", (10, 70, 38, 26), wanted=False, fore=rng.choice([p.back, p.fore]))
    else:
        p.flag((14, 18, 46, 32))
        p.write("KZ", (14, 62, 46, 30), wanted=False)
    if kind[0] == "L":
        p.write(text, (left + 6, 18, 430, 76), small=small)
        return p
    edge = rng.uniform(400, 424)
    box = (left + rng.uniform(0, 14), rng.uniform(16, 22), edge - left - rng.uniform(10, 28), rng.uniform(70, 78))
    p.write(text, box, small=small)
    if rng.random() < 0.9:
        p.rule(edge)
    region = signs(rng, "DD") if rng.random() < 0.3 else f"{rng.integers(1, 21):02}"
    high = rng.uniform(60, 78)
    p.write(region, (edge + 9, 56 - high / 2, 510 - edge - 18, high))
    return p


def european(rng):
    p = Plate(rng, 520, 112)
    left, right = 20.0, 506.0
    if rng.random() < 0.85:
        grey = rng.uniform(30, 150)
        p.patch((0, 0, 46, 112), grey)
        p.emblem(23, 32, 28)
        code = "PL D CZ SK LT LV EST FIN H RO BG F I UA MD SRB".split()[int(rng.integers(0, 16))]
        p.write(code, (6, 68, 34, 28), wanted=False, fore=rng.uniform(180, 255))
        left = 58.0
    pattern = str(rng.choice(EUROPEAN))
    text = signs(rng, pattern)
    if rng.random() < 0.15:
        right -= 46
        p.patch((right + 12, 0, 46, 112), rng.uniform(30, 200))
    gap = text.find(" ")
    if gap < 0 or rng.random() < 0.35:
        p.write(text.replace(" ", ""), (left + rng.uniform(0, 12), 18, right - left - 14, rng.uniform(70, 80)))
        return p
    # an emblem, a dash or two of them where the groups part
    a, b = text[:gap], text[gap + 1 :]
    unit = (right - left - 10) / (len(a) + len(b) + 0.6)
    high = rng.uniform(70, 80)
    p.write(a, (left + 3, 18, unit * len(a), high))
    at = left + 3 + unit * (len(a) + 0.27)
    kind = rng.random()
    if kind < 0.3:
        p.emblem(at, rng.uniform(34, 60), rng.uniform(18, 36))
        if rng.random() < 0.5:
            p.emblem(at, rng.uniform(66, 84), rng.uniform(14, 26))
    elif kind < 0.6:
        p.patch((at - 11, 50, 22, 10), p.fore)
        if rng.random() < 0.5:
            p.emblem(at, 30, rng.uniform(12, 24))
    p.write(b, (left + 3 + unit * (len(a) + 0.6), 18, unit * len(b), high))
    return p


def neighbour(rng):
    """BY, KG, AM, AZ, UZ, UA, TJ, TM, GE, MN, TR."""
    country = str(rng.choice(["BY", "KG", "AM", "UZ", "UA", "UA", "UA", "TJ", "GE", "MN"]))
    p = Plate(rng, 520, 112)
    pattern = {
        "BY": ["DDDD uu-D", "uu DDDD-D", "eDDDuu-D"],
        "KG": ["DDD LLL", "DDDD LL"],
        "AM": ["DD LL DDD", "DDD LL DD"],
        "UZ": ["L DDD LL", "DDD LLL"],
        "UA": ["uu DDDD uu", "uu DDDD uu", "DDD-DD LL", "DDDD LL"],
        "TJ": ["DDDD LL DD"],
        "GE": ["LL-DDD-LL", "LLL DDD"],
        "MN": ["DDDD ccc"],
    }[country]
    text = signs(rng, str(rng.choice(pattern)))
    text = "".join(str(rng.choice(list(UA))) if s == "u" else "E" if s == "e" else s for s in text)
    if "c" in text:
        if not any(name in p.font for name in HAS_CYRILLIC):
            p.font, p.thick = "truetype/roboto/unhinted/RobotoCondensed-Bold.ttf", 0
        text = "".join(str(rng.choice(list(CYRILLIC + "ABEKMHOPCTYX"))) if s == "c" else s for s in text)
    left, right = 20.0, 505.0
    if country in ("UA", "GE") and rng.random() < 0.8:
        p.patch((4, 4, 44, 52), rng.uniform(60, 150))
        p.patch((4, 56, 44, 52), rng.uniform(60, 220))
        p.write(country, (8, 72, 36, 26), wanted=False, fore=rng.choice([20.0, 240.0]))
        left = 58
    elif country != "UZ":
        p.flag((14, 20, 46, 30))
        p.write(country, (15, 60, 44, 26), wanted=False)
        left = 70
    if country in ("KG", "UZ"):
        region = signs(rng, "DD") if rng.random() < 0.5 else "0" + signs(rng, "D")
        p.write(region, (left, 20, 76, 68))
        p.rule(left + 84)
        left += 96
    if country == "UZ":
        p.flag((462, 20, 40, 26))
        p.write("UZ", (462, 60, 40, 26), wanted=False)
        right = 452
    high = rng.uniform(68, 78)
    p.write(text, (left + rng.uniform(0, 8), 56 - high / 2, right - left - 8, high))
    return p


def made_up(rng):
    """Any text: keeps the network from learning formats by heart; short ones are single lines of plates with two."""
    count = int(rng.integers(2, 10))
    if rng.random() < 0.5:
        text = "".join(str(rng.choice(list(CHARSET[:36]))) for _ in range(count))
    else:
        text = "".join(signs(rng, str(rng.choice(["D", "L"])) * int(rng.integers(1, 4))) for _ in range(3))
        if rng.random() < 0.5:
            text = text[:3] + " " + text[3:]
    p = Plate(rng, 40 + rng.uniform(46, 66) * len(text.strip()), rng.uniform(95, 125))
    if rng.random() < 0.06:
        p.font, p.thick = str(rng.choice([f for f in FONTS if any(n in f for n in HAS_CYRILLIC)])), 0
        text = "".join(str(rng.choice(list(CYRILLIC))) if rng.random() < 0.4 else s for s in text)
    high = p.h / SCALE * rng.uniform(0.55, 0.78)
    p.write(text, (18, (p.h / SCALE - high) / 2, p.w / SCALE - 36, high), small=rng.choice([1.0, 1.0, 0.78]))
    return p


def flat(rng):
    """A plate of some country."""
    kind = rng.random()
    for most, make in ((0.34, russian), (0.5, kazakh), (0.72, european), (0.86, neighbour)):
        if kind < most:
            return make(rng)
    return made_up(rng)


def worn(rng, pixels):
    """Dirt, shadows, bolts, glare."""
    h, w = pixels.shape
    if rng.random() < 0.45:
        spots = rng.random((int(rng.integers(2, 9)), int(rng.integers(3, 22)))).astype(np.float32)
        spots = cv2.resize(spots, (w, h), interpolation=cv2.INTER_CUBIC)
        amount = np.clip(spots, 0, 1) * rng.uniform(0.1, 0.7)
        pixels = pixels + (rng.uniform(40, 160) - pixels) * amount
    if rng.random() < 0.15:  # specks
        for _ in range(int(rng.integers(3, 30))):
            at = (int(rng.integers(0, w)), int(rng.integers(0, h)))
            cv2.circle(pixels, at, int(rng.integers(1, 3)), rng.uniform(20, 230), -1)
    if rng.random() < 0.25:
        for _ in range(int(rng.integers(1, 4))):
            at = (int(rng.integers(0, w)), int(rng.integers(0, h)))
            cv2.circle(pixels, at, int(rng.integers(2, 5)), rng.uniform(30, 240), -1)
    if rng.random() < 0.3:
        pixels = pixels * np.linspace(rng.uniform(0.5, 1.1), rng.uniform(0.5, 1.1), w, dtype=np.float32)[None]
    if rng.random() < 0.2:
        mask = np.zeros((h, w), np.float32)
        y0, y1 = rng.uniform(-0.5, 1.2, 2) * h
        cv2.fillPoly(mask, [np.int32([[0, -9], [w, -9], [w, y1], [0, y0]])], 1.0)
        if rng.random() < 0.5:
            mask = 1 - mask
        pixels = pixels * (1 - mask * np.float32(rng.uniform(0.2, 0.65)))
    return pixels


def surroundings(rng):
    """A plate on a bumper, in a holder, with a dealer's name below; and the margins that were added."""
    p = flat(rng)
    across, along = int(p.w * 0.32), int(p.h * 0.5)
    canvas = np.full((p.h + 2 * along, p.w + 2 * across), rng.uniform(5, 225), np.float32)
    if rng.random() < 0.6:
        rough = rng.uniform(0, 255, (int(rng.integers(2, 7)), int(rng.integers(2, 9)))).astype(np.float32)
        how = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_NEAREST]))
        canvas = cv2.resize(rough, canvas.shape[::-1], interpolation=how)
    if rng.random() < 0.6:
        by = int(rng.integers(2, 10))
        cv2.rectangle(canvas, (across - by, along - by), (across + p.w + by, along + p.h + by), rng.uniform(0, 120), -1)
        low = int(rng.integers(6, 18))
        if rng.random() < 0.5:
            ends = (across - by, along + p.h), (across + p.w + by, along + p.h + low)
            cv2.rectangle(canvas, *ends, rng.uniform(0, 255), -1)
            letters = list("abcdefghiklmnoprstABCDEKMT-.0123456789 ")
            name = "".join(str(rng.choice(letters)) for _ in range(int(rng.integers(6, 26))))
            at = (across + int(rng.integers(0, p.w // 2)), along + p.h + low - 3)
            cv2.putText(canvas, name, at, cv2.FONT_HERSHEY_SIMPLEX, low / 30, rng.uniform(0, 255), 1, cv2.LINE_AA)
    canvas[along : along + p.h, across : across + p.w] = worn(rng, p.pixels)
    return p, canvas, across, along


def strip(rng, widest=216, place=None):
    """A strip u8[32,W], W at most `widest`, and its signs as (class from 1, left, right) in pixels of the strip."""
    p, canvas, across, along = place or surroundings(rng)
    # what a finder cuts out: mostly a little too much, often as wide as a second look, sometimes too little
    kind = rng.random()
    if kind < 0.45:
        ends = rng.uniform(-0.02, 0.07, 2)
    elif kind < 0.85:
        ends = rng.uniform(0.05, 0.26, 2) if rng.random() < 0.5 else rng.uniform(0.04, 0.16, 2)
    else:
        ends = rng.uniform(-0.02, 0.08, 2)
        ends[int(rng.integers(0, 2))] = -rng.uniform(0.02, 0.25)
    top, bottom = rng.uniform(-0.08, 0.2, 2) if rng.random() < 0.85 else rng.uniform(-0.14, 0.4, 2)
    x0, x1 = across - ends[0] * p.w, across + p.w * (1 + ends[1])
    y0, y1 = along - top * p.h, along + p.h * (1 + bottom)
    quad = np.float32([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    turn = rng.normal(0, 0.012) * (x1 - x0)  # a slope left over
    quad[:, 1] += np.float32([-turn, turn, turn, -turn])
    # a slant: corners of a box instead of the plate's, or a plate seen from the side
    lean = (rng.normal(0, 0.08) if rng.random() < 0.7 else rng.uniform(-0.3, 0.3)) * (y1 - y0)
    quad[:, 0] += np.float32([lean, lean, -lean, -lean])
    quad += rng.normal(0, 0.022 * (y1 - y0), (4, 2)).astype(np.float32)
    # the resolution it had in the picture
    ratio = (x1 - x0) / (y1 - y0)
    seen_h = float(np.exp(rng.uniform(np.log(10), np.log(64))))
    # seen from the side
    squeeze = float(np.exp(rng.normal(0, 0.12))) if rng.random() < 0.7 else rng.uniform(0.5, 0.95)
    h, w = max(8, round(seen_h)), max(20, round(seen_h * ratio * min(squeeze, 1.25)))
    target = np.float32([[0, 0], [w, 0], [w, h], [0, h]])
    m = cv2.getPerspectiveTransform(quad, target)
    shrink = (y1 - y0) / h
    if shrink > 1.3:
        canvas = cv2.GaussianBlur(canvas, (0, 0), 0.42 * shrink)
    small = cv2.warpPerspective(canvas, m, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    small = camera(rng, small)
    wide = HEIGHT * w / h * (1.35 if rng.random() < 0.1 else 1.0)
    wide = int(np.clip(round(wide), 16, widest))
    method = cv2.INTER_AREA if h > HEIGHT else cv2.INTER_CUBIC
    out = cv2.resize(small, (wide, HEIGHT), interpolation=method)
    # signs that are in the strip for the most part
    found = []
    for sign, a, b, c, d in p.signs:
        ends = np.float32([[[a + across, (b + d) / 2 + along], [c + across, (b + d) / 2 + along]]])
        (left, _), (right, _) = cv2.perspectiveTransform(ends, m)[0] * (wide / w)
        size = max(right - left, 1e-3)
        seen = (min(right, wide) - max(left, 0)) / size
        if seen > 0.62:
            found.append((CHARSET.index(sign) + 1, left, right))
    found.sort(key=lambda s: s[1] + s[2])
    return out, found


def camera(rng, small):
    """Blur, light, noise, JPEG, at the resolution of the picture."""
    h, w = small.shape
    fine = min(1.0, h / 26)
    if rng.random() < 0.6:
        small = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.3, 1.25) * fine * (1.6 if h > 40 else 1.0))
    if rng.random() < 0.2:
        length = int(rng.integers(2, 2 + max(2, h // 7)))
        kernel = np.zeros((length, length), np.float32)
        if rng.random() < 0.7:
            kernel[length // 2] = 1 / length
        else:
            kernel[:, length // 2] = 1 / length
        small = cv2.filter2D(small, -1, kernel)
    low, high = rng.uniform(0, 90), rng.uniform(110, 255)
    if rng.random() < 0.15:  # hardly any contrast
        low = rng.uniform(5, 150)
        high = low + rng.uniform(25, 70)
    small = low + np.clip(small / 255, 0, 1) ** rng.uniform(0.6, 1.7) * (high - low)
    if rng.random() < 0.15:
        small = np.minimum(small * rng.uniform(1.1, 1.8), 255)
    noise = (rng.uniform(0, 0.06) if rng.random() < 0.8 else rng.uniform(0.06, 0.16)) * (high - low)
    small = small + rng.normal(0, noise + 0.5, small.shape)
    small = np.clip(small, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])
        small = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    if rng.random() < 0.15:  # sharpened by the camera
        small = cv2.addWeighted(small, 2.0, cv2.GaussianBlur(small, (0, 0), 1.0), -1.0, 0)
    return small


if __name__ == "__main__":  # a sheet to look at: `strips.py SHEET.png SEED`
    import sys
    import time

    rng = np.random.default_rng(int(sys.argv[2]))
    begin, rows = time.time(), []
    for _ in range(60):
        picture, text = strip(rng)
        row = np.zeros((HEIGHT + 16, 220), np.uint8)
        row[:HEIGHT, : picture.shape[1]] = picture
        for _, a, b in text:
            x = int(np.clip((a + b) / 2, 0, 219))
            row[HEIGHT : HEIGHT + 2, x] = 255
        label = "".join(s if ord(s) < 128 else "#" for s in (CHARSET[c - 1] for c, _, _ in text))
        cv2.putText(row, label, (4, HEIGHT + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1)
        rows.append(row)
    print((time.time() - begin) / 60 * 1000, "ms each")
    cv2.imwrite(sys.argv[1], np.vstack([np.hstack(rows[i : i + 4]) for i in range(0, 60, 4)]))
