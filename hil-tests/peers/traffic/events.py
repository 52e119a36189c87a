#!/usr/bin/env python3
"""Traffic event by event: site.toml, journal.jsonl, truth.json. Written without knowledge of the engine and of the other generators.
    python3 events.py --seed S --vehicles N --noise X --out DIR [--alarms SHARE]

World first (when does every vehicle's front and rear pass every metre of its lane), sensors second (what does each
sensor say about it), faults last (what gets lost, late, doubled). All times are seconds from the start of the day's shift.
"""
import argparse, datetime, hashlib, json, math, os, random

DX, BEFORE, AFTER = 0.5, 40.0, 48.0           # grid step; metres modelled before the first and after the last station
BASE = datetime.datetime(2026, 11, 22, 4, 0, 0)

# Sensor letters: L loop, F/R camera of front/rear, B camera of both ends, T rfid, G radiation, P radiation that also gives
# its occupancy, W static scale, A axle scale, Z weigh-in-motion with dimensions, D dimensions, C container, S seal radio,
# M document, K face, U undercarriage, X inspection, Y anomaly. "?": at this site perhaps.
LAYOUTS = [
    dict(name="classic-full", lanes=(2, 2), gap=(18, 35), cars=.4, st=[("entry", "L F T"), ("portal", "L G U?"),
         ("scale", "L W D"), ("booth", "L M K S? C?"), ("exit", "L R T?")]),
    dict(name="classic-lean", lanes=(1, 1), gap=(15, 30), cars=.5, st=[("entry", "L F"), ("portal", "P"), ("scale", "L W"),
         ("booth", "M"), ("exit", "L R F?")]),
    dict(name="classic-rfid", lanes=(3, 3), gap=(15, 30), cars=.2, st=[("entry", "L T F?"), ("portal", "L G"),
         ("scale", "L W"), ("booth", "L T M"), ("exit", "L T F")]),
    dict(name="classic-long", lanes=(1, 2), gap=(40, 72), cars=.3, st=[("entry", "L F R?"), ("portal", "L G"),
         ("scale", "L A D?"), ("booth", "L M K? S"), ("exit", "L B")]),
    dict(name="classic-compact", lanes=(1, 2), gap=(12, 15), cars=.5, st=[("entry", "L F T?"), ("portal", "L? P"),
         ("scale", "L W"), ("booth", "L M S?"), ("exit", "L R")]),
    dict(name="classic-four-lanes", lanes=(4, 4), gap=(20, 30), cars=.35, out=2, st=[("entry", "L F T"), ("portal", "L? G"),
         ("scale", "L W C"), ("booth", "L M K?"), ("exit", "L F R?")]),
    dict(name="classic-few-loops", lanes=(1, 2), gap=(20, 40), cars=.4, st=[("entry", "F R T?"), ("portal", "G"),
         ("scale", "W D?"), ("booth", "L M K"), ("exit", "B L?")]),
    dict(name="short-three", lanes=(1, 2), gap=(10, 18), cars=.7, st=[("entry", "L F"), ("portal", "L G"), ("exit", "L R")]),
    dict(name="double-portal-inspection", lanes=(1, 2), gap=(18, 40), cars=.3, st=[("gate", "L F T"), ("portal-1", "P"),
         ("portal-2", "L G U?"), ("inspection", "L X Y? C"), ("booth", "L M K S"), ("exit", "L R")]),
    dict(name="truck-terminal", lanes=(2, 3), gap=(22, 45), cars=.05, out=9, st=[("approach", "L T F"), ("weigh", "L Z"),
         ("customs", "L M S C"), ("release", "L R T?")]),
    dict(name="classic-scale-first", lanes=(2, 2), gap=(18, 30), cars=.3, out=1, st=[("entry", "L F"), ("scale", "L W D?"),
         ("portal", "P L?"), ("booth", "L M F? S?"), ("exit", "L R T?")]),
]
READS = dict(L=["presence"], F=["plate"], R=["plate"], B=["plate"], T=["tag"], G=["radiation"], P=["radiation", "presence"],
             W=["weight"], A=["weight"], Z=["weight", "dimensions"], D=["dimensions"], C=["container"], S=["seal"],
             M=["document"], K=["face"], U=["undercarriage"], X=["inspection"], Y=["anomaly"])
NAMES = dict(L="loop", F="lpr-front", R="lpr-rear", B="lpr", T="rfid", G="rpm", P="rpm", W="scale", A="axle", Z="wim",
             D="dim", C="ocr", S="seal", M="doc", K="face", U="uvis", X="xray", Y="scene")
LATENCY = dict(L=(.01, .08), F=(.2, .9), R=(.2, .9), B=(.2, .9), T=(.03, .25), G=(.3, 1.3), P=(.3, 1.3), W=(.05, .3),
               A=(.5, 1.5), Z=(.5, 1.5), D=(.3, 1.2), C=(.5, 1.8), S=(.2, 1.0), M=(.1, .6), K=(.3, 1.0), U=(1, 4), X=(2, 8),
               Y=(.3, 1))
LOOKALIKE = {"0": "OD", "O": "0D", "D": "0O", "1": "I7", "I": "1", "8": "B3", "B": "8", "5": "S6", "S": "5", "2": "Z7",
             "Z": "2", "M": "HN", "H": "MN", "Y": "V", "V": "Y", "7": "1", "E": "F", "P": "F", "C": "G", "T": "7", "K": "X",
             "X": "K", "A": "4", "4": "A", "6": "8", "9": "8", "3": "8"}
ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
BADGES = ["SCANIA", "VOLVO", "MAN", "DAF", "TIR", "FH500", "ACTROS", "KAMAZ", "XF480", "R450", "TOYOTA", "SCHMITZ", "KRONE"]


# ---------------------------------------------------------------------------------------------- who drives

def letters(rng, n, of="ABCEHKMOPTXY"):
    return "".join(rng.choice(of) for _ in range(n))

def digits(rng, n):
    return "".join(rng.choice("0123456789") for _ in range(n))

def plate(rng, country, trailer):
    if country == "RU":
        region = rng.choice(["77", "78", "50", "16", "150", "177", "30", "34", "56", "116"])
        return letters(rng, 2) + digits(rng, 4) + region if trailer else letters(rng, 1) + digits(rng, 3) + letters(rng, 2) + region
    if country == "KZ":
        return digits(rng, 2) + letters(rng, 3) + "%02d" % rng.randint(1, 17) if trailer else digits(rng, 3) + letters(rng, 3, "ABCDEFKLMNPRSTUXYZ") + "%02d" % rng.randint(1, 17)
    if country == "BY":
        return ("A" if trailer else "") + digits(rng, 4) + ("" if trailer else letters(rng, 2)) + (rng.choice("1234567") + ("B" if trailer else ""))
    if country == "KG":
        return "%02dKG" % rng.randint(1, 9) + digits(rng, 3) + letters(rng, 2 if trailer else 3)
    return letters(rng, 2, "ABCDEFGHKLMNPRSTVXZ") + digits(rng, 3) + letters(rng, 2)      # AM, TR, LT and the like

def iso6346(rng):
    code = rng.choice(["MSCU", "TGHU", "FESU", "MEDU", "CAIU", "TKRU", "OOLU", "CMAU"]) + digits(rng, 6)
    table, v = {}, 10
    for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        if v % 11 == 0:
            v += 1
        table[c], v = v, v + 1
    s = sum((table[c] if c.isalpha() else int(c)) << i for i, c in enumerate(code))
    return code + str(s % 11 % 10)

def check731(s):
    return str(sum((0 if c == "<" else int(c) if c.isdigit() else ord(c) - 55) * (7, 3, 1)[i % 3] for i, c in enumerate(s)) % 10)

def mrz(rng, country):
    c3 = dict(RU="RUS", KZ="KAZ", BY="BLR", KG="KGZ", AM="ARM", TR="TUR").get(country, "UTO")
    name = rng.choice(["IVANOV", "AKHMETOV", "PETROSYAN", "KOVAL", "YILMAZ", "SADYKOV", "NOVIK"]) + "<<" + rng.choice(["IVAN", "ASKAR", "ARAM", "OLEG", "MURAT", "ANNA"])
    no, dob, exp = digits(rng, 9), "%02d%02d%02d" % (rng.randint(60, 99), rng.randint(1, 12), rng.randint(1, 28)), "%02d0615" % rng.randint(27, 35)
    body = no + check731(no), dob + check731(dob), exp + check731(exp) + "<" * 14 + "0"
    return ("P<" + c3 + name).ljust(44, "<") + "\n" + body[0] + c3 + body[1] + "M" + body[2] + check731(body[0] + body[1] + body[2])

class Vehicle:
    """One run of one vehicle through one lane. lead(x)/trail(x): when its leading/trailing end passes metre x, or None."""
    way, side_out, side_in, back, wrong, again = "normal", None, None, None, None, None

    def identity(self, rng):
        """What others can know it by; drawn after the drive, so that a vehicle may come again."""
        self.country = rng.choice(["RU", "RU", "RU", "KZ", "KZ", "BY", "KG", "AM", "TR", "LT"])
        self.front = plate(rng, self.country, False)
        self.rear = plate(rng, self.country, True) if self.kind == "tractor-trailer" else self.front
        truck = self.kind in ("tractor-trailer", "truck")
        self.epc = "%024x" % rng.getrandbits(95) if rng.random() < (.85 if truck else .35) else None
        self.box = iso6346(rng) if self.kind == "tractor-trailer" and rng.random() < .5 else None
        self.seals = ["KZ" + digits(rng, 8) for _ in range(rng.choice([1, 1, 1, 2]))] if truck and rng.random() < .65 else []
        self.gross = {"car": rng.randint(1100, 2700), "van": rng.randint(2200, 4500), "bus": rng.randint(9000, 17000),
                      "truck": rng.randint(6000, 18000), "tractor-trailer": rng.randint(14500, 42000)}[self.kind]
        self.axles = {"car": 2, "van": 2, "bus": 2, "truck": rng.choice([2, 3]), "tractor-trailer": rng.choice([4, 5, 5])}[self.kind]
        self.papers = [("mrz", mrz(rng, self.country))]
        if truck:
            self.papers.append(rng.choice([("barcode", "CMR" + digits(rng, 9)), ("gs1", "00" + digits(rng, 18)), ("barcode", digits(rng, 8) + "/221126/" + digits(rng, 7))]))
        self.faces = [("driver", rng.getrandbits(200))] + ([("passenger", rng.getrandbits(200))] if rng.random() < .25 else [])

    def at(self, x):
        i = (x + BEFORE) / DX
        j = int(i)
        if j < self.i0 or j >= self.i1:
            return None
        a, b = self.T[j - self.i0], self.T[j + 1 - self.i0]
        return a + (b - a) * (i - j)

    def lead(self, x):
        if self.wrong:
            return self.wrong[0] + (self.wrong[2] - x) / self.wrong[1]
        if (self.side_out is not None and x > self.side_out) or (self.side_in is not None and x < self.side_in):
            return None
        return self.at(x)

    def trail(self, x):
        if self.wrong:
            return self.wrong[0] + (self.wrong[2] - x + self.length) / self.wrong[1]
        if self.back:                              # its front leaves x again, backwards
            return self.back[0] + (self.back[2] - x) / self.back[1] if x < self.back[2] else None
        if (self.side_out is not None and x > self.side_out) or (self.side_in is not None and x < self.side_in):
            return None
        return self.at(x + self.length)

    def over(self, x, half):
        """From when to when it covers a zone half a metre or so around x."""
        if self.wrong:
            return self.lead(x + half), self.trail(x - half)
        a, b = self.lead(x - half), self.trail(x - half if self.back else x + half)
        return (a, b) if a is not None and b is not None else None


# ---------------------------------------------------------------------------------------------- how they drive

def drive_lane(rng, lane, vehicles, X):
    """Give every vehicle of the lane its drive. `block[i]`: the earliest time at which the next front may pass node i."""
    pos, names, kit = lane["pos"], [n for n, _ in lane["st"]], [k for _, k in lane["st"]]
    n = int((pos[-1] + BEFORE + AFTER) / DX) + 1
    node = lambda x: max(0, min(n - 1, round((x + BEFORE) / DX)))
    block, clock, left, size, end = [0.0] * n, rng.uniform(20, 60), 0, 1, 0.0
    service = max([lane["dwell"] + 14 if "M" in k else 26 if "W" in k else 55 if "X" in k else 0 for k in kit] + [rng.uniform(9, 20)])
    for v in vehicles:
        L = v.length
        truck = L > 7
        if left <= 0:
            size = left = rng.choice([1, 1, 2, 2, 3, 3, 4, 5, 6])
            clock += rng.expovariate(1 / (lane["slack"] * service * size)) + 4
        else:
            clock += rng.uniform(1.5, 5)
        left -= 1
        odd = rng.random()
        last = len(pos) - 1
        if odd < .01 * X:
            v.way = "wrong way"
        elif odd < .02 * X:
            v.way = "joined half way"
        elif odd < .035 * X:
            v.way = "reversed"
        elif odd < .07 * X or (v.alarm and rng.random() < min(.8, .35 * X)):
            v.way = "referred out"
        if v.way == "wrong way":                  # only into an empty lane, and the next waits until it is gone
            t0, speed = max(end, clock) + rng.uniform(3, 15), rng.uniform(2.5, 5)
            v.wrong, v.stand = (t0, speed, pos[-1] + 12), {}
            gone = t0 + (pos[-1] + 12 + BEFORE + L) / speed
            v.t0, v.t1, end, clock, left = t0, gone, gone, gone + 2, 0
            block = [max(b, gone + 2) for b in block]
            continue
        x0, x1 = -BEFORE, pos[-1] + AFTER - 1
        if v.way == "referred out":
            radio = [i for i, k in enumerate(kit) if set(k) & set("GP")]
            k = radio[-1] if v.alarm and radio and rng.random() < .7 and radio[-1] < last else rng.randrange(0, last)
            v.side_out = pos[k] + max(3.0, rng.uniform(.35, .75) * (pos[k + 1] - pos[k]))
            x1 = v.side_out + L
        elif v.way == "joined half way":
            k = rng.randrange(0, last)
            v.side_in = x0 = pos[k] + rng.uniform(.4, .7) * (pos[k + 1] - pos[k])
        elif v.way == "reversed":
            x1 = min(pos[0] + rng.uniform(1.5, 6), pos[0] + L - 1, pos[1] - 3)
        stops = {}                                # node -> (seconds, station or None)
        for k, ks in enumerate(kit):
            if "W" in ks:
                x, d = pos[k] + L / 2, rng.uniform(7, 16)
            elif "M" in ks or "K" in ks:
                x, d = pos[k] + rng.uniform(1, 2.5), max(8, rng.gauss(lane["dwell"], lane["dwell"] / 3) * (1 if truck else .7))
            elif "X" in ks:
                x, d = pos[k] + rng.uniform(1, 3), rng.uniform(30, 60)
            elif k == 0 and lane["barrier"]:
                x, d = pos[0] + rng.uniform(.5, 2), rng.uniform(3, 9)
            else:
                continue
            if x > x0 + 1 and x < (v.side_out or x1) - .5:
                stops[node(x)] = (d, k)
        if rng.random() < .12:                    # hesitates, looks for papers, lets a person cross
            stops.setdefault(node(rng.uniform(max(x0, -15), min(x1, pos[-1]) - 1)), (rng.uniform(2, 8), None))
        if rng.random() < .03 * X:
            stops.setdefault(node(rng.uniform(max(x0, pos[0]), max(min(x1, pos[-1]), pos[0] + .6))), (rng.uniform(90, 260), None))
            v.wait = True
        v.i0, v.i1 = node(x0), node(x1)
        cruise = rng.uniform(*lane["cruise"]) * (.8 if truck else 1)
        limit = [cruise] * (v.i1 - v.i0 + 1)
        for k, ks in enumerate(kit):
            if set(ks) & set("GPAZ"):
                slow = lane["slow"] * rng.uniform(.85, 1.15)
                for i in range(max(v.i0, node(pos[k] - 9)), min(v.i1, node(pos[k] + L + 2)) + 1):
                    limit[i - v.i0] = min(limit[i - v.i0], slow)
        for i in stops:
            if v.i0 <= i <= v.i1:
                limit[i - v.i0] = .4
        if v.way == "reversed":
            limit[-1] = .4
        acc, dec = (.6, .9) if truck else (1.2, 1.6)
        for i in range(len(limit) - 2, -1, -1):
            limit[i] = min(limit[i], math.sqrt(limit[i + 1] ** 2 + 2 * dec * DX))
        for i in range(1, len(limit)):
            limit[i] = min(limit[i], math.sqrt(limit[i - 1] ** 2 + 2 * acc * DX))
        t = max(clock, block[v.i0])
        v.T, v.stand, v.t0 = [t], {}, t
        for i in range(v.i0, v.i1):
            if i in stops:
                if stops[i][1] is not None:
                    v.stand[stops[i][1]] = (t, t + stops[i][0])
                t += stops[i][0]
            t = max(t + DX * 2 / (limit[i - v.i0] + limit[i + 1 - v.i0]), block[i + 1])
            v.T.append(t)
        v.t1 = t
        if v.way == "reversed":
            halt, speed = t + rng.uniform(4, 50), rng.uniform(.9, 1.8)
            v.back = (halt, speed, x1)
            gone = halt + (x1 + BEFORE) / speed
            block = [max(b, gone + 2) for b in block]
            v.t1, clock, left = gone, gone + 1, 0
        else:
            gap, react = rng.uniform(1.9, 3.5), rng.uniform(.8, 2)
            shift = math.ceil((gap + L) / DX)
            for i in range(max(0, v.i0 - shift), v.i1 - shift + 1):
                block[i] = max(block[i], v.T[i + shift - v.i0] + react)
            for k, ks in enumerate(kit):          # the traffic light of a static scale: one at a time
                if "W" in ks:
                    i, j = node(pos[k] - 10.5), node(pos[k] + 9.5 + L)
                    if v.i0 <= j <= v.i1:
                        block[i] = max(block[i], v.T[j - v.i0] + react)
            if v.side_in is None:
                clock = v.T[min(len(v.T) - 1, math.ceil(L / DX))]
        end = max(end, v.t1)


# ---------------------------------------------------------------------------------------------- what sensors say

class World:
    def __init__(self, rng, X):
        self.rng, self.X, self.out, self.span = rng, X, [], 1.0

    def odds(self, p):
        return self.rng.random() < min(.95, p * self.X)

    def say(self, s, t, reading, v, tag=None, also=None, delay=None):
        """The device saw `reading` at t; the daemon gets it a little later, unless the sensor is ill."""
        rng = self.rng
        if any(a <= t < b for a, b in s["dead"]):
            return
        low, high = LATENCY[s["letter"]]
        arrive = t + (low + (high - low) * min(1, max(0, rng.gauss(s["slow"], .1))) if delay is None else delay)
        dev = t + s["skew"] + s["drift"] * t + rng.uniform(-.02, .02) if s["clock"] else None
        copies = 1
        for a, b, how in s["ill"]:
            if a <= t < b:
                if how == "hold" and dev is not None:
                    arrive, tag = max(arrive, math.ceil(t / 9.0) * 9.0), tag or "held back"
                elif how == "double" and reading["kind"] != "presence" and rng.random() < .6:
                    copies += rng.choice([1, 1, 2, 3])
        for c in range(copies):
            later = c * rng.uniform(.1, .6)
            self.out.append([arrive + later, t + later, s, dev, dict(reading), v, "doubled" if c else tag, also])

    def queue(self):
        """A device sends in the order in which it saw; only a result that is late for itself is overtaken."""
        last = {}
        for o in sorted(self.out, key=lambda o: o[1]):
            if o[6] != "late":
                o[0] = last[o[2]["id"]] = max(o[0], last.get(o[2]["id"], 0) + .001)
        return self.out

    def garble(self, text, rate):
        rng, out, bad = self.rng, "", None
        for c in text:
            if rng.random() < rate:
                c, bad = rng.choice(LOOKALIKE[c]) if c in LOOKALIKE and rng.random() < .75 else rng.choice(ALNUM.replace(c, "")), "wrong character"
            out += c
        if self.odds(.012):
            i = rng.randrange(len(out))
            out, bad = out[:i] + out[i + 1:], "dropped character"
        return out, bad

    # one method per reading -------------------------------------------------------------------
    def presence(self, s, v):
        span = v.over(s["x"], .6 if s["letter"] == "L" else .8)
        if not span:
            return
        rng, (a, b) = self.rng, span
        lost = rng.random()
        first, second = lost < .012 * self.X, .012 * self.X <= lost < .024 * self.X
        if not first:
            self.say(s, a, dict(kind="presence", occupied=True), v, "next edge missing" if second else None, delay=rng.uniform(.01, .08))
        if any(p <= a < q and how == "double" for p, q, how in s["ill"]) or (v.kind == "tractor-trailer" and self.odds(.02)):
            t = a + .25 * (b - a)
            for _ in range(rng.choice([1, 1, 2, 3])):
                if t + .8 < b:
                    self.say(s, t, dict(kind="presence", occupied=False), v, "flutter", delay=rng.uniform(.01, .05))
                    t += rng.uniform(.15, .5)
                    self.say(s, t, dict(kind="presence", occupied=True), v, "flutter", delay=rng.uniform(.01, .05))
                    t += rng.uniform(.1, .6)
        if not second:
            self.say(s, b, dict(kind="presence", occupied=False), v, "edge before missing" if first else None, delay=rng.uniform(.01, .08))

    def plates(self, s, v):
        for view in {"F": ["front"], "R": ["rear"], "B": ["front", "rear"]}[s["letter"]]:
            x, reach = s["x"], s["reach"]
            clip = v.side_out if v.side_out is not None else 1e9
            if v.wrong:
                text = v.rear if view == "front" else v.front
                a, b = (v.trail(x), v.trail(x - reach)) if view == "front" else (v.lead(x + reach), v.lead(x + 1))
            elif view == "front":
                text, low = v.front, x - reach
                if v.side_in is not None:
                    low = max(low, v.side_in)
                a, b = v.lead(low), v.lead(x - .5)
                if v.back and a is not None:
                    b = v.trail(low)
            else:
                text, a, b = v.rear, v.trail(x + .5), v.trail(min(x + reach, clip))
                if v.back:
                    continue
            if a is None or b is None or b <= a or self.odds(.03):
                continue
            self.read_plate(s, v, text, view, a, b)

    def read_plate(self, s, v, text, view, a, b):
        rng = self.rng
        n = rng.choice([1, 1, 2, 2, 3, 3, 4, 5, 6]) if s["talk"] else rng.choice([1, 1, 1, 2])
        times = sorted(a + rng.uniform(0, min(b - a, 2.0)) if rng.random() < .8 else rng.uniform(a, b) for _ in range(n))
        badge = rng.randrange(n + 1) if self.odds(.015) else None
        for i, t in enumerate(times):
            got, bad = self.garble(text, s["rate"] * self.X)
            conf = rng.uniform(.55, .9) if bad else rng.uniform(.78, .995)
            if i == badge:
                self.say(s, t, dict(kind="plate", text=rng.choice(BADGES), country=None, confidence=round(rng.uniform(.5, .8), 2), view=view), v, "badge")
            self.say(s, t, dict(kind="plate", text=got, country=v.country if rng.random() < s["knows"] else None, confidence=round(conf, 2), view=view), v, bad)

    def tags(self, s, v, neighbours):
        rng = self.rng
        if not v.epc:
            return
        x, r = s["x"], s["range"]
        sign = -1 if v.wrong else 1
        if v.back:
            a, b = v.lead(x - r), v.trail(x - r)
        else:
            a, b = v.lead(x - sign * r), v.lead(x + sign * 2)
            if b is None and v.side_out is not None and v.lead(x) is not None:
                b = v.lead(v.side_out)
            if a is None and v.side_in is not None and v.lead(x) is not None:
                a = v.t0
        if a is None or b is None:
            return
        here = v.lead(x)
        a = max(a, (here if here is not None else b) - 6)
        if not self.odds(.02):
            for t in sorted(rng.uniform(a, b) for _ in range(rng.choice([1, 2, 3, 4, 5, 6, 8]) if s["talk"] else rng.choice([1, 2]))):
                near = 1 - min(1, abs(t - (here or b)) / 6)
                self.say(s, t, dict(kind="tag", epc=v.epc, rssi_dbm=round(-66 + 18 * near + rng.gauss(0, 2), 1), antenna=s["antenna"]), v)
        for o in neighbours:
            if self.odds(.05):
                for t in sorted(rng.uniform(a, b) for _ in range(rng.choice([1, 1, 2, 3]))):
                    self.say(o, t, dict(kind="tag", epc=v.epc, rssi_dbm=round(-75 + rng.gauss(0, 2.5), 1), antenna=o["antenna"]), None, "from the neighbouring lane", v)

    def radiation(self, s, v):
        rng, span = self.rng, v.over(s["x"], .8)
        if not span:
            return
        a, b = span
        bg, nbg = s["bg"] * (1 + .03 * math.sin(b / 1700)), .8
        shade = .93 if v.length > 7 else .98
        alarm, g, n = "none", bg * shade + rng.uniform(1, 4) * math.sqrt(bg), rng.choice([0, 1, 1, 2, 3])
        if v.alarm and not (v.alarmed and rng.random() < .1):
            v.alarmed, alarm = True, v.alarm
            if "gamma" in alarm:
                g = bg * v.source * rng.uniform(.9, 1.1)
            if "neutron" in alarm:
                n = rng.randint(12, 60)
        late = self.odds(.03)
        self.say(s, b, dict(kind="radiation", alarm=alarm, gamma_max_cps=round(g, 1), gamma_background_cps=round(bg + rng.gauss(0, 3), 1), neutron_max_cps=n,
                            duration_ms=int((b - a) * 1000)), v, "late" if late else None, delay=rng.uniform(22, 33) if late else None)

    def weight(self, s, v):
        rng, L = self.rng, s["letter"]
        true = v.gross
        if L == "W":
            if s["k"] not in v.stand:
                return
            a, b = v.stand[s["k"]]
            settle = a + rng.uniform(2, 4.5)
            base = dict(kind="weight", axles_kg=None, mode="static")
            for t in sorted(rng.uniform(a - 2, settle - .2) for _ in range(rng.choice([0, 1, 2, 3, 5]) if self.X else 0)):
                part = min(1, max(.3, 1 - (settle - t) / 9)) + rng.gauss(0, .02)
                self.say(s, t, dict(base, gross_kg=int(true * part / 20) * 20, stable=False), v, "settling")
            for i in range(rng.choice([1, 1, 1, 2, 3])):
                t = settle + i * rng.uniform(.8, 2)
                if t < b:
                    self.say(s, t, dict(base, gross_kg=int(true * rng.uniform(.999, 1.001) / 20) * 20, stable=True), v)
            return
        t = v.trail(s["x"] + 1) if not v.back else None
        if t is None or v.wrong:
            return
        share = [rng.uniform(.8, 1.2) for _ in range(v.axles)]
        axles = [int(true * q / sum(share) * rng.uniform(.97, 1.03) / 10) * 10 for q in share]
        self.say(s, t, dict(kind="weight", gross_kg=sum(axles), axles_kg=axles, stable=True, mode="axle" if L == "A" else "wim"), v)

    def dimensions(self, s, v):
        t = v.trail(s["x"] + .5) if not v.back else None
        if t is not None and not self.odds(.02):
            self.say(s, t, dict(kind="dimensions", length_mm=int(v.length * 1000 * self.rng.gauss(1, .012)), width_mm=int(v.width * self.rng.gauss(1, .01)), height_mm=int(v.height * self.rng.gauss(1, .008))), v)

    def container(self, s, v):
        a, b = (None, None) if v.back or v.wrong else (v.lead(s["x"]), v.trail(s["x"]))
        if not v.box or a is None or b is None or self.odds(.04):
            return
        for t in sorted(self.rng.uniform(a, b) for _ in range(self.rng.choice([1, 2, 3]))):
            got, bad = self.garble(v.box, s["rate"] * self.X)
            self.say(s, t, dict(kind="container", code=got, confidence=round(self.rng.uniform(.6, .98), 2)), v, bad)

    def seal(self, s, v, neighbours):
        """The seal hangs on the rear doors and beacons; the radio hears it when it is near, now and then from the queue."""
        rng = self.rng
        if v.back or v.wrong:
            return
        x, r = s["x"], 6.0
        for sid in v.seals:
            early = self.odds(.08)
            far = v.trail(x - (rng.uniform(14, 28) if early else r))
            a, b = far, v.trail(x + r) or (v.side_out is not None and v.trail(v.side_out)) or None
            if a is None and v.side_in is not None:
                a = v.trail(v.side_in + .1)
            if a is None or b is None or b <= a or b < (v.trail(x) or 1e18):
                continue
            beat, state = rng.uniform(3, 9), rng.choice(["sealed"] * 12 + ["low_battery", "opened"])
            t, n = a + rng.uniform(0, min(beat, (b - a) / 2)), 0
            while t < b and n < 6:
                queue = early and t < (v.trail(x - r) or 0)
                self.say(s, t, dict(kind="seal", seal_id=sid, state=state), v, "heard in the queue" if queue else None)
                t, n = t + (beat if n < 3 else 4 * beat) + rng.uniform(-.4, .4), n + 1
            for o in neighbours:
                if self.odds(.02):
                    self.say(o, rng.uniform(a, b), dict(kind="seal", seal_id=sid, state=state), None, "from the neighbouring lane", v)

    def booth(self, s, v):
        if s["k"] not in v.stand:
            return
        rng, (a, b) = self.rng, v.stand[s["k"]]
        if s["letter"] == "M":
            t = a + rng.uniform(2, 5)
            for kind_of, text in v.papers:
                for _ in range(rng.choice([1, 1, 1, 2])):
                    if t < b - .5:
                        self.say(s, t, dict(kind="document", kind_of=kind_of, text=text), v)
                    t += rng.uniform(1.2, 5)
        else:
            for seat, seed in v.faces:
                for _ in range(rng.choice([1, 1, 2, 3])):
                    made = rng.random() < .85
                    self.say(s, rng.uniform(a + .3, b), dict(kind="face", seat=seat if rng.random() < .9 else "unknown", quality=round(rng.uniform(.4, .98), 2),
                             template=hashlib.sha256(str(seed + rng.getrandbits(8)).encode()).hexdigest() if made else None), v)

    def verdicts(self, s, v):
        rng, letter = self.rng, s["letter"]
        if letter == "X":
            if s["k"] in v.stand:
                self.say(s, v.stand[s["k"]][1] - rng.uniform(4, 12), dict(kind="inspection", verdict=rng.choice(["clear"] * 8 + ["suspect"]), score=round(rng.random(), 2), label="x-ray"), v)
            return
        t = v.trail(s["x"]) if not v.back else None
        if t is not None and (letter == "U" or self.odds(.03)):
            kind, label = ("undercarriage", "underbody") if letter == "U" else ("anomaly", rng.choice(["person on lane", "open door", "smoke"]))
            self.say(s, t, dict(kind=kind, verdict="clear" if letter == "U" else "suspect", score=round(rng.random(), 2), label=label), v)


# ---------------------------------------------------------------------------------------------- the site

def build_site(rng, seed, X):
    plan = LAYOUTS[seed % len(LAYOUTS)]
    site = dict(plan=plan, id="RU1070%04d" % rng.randint(1000, 9999), lanes=[], sensors=[])
    opt = {}                                       # a "?" is decided once a site, lanes of one site are mostly alike
    kits = [(n, [c[0] for c in k.split() if not c.endswith("?") or opt.setdefault((n, c), rng.random() < .5)]) for n, k in plan["st"]]
    gaps = [round(rng.uniform(*plan["gap"]) * 2) / 2 for _ in kits[1:]]
    lanes, outs = rng.randint(*plan["lanes"]), plan.get("out", 0)
    count = {"in": 0, "out": 0}
    habit = dict(dwell=rng.uniform(14, 34), slack=rng.uniform(.9, 1.6), barrier=rng.random() < .4, cruise=rng.choice([(2.5, 4.5), (3.5, 6), (4, 7)]), slow=rng.uniform(1.6, 2.8))
    for n in range(lanes):
        way = "out" if n >= lanes - outs else "in"
        count[way] += 1
        pos = [0.0]
        for g in gaps:
            pos.append(pos[-1] + g + (rng.choice([0, 0, 1.5]) if n else 0))
        lane = dict(habit, id="%s-%d" % (way, count[way]), direction=way, pos=pos, st=[(name, list(k)) for name, k in kits])
        site["lanes"].append(lane)
        for k, (name, kit) in enumerate(lane["st"]):
            for c in kit:
                side = {"L": rng.uniform(-.5, .5), "F": rng.uniform(-1, .5), "R": rng.uniform(0, 1), "G": rng.uniform(-1.5, 1.5), "P": rng.uniform(-.5, .5)}.get(c, rng.uniform(-.5, .5))
                site["sensors"].append(dict(id="%s-%s-%s" % (NAMES[c], lane["id"], name), lane=n, k=k, letter=c, x=pos[k] + side, reach=rng.uniform(4, 9),
                    slow=rng.uniform(.1, .8), talk=rng.random() < .7, rate=rng.uniform(.01, .03), knows=rng.choice([0, .8, .95]), range=rng.uniform(5, 14), antenna=rng.randint(1, 4),
                    bg=rng.uniform(250, 900), clock=c in "GP" or (c not in "L" and rng.random() < .6), skew=0.0, drift=0.0, dead=[], ill=[]))
    for s in site["sensors"]:
        if X and s["clock"] and rng.random() < .3 * min(X, 2):
            s["skew"], s["drift"] = rng.uniform(-4, 4) * X, rng.uniform(-2e-5, 2e-5)
        elif s["clock"]:
            s["skew"] = rng.uniform(-.05, .05)
    return site

def sicken(rng, sensors, span, X):
    for s in sensors:
        if rng.random() < .05 * X:
            a = rng.uniform(0, span * .9)
            s["dead"].append((a, a + span * rng.uniform(.05, .4) if rng.random() < .75 else 1e12))
        if rng.random() < .06 * X:
            a = rng.uniform(0, span * .9)
            s["ill"].append((a, a + rng.uniform(120, 600), rng.choice(["hold", "double", "double"])))

def toml(site, rng):
    wants = dict(F="plate", R="plate", B="plate", T="tag", G="radiation", P="radiation", W="weight", A="weight", Z="weight", M="document")
    q = json.dumps
    out = ["[site]", "id = " + q(site["id"]), 'box = "gw-1"', ""]
    for lane in site["lanes"]:
        out += ["[[lane]]", "id = " + q(lane["id"]), "direction = " + q(lane["direction"])]
        for k, (name, kit) in enumerate(lane["st"]):
            need = sorted({wants[c] for c in kit if c in wants and not (c == "T" and k) and not (c in "FRB" and k)})
            out += ["[[lane.station]]", "id = " + q(name), "position_m = %.1f" % lane["pos"][k], "required = " + q(need)]
            if "M" in kit or "X" in kit:
                out.append("deadline_s = 120")
        out.append("")
    for s in site["sensors"]:
        lane = site["lanes"][s["lane"]]
        for kind in READS[s["letter"]]:
            out += ["[[sensor]]", "id = " + q(named(s, kind)), "station = " + q(lane["id"] + "/" + lane["st"][s["k"]][0]),
                    'protocol = "replay"', "reading = " + q(kind), ""]
    return "\n".join(out)


# ---------------------------------------------------------------------------------------------- all together

def generate(seed, n, X, share):
    rng = random.Random("g4/%d" % seed)
    site = build_site(rng, seed, X)
    plan, lanes = site["plan"], site["lanes"]
    vehicles = []
    hot = set(rng.sample(range(n), min(n, round(share * n))))
    for i in range(n):
        v = Vehicle()
        v.kind = rng.choice(["car"] * 5 + ["van"]) if rng.random() < plan["cars"] else rng.choice(["tractor-trailer"] * 6 + ["truck"] * 2 + ["bus"])
        v.length = {"car": rng.uniform(3.9, 4.9), "van": rng.uniform(5, 6.8), "bus": rng.uniform(10.5, 13), "truck": rng.uniform(7.2, 10.5), "tractor-trailer": rng.uniform(15.5, 18.7)}[v.kind]
        v.width, v.height = (1800, 1500) if v.kind == "car" else (2050, 2400) if v.kind == "van" else (2500, rng.randint(3100, 4000))
        v.alarm = rng.choice(["gamma"] * 8 + ["neutron", "gamma+neutron"]) if i in hot else None
        v.alarmed, v.wait, v.source, v.lane = False, False, rng.uniform(1.6, 8), rng.randrange(len(lanes))
        vehicles.append(v)
    for k, lane in enumerate(lanes):
        drive_lane(rng, lane, [v for v in vehicles if v.lane == k], X)
    vehicles.sort(key=lambda v: v.t0)
    for i, v in enumerate(vehicles):
        v.id = "v%d" % (i + 1)
        v.identity(rng)
        old = [o for o in vehicles[:i] if o.t1 < v.t0 - 400 and o.kind == v.kind and not o.again]
        if old and rng.random() < .03 * X:        # the same one comes again
            o = rng.choice(old)
            for a in ("country", "front", "rear", "epc", "box", "seals", "gross", "axles", "papers", "faces", "width", "height"):
                setattr(v, a, getattr(o, a))
            v.again = o.id
    world = World(rng, X)
    span = max(v.t1 for v in vehicles)
    sicken(rng, site["sensors"], span, X)
    for s in site["sensors"]:
        near = [o for o in site["sensors"] if o["letter"] == s["letter"] and o["k"] == s["k"] and abs(o["lane"] - s["lane"]) == 1]
        for v in vehicles:
            if v.lane != s["lane"]:
                continue
            c = s["letter"]
            if c in "LP":
                world.presence(s, v)
            if c in "FRB":
                world.plates(s, v)
            elif c == "T":
                world.tags(s, v, near)
            elif c in "GP":
                world.radiation(s, v)
            elif c in "WAZ":
                world.weight(s, v)
            elif c == "C":
                world.container(s, v)
            elif c == "S":
                world.seal(s, v, near)
            elif c in "MK":
                world.booth(s, v)
            elif c in "UXY":
                world.verdicts(s, v)
            if c in "DZ":
                world.dimensions(s, v)
        if s["letter"] == "L" and world.odds(.08):      # a trolley, a bicycle: nobody's, and never while a vehicle is near
            t = rng.uniform(30, span)
            if all(not p or t + 6 < p[0] or t - 4 > p[1] for p in (v.over(s["x"], .6) for v in vehicles if v.lane == s["lane"])):
                world.say(s, t, dict(kind="presence", occupied=True), None, "trolley")
                world.say(s, t + rng.uniform(.4, 1.2), dict(kind="presence", occupied=False), None, "trolley")
        for a, b in s["dead"]:
            if s["letter"] in "GP" and b < span:
                world.say(s, b + 1, dict(kind="radiation", alarm="fault", gamma_max_cps=0, gamma_background_cps=0, neutron_max_cps=0, duration_ms=0), None, "fault at restart")
    return site, vehicles, world.queue()

def named(s, kind):
    """A sensor of the site file gives readings of one kind: a portal that tells its occupancy, too, is two."""
    return s["id"] if kind == READS[s["letter"]][0] else s["id"] + "-" + kind

def utc(seconds):
    return (BASE + datetime.timedelta(milliseconds=round(seconds * 1000))).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seed", type=int, required=True)
    p.add_argument("--vehicles", type=int, required=True)
    p.add_argument("--noise", type=float, default=1.0)
    p.add_argument("--out", required=True)
    p.add_argument("--alarms", type=float, default=.1)
    a = p.parse_args()
    site, vehicles, out = generate(a.seed, a.vehicles, a.noise, a.alarms)
    rng = random.Random("g4/write/%d" % a.seed)
    boot, synced, evidence = rng.randint(50_000, 9_000_000), rng.random() < .5, rng.random() < .4
    out.sort(key=lambda o: (o[0], o[1]))
    os.makedirs(a.out, exist_ok=True)
    truth = dict(seed=a.seed, layout=site["plan"]["name"], noise=a.noise, observations={}, also={}, tags={}, alarms=[], vehicles=[])
    seqs, name = {}, lambda v: v.id if v else None
    with open(os.path.join(a.out, "journal.jsonl"), "w", encoding="utf-8") as f:
        put = lambda o: f.write(json.dumps(o, ensure_ascii=False, separators=(",", ":")) + "\n")
        put({"journal": 1, "site": site["id"]})
        for arrive, _, s, dev, reading, v, tag, also in out:
            seq = seqs[s["id"]] = seqs.get(s["id"], 0) + 1
            sensor = named(s, reading["kind"])
            line = dict(sensor=sensor, seq=seq, mono_ms=boot + round(arrive * 1000), at=utc(arrive))
            if dev is not None:
                line["device_at"] = utc(dev)
            line["reading"] = reading
            if synced:
                line["clock"] = "synced"
            if evidence and reading["kind"] in ("plate", "face"):
                line["evidence"] = [hashlib.sha256(("%s#%d/%d" % (s["id"], seq, a.seed)).encode()).hexdigest()]
            put(line)
            key = "%s#%d" % (sensor, seq)
            truth["observations"][key] = name(v)
            if also:
                truth["also"][key] = also.id
            if tag:
                truth["tags"][key] = tag
            if reading["kind"] == "radiation" and reading["alarm"] not in ("none", "fault"):
                truth["alarms"].append(dict(sensor=sensor, seq=seq, vehicle=name(v)))
    for v in vehicles:
        entry = dict(id=v.id, lane=site["lanes"][v.lane]["id"], way=v.way, kind=v.kind, front=v.front, rear=v.rear, from_s=round(v.t0, 1), to_s=round(v.t1, 1))
        if v.wait:
            entry["waits"] = True
        if v.again:
            entry["again"] = v.again
        truth["vehicles"].append(entry)
    with open(os.path.join(a.out, "site.toml"), "w", encoding="utf-8") as f:
        f.write(toml(site, rng))
    with open(os.path.join(a.out, "truth.json"), "w", encoding="utf-8") as f:
        json.dump(truth, f, ensure_ascii=False, indent=0)

if __name__ == "__main__":
    main()
