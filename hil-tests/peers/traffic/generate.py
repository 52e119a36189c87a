#!/usr/bin/env python3
"""A second traffic generator, written from the formats alone, without knowledge of the engine or of the first one.

Writes DIR/site.toml, DIR/journal.jsonl and DIR/truth.json:

    python3 generate.py --seed S --vehicles N --noise X --out DIR [--alarms 0.1] [--layout NAME]

Vehicles move physically (0.1 s steps, Krauss car following) along a lane; x is metres from the start of the lane. Every
sensor speaks from the true front and rear. See LAYOUTS for the lanes, NOISE for what `--noise` scales.
"""
import argparse
import hashlib
import json
import math
import os
import random
from datetime import datetime, timedelta, timezone

DT = 0.1
# Probabilities and sizes at noise 1; each is multiplied by --noise.
NOISE = dict(
    char_wrong=(0.01, 0.03),     # per character, drawn per camera
    char_dropped=0.012,          # per read
    plate_unread=0.03,           # per vehicle and camera
    badge=0.03,                  # per truck and camera: lettering read as a plate
    tag_early=0.5, tag_early_s=6.0,
    tag_neighbour=0.12,          # per tagged vehicle and neighbouring reader
    radiation_late=0.04,         # per result, 15-40 s
    clock_off=0.15,              # per device, 0.5-6 s
    settling=(2, 6),             # readings of a scale while it settles
    seal_next=0.35,              # per sealed truck and radio: heard already in the queue
    edge_missed=0.008,           # per edge
    gap_missed=0.04,             # both edges between two vehicles closer than 1.2 s
    ghost_per_s=1 / 1500,        # per loop
    dead=0.03,                   # per sensor: dies, half of them come back
    stutter=0.04,                # per sensor: for some minutes everything two to four times
    wrong_way=0.010, referred=0.010, reversed=0.006,
)

# Station: (name, metres, stop or None, loop?, sensors)
# stop: booth (minutes), desk (documents), scale (whole vehicle on the platform, one at a time), gate (barrier, seconds)
# sensors: front, rear (plate cameras), rfid, radiation, wim, static, dims, under, container, seal, document, face
# "name?" = fitted with 60 %, loop "?" the same.
LAYOUTS = {
    "classic": (2, [("entry", 0, None, 1, "front rfid"), ("portal", 25, None, 0, "radiation"),
                    ("scale", 48, "scale", "?", "static"), ("booth", 72, "booth", 1, "document face?"),
                    ("exit", 92, "gate", 1, "seal?")]),
    "short": (1, [("entry", 0, None, 1, "front rear rfid?"), ("booth", 11, "booth", 1, "document"),
                  ("exit", 20, "gate", 1, "rear?")]),
    "long": (1, [("entry", 0, None, 1, "front rear rfid"), ("gauge", 40, None, "?", "dims"),
                 ("portal", 110, None, 1, "radiation under?"), ("weighbridge", 170, "scale", 1, "static rfid?"),
                 ("booth", 230, "booth", 1, "document face"), ("exit", 300, "gate", 1, "front seal")]),
    "noloops": (3, [("entry", 0, None, 0, "front rfid"), ("portal", 30, None, 0, "radiation"),
                    ("exit", 60, None, 0, "rear rfid?")]),
    "wim": (2, [("approach", 0, None, 0, "front wim"), ("portal", 50, None, "?", "radiation"),
                ("codes", 75, None, 0, "container"), ("booth", 120, "booth", 1, "document rfid"),
                ("exit", 140, "gate", 1, "seal?")]),
    "desk": (2, [("gate", 0, None, 1, "front rear?"), ("desk", 20, "desk", 1, "document face"),
                 ("portal", 55, None, "?", "radiation"), ("scale", 80, "scale", 0, "static seal"),
                 ("exit", 110, "gate", 1, "rfid?")]),
    "noexit": (1, [("entry", 0, None, 1, "front rear rfid?"), ("portal", 18, None, 1, "radiation"),
                   ("scale", 45, "scale", 0, "static")]),
    "terminal": (1, [("entry", 0, None, 1, "front rear rfid"), ("under", 15, None, 0, "under"),
                     ("gauge", 32, None, 0, "dims container?"), ("portal", 48, None, 0, "radiation"),
                     ("scale", 85, "scale", "?", "static"), ("exit", 120, "gate", 0, "seal rear?")]),
    "boothfirst": (2, [("booth", 0, "booth", 1, "front document rfid?"), ("portal", 35, None, 0, "radiation"),
                       ("exit", 65, "gate", 1, "front")]),
    "twobooths": (1, [("entry", 0, None, 1, "front rear? rfid"), ("border-guard", 55, "booth", "?", "face document"),
                      ("portal", 95, None, "?", "radiation wim?"), ("customs", 140, "booth", 1, "document"),
                      ("exit", 165, None, 1, "seal")]),
    "wimportal": (3, [("entry", 0, None, 1, "front rear?"), ("portal", 22, None, "?", "radiation wim"),
                      ("exit", 44, "gate", "?", "rfid")]),
}
NAMES = list(LAYOUTS)
CLASSES = {  # length, accelerations, standing distance
    "car": ((3.9, 5.1), (1.0, 2.0)), "van": ((5.3, 7.2), (0.9, 1.5)), "rigid": ((7.5, 11.5), (0.5, 1.0)),
    "bus": ((11.0, 13.0), (0.5, 0.9)), "semi": ((15.2, 18.4), (0.35, 0.8)),
}
BADGES = ["SCANIA", "VOLVO", "ACTROS", "DAFXF", "MANTGX", "KAMAZ", "SCHMITZ", "KRONE", "TRANSAVTO", "R450", "FH500",
          "KOEGEL", "CARGO24", "TIR", "IVECO", "STRALIS480"]
CONFUSED = {"0": "OD8", "O": "0DQ", "1": "I7L", "7": "1T", "8": "B3", "B": "8E", "5": "S6", "S": "5", "2": "Z7", "Z": "2",
            "6": "G8", "3": "8", "A": "4", "4": "A", "M": "H", "H": "MN", "K": "X", "X": "K", "P": "R", "E": "F", "C": "G0",
            "T": "Y7", "Y": "V", "D": "0O", "9": "8", "N": "H", "G": "6C"}


class Vehicle:
    def __init__(self, vid, lane, kind, rng):
        self.id, self.lane, self.kind = vid, lane, kind
        (lo, hi), (alo, ahi) = CLASSES[kind]
        self.length, self.acc = rng.uniform(lo, hi), rng.uniform(alo, ahi)
        self.dec = rng.uniform(1.5, 2.8) if kind in ("car", "van") else rng.uniform(1.2, 2.0)
        self.tau, self.s0 = rng.uniform(0.8, 1.8), rng.uniform(2.0, 4.0)
        self.way, self.x, self.v, self.stops, self.dwell = "normal", 0.0, 0.0, [], None
        self.out = None           # where a referred vehicle leaves the lane
        self.t0, self.xs = None, []
        self.truck = kind in ("rigid", "semi")
        self.hot = False

    def span(self, x):
        """Lowest and highest place that it covers when its leading end is at x."""
        if self.way == "wrong_way":
            return x, x + self.length
        hi = x if self.out is None else min(x, self.out)
        return x - self.length, hi

    def spans(self):
        return [self.span(x) for x in self.xs]

    def at(self, t):
        """Front at time t (seconds), or None."""
        k = (t - self.t0) / DT
        i = int(k)
        if k < 0 or i >= len(self.xs) - 1:
            return None
        return self.xs[i] + (self.xs[i + 1] - self.xs[i]) * (k - i)

    def covers(self, a, b, what=None):
        """Intervals [t1, t2] in which the vehicle (or its point `what(x)`) is within a..b."""
        found, start, before = [], None, None
        for i, x in enumerate(self.xs):
            lo, hi = self.extent(x, what)
            inside = max(0.0, lo - b, a - hi)   # distance outside, 0 = inside
            t = self.t0 + i * DT
            if inside == 0 and start is None:
                start = t if before in (None, 0) else t - DT * min(1, self._part(i, what, a, b))
            elif inside > 0 and start is not None:
                found.append((start, t - DT * min(1, self._part(i, what, a, b, True))))
                start = None
            before = inside
        if start is not None:
            found.append((start, self.t0 + len(self.xs) * DT))
        return found

    def extent(self, x, what):
        if what is None:
            return self.span(x)
        p = what(x)
        return (p, p) if self.out is None or p <= self.out else (1e9, 1e9)   # a referred one has turned off

    def _part(self, i, what, a, b, leaving=False):
        """Share of the step before i that lies after the crossing."""
        if i == 0:
            return 0
        ends = []
        for x in (self.xs[i - 1], self.xs[i]):
            lo, hi = self.extent(x, what)
            ends.append(max(lo - b, a - hi))
        e0, e1 = ends
        return 0.5 if e0 == e1 or abs(e1 - e0) > 1e6 else max(0.0, min(1.0, e1 / (e1 - e0)))


def ident(rng, countries):
    def letters(n, of="ABCEHKMOPTXY"):
        return "".join(rng.choice(of) for _ in range(n))

    def digits(n):
        return "".join(rng.choice("0123456789") for _ in range(n))

    latin = "ABCDEFGHJKLMNPRSTUVWXYZ"
    c = rng.choice(countries)
    front = {"RU": lambda: letters(1) + digits(3) + letters(2) + rng.choice(["77", "178", "39", "60", "102", "74"]),
             "KZ": lambda: digits(3) + letters(3, latin) + rng.choice(["02", "09", "13"]),
             "BY": lambda: letters(2, "ABEIKMHOPCTX") + digits(4) + rng.choice("1234567"),
             "PL": lambda: rng.choice(["WZ", "LU", "BI", "PO"]) + digits(5),
             "LT": lambda: letters(3, latin) + digits(3),
             "DE": lambda: rng.choice(["B", "HH", "M"]) + letters(2, latin) + digits(4)}[c]()
    rear = {"RU": lambda: letters(2) + digits(4) + rng.choice(["77", "39", "60", "74"]),
            "KZ": lambda: digits(2) + letters(3, latin) + rng.choice(["02", "09"]),
            "BY": lambda: "A" + digits(4) + letters(1, "ABEIKM") + rng.choice("1234567"),
            "PL": lambda: rng.choice(["WZ", "LU", "BI"]) + digits(3) + letters(2, latin),
            "LT": lambda: letters(2, latin) + digits(3),
            "DE": lambda: rng.choice(["B", "HH"]) + letters(2, latin) + digits(3)}[c]()
    return c, front, rear


def container_code(rng):
    owner = rng.choice(["CSQ", "MSK", "TGH", "MSC", "FCI", "TEM"]) + "U"
    code = owner + "".join(rng.choice("0123456789") for _ in range(6))
    value = {}
    n = 10
    for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        if n % 11 == 0:
            n += 1
        value[c] = n
        n += 1
    s = sum((value[c] if c.isalpha() else int(c)) * 2 ** i for i, c in enumerate(code))
    return code + str(s % 11 % 10)


class World:
    def __init__(self, seed, vehicles, noise, alarms, layout):
        self.rng = random.Random(f"second-{seed}")
        self.seed, self.n, self.noise, self.alarms = seed, vehicles, noise, alarms
        rng = self.rng
        self.layout = layout or NAMES[seed % len(NAMES)]
        lanes, stations = LAYOUTS[self.layout]
        self.direction = "out" if self.layout == "boothfirst" else rng.choice(["in", "in", "out"])
        self.mix = {k: rng.uniform(*r) for k, r in
                    dict(car=(0.1, 1.2), van=(0.02, 0.3), rigid=(0.1, 0.5), bus=(0, 0.15), semi=(0.4, 1.6)).items()}
        if self.layout == "terminal":
            self.mix.update(car=0.05, van=0.05, bus=0)
        self.countries = rng.choices(["RU", "KZ", "BY", "PL", "LT", "DE"], k=rng.randint(3, 7))
        self.speed = rng.uniform(3.5, 9.0)
        self.booth_median = rng.uniform(15, 60)
        self.platoon = rng.uniform(0.1, 0.5)
        self.load = rng.uniform(0.35, 0.9)
        self.halts = rng.uniform(0.05, 0.25)
        self.tagged = rng.uniform(0.5, 0.95)
        self.sealed = rng.uniform(0.3, 0.8)
        scale = rng.uniform(0.92, 1.1) if self.layout != "long" else rng.uniform(0.85, 1.0)
        # One drawing of what is fitted for all lanes.
        self.stations = []
        for name, pos, stop, loop, sensors in stations:
            loop = rng.random() < 0.6 if loop == "?" else bool(loop)
            fitted = [s.rstrip("?") for s in sensors.split() if not s.endswith("?") or rng.random() < 0.6]
            self.stations.append(dict(name=name, pos=round(max(pos * scale, 1.0 * (pos > 0)), 1), stop=stop, loop=loop, sensors=fitted))
        self.lanes = [f"{self.direction}-{i + 1}" for i in range(lanes)]
        self.first, self.last = self.stations[0]["pos"], self.stations[-1]["pos"]
        self.start, self.end = self.first - 70, self.last + 30
        self.obs = []             # [arrival, sensor, reading, device time or None, vehicle or None, also, tag]
        self.sensors = {}         # id -> dict

    def chance(self, p):
        return self.rng.random() < min(0.95, p * self.noise) if self.noise > 0 else False

    # ---- vehicles ----

    def population(self):
        rng, made, share = self.rng, [], [self.rng.uniform(0.6, 1.4) for _ in self.lanes]
        at = {lane: rng.uniform(5, 60) for lane in self.lanes}
        dwell = {"booth": self.booth_median * 1.25 + 14, "desk": 30, "scale": 32, "gate": 10, None: 0}
        slow = max(max(dwell[s["stop"]] for s in self.stations), 8)
        mean = slow / self.load
        while len(made) < self.n:
            lane = rng.choices(self.lanes, share)[0]
            at[lane] += rng.expovariate(1 / mean)
            size = rng.randint(2, 6) if rng.random() < self.platoon else 1
            for k in range(size):
                if len(made) >= self.n:
                    break
                kind = rng.choices(list(self.mix), list(self.mix.values()))[0]
                v = Vehicle(f"v{len(made)}", lane, kind, rng)
                v.due, v.gap = at[lane], rng.uniform(1.5, 5.0) if k else None
                v.speed = max(2.2, rng.gauss(self.speed, 1.2))
                self.identity(v, made)
                self.course(v)
                made.append(v)
            at[lane] += size * mean * 0.6 if size > 1 else 0
        return made

    def identity(self, v, made):
        rng = self.rng
        again = [o for o in made if o.due < v.due - 900 and o.kind == v.kind and not o.copied]
        v.copied = bool(again) and rng.random() < 0.04   # the same vehicle comes again: a new passage
        if v.copied:
            o = rng.choice(again)
            for key in ("country", "front", "rear", "tag", "seals", "container", "mass", "hot", "length", "again"):
                setattr(v, key, getattr(o, key))
            v.again = o.id
            return
        v.again = None
        v.country, v.front, trailer = ident(rng, self.countries)
        v.rear = trailer if v.kind == "semi" else v.front
        v.tag = "E2" + "".join(rng.choice("0123456789ABCDEF") for _ in range(22)) \
            if rng.random() < (self.tagged if v.kind != "car" else 0.25) else None
        v.seals = ["NS" + "".join(rng.choice("0123456789") for _ in range(8)) for _ in range(rng.choice([1, 1, 1, 2]))] \
            if v.kind == "semi" and rng.random() < self.sealed else []
        v.container = container_code(rng) if v.kind == "semi" and rng.random() < 0.45 else None
        lo, hi = {"car": (1100, 2400), "van": (2000, 3500), "rigid": (6000, 24000), "bus": (11000, 18000), "semi": (14000, 43500)}[v.kind]
        v.mass = rng.randint(lo, hi)
        v.hot = v.truck and rng.random() < self.alarms

    def course(self, v):
        """What it will do: where it stops and for how long; a way of its own for a few."""
        rng, nz = self.rng, NOISE
        r = rng.random()
        limits = [nz["wrong_way"] * self.noise, nz["referred"] * self.noise, nz["reversed"] * self.noise]
        if r < limits[0]:
            v.way = "wrong_way"
            return
        if r < limits[0] + limits[1]:
            rooms = [(a["pos"], b["pos"]) for a, b in zip(self.stations, self.stations[1:]) if b["pos"] - a["pos"] >= 10
                     and b["stop"] != "scale" and a["stop"] != "scale"]
            if rooms:
                a, b = rng.choice(rooms)
                v.way, v.out = "referred", rng.uniform(a + 4, b - 4)
        elif r < sum(limits):
            v.way = "reversed"
            v.stops = [(self.first + rng.uniform(1.0, 5.0), rng.uniform(5, 45))]
            return
        for s in self.stations:
            p = s["pos"]
            if s["stop"] == "booth":
                t = min(420, rng.lognormvariate(math.log(self.booth_median), 0.55))
                if rng.random() < 0.04:
                    t = rng.uniform(150, 380)
                v.stops.append((p + 2.0 + rng.uniform(-0.5, 0.5), t))
            elif s["stop"] == "desk":
                v.stops.append((p + 2.0 + rng.uniform(-0.5, 0.5), rng.uniform(8, 35)))
            elif s["stop"] == "scale":
                v.stops.append((p + (rng.uniform(6, 7) if v.length > 12 else rng.uniform(3, 6.5)), rng.uniform(9, 22)))
            elif s["stop"] == "gate" and rng.random() < 0.8:
                v.stops.append((p - rng.uniform(1.5, 3.0), rng.uniform(1.5, 7)))
        if rng.random() < self.halts:   # stop and go
            v.stops.append((rng.uniform(self.first - 15, self.last + 5), rng.uniform(2, 25)))
        v.stops = sorted(s for s in v.stops if v.out is None or s[0] < v.out - 1)

    def drive(self, vehicles):
        for lane in self.lanes:
            self.drive_lane([v for v in vehicles if v.lane == lane])

    def drive_lane(self, waiting):
        # One at a time on a scale: hold before the platform until it is free.
        platforms = [(s["pos"] - 13, s["pos"] + 8) for s in self.stations if s["stop"] == "scale"]
        on, step, last_rear_free = [], 0, None   # last_rear_free: since when the last one has left the place of entry
        waiting.sort(key=lambda v: v.due)
        turned = lambda: any(v.way in ("reversed", "wrong_way") for v in on)
        while waiting or on:
            t = step * DT
            step += 1
            if waiting and not turned():
                v = waiting[0]
                if v.way == "wrong_way":
                    if not on and t >= v.due:
                        v.x, v.v, v.t0 = self.end + 5, -max(2.5, v.speed * 0.8), t
                        on.append(waiting.pop(0))
                else:
                    tail = on[-1].x - on[-1].length if on else 1e9
                    room = tail - self.start
                    if on and last_rear_free is None and room > 0:
                        last_rear_free = t
                    due = v.due if v.gap is None or not on else (v.due if last_rear_free is None else max(v.due, last_rear_free + v.gap))
                    if t >= due and room > v.s0 + 3 and (v.gap is None or not on or last_rear_free is not None):
                        v.x, v.t0 = self.start, t
                        v.v = min(v.speed, self.safe(v, room - v.s0, on[-1].v if on else 1e3))
                        on.append(waiting.pop(0))
                        last_rear_free = None
            for i, v in enumerate(on):
                v.xs.append(v.x)
                if v.way == "wrong_way":
                    v.x += v.v * DT
                    continue
                lead = on[i - 1] if i else None
                if v.way == "reversed" and not v.stops:
                    v.v = max(-1.8, v.v - 0.5 * DT)
                    v.x += v.v * DT
                    continue
                want = min(v.v + v.acc * DT, v.speed)
                if lead:
                    want = min(want, self.safe(v, lead.x - lead.length - v.x - v.s0, lead.v))
                    for a, b in platforms:
                        if v.x < a and lead.x - lead.length < b:
                            want = min(want, self.safe(v, a - 0.7 - v.x, 0))
                if v.stops:
                    gap = v.stops[0][0] - v.x
                    want = min(want, self.safe(v, gap, 0))
                    if gap < 0.6 and v.v < 0.6:
                        want = 0
                        v.dwell = (v.stops[0][1] if v.dwell is None else v.dwell) - DT
                        if v.dwell <= 0:
                            v.stops.pop(0)
                            v.dwell = None
                    elif gap < -0.5:
                        v.stops.pop(0)
                v.v = max(0.0, want, v.v - 6 * DT if want < v.v else 0)
                v.x += v.v * DT
                if lead:
                    assert v.x < lead.x - lead.length, "vehicles overlap"
            on = [v for v in on if not self.gone(v)]

    def gone(self, v):
        if v.way == "wrong_way":
            return v.x + v.length < self.start
        if v.way == "reversed" and not v.stops:
            return v.x < self.start
        return v.x - v.length > (self.end if v.out is None else v.out)

    @staticmethod
    def safe(v, gap, lead_speed):
        bt = v.dec * v.tau
        return max(0.0, -bt + math.sqrt(bt * bt + lead_speed * lead_speed + 2 * v.dec * max(0.0, gap)))

    # ---- sensors ----

    def add(self, lane, station, name, reading, **more):
        """A device with its latency, whether it tells its own time, and how wrong its clock is."""
        rng = self.rng
        sid = f"{name}-{lane}-{station['name']}"
        stamp = {"presence": 0.1, "plate": 0.7, "tag": 0.6, "radiation": 1.0, "weight": 0.3, "seal": 0.8}.get(reading, 0.5)
        s = dict(id=sid, lane=lane, station=station["name"], reading=reading, stamps=rng.random() < stamp,
                 latency=dict(presence=rng.uniform(0.02, 0.12), plate=rng.uniform(0.15, 0.8), tag=rng.uniform(0.05, 0.4),
                              radiation=rng.uniform(0.3, 1.5), weight=rng.uniform(0.1, 0.6), dimensions=rng.uniform(0.4, 2.0),
                              container=rng.uniform(0.5, 1.5), seal=rng.uniform(0.2, 1.5), undercarriage=rng.uniform(1.0, 4.0),
                              document=rng.uniform(0.2, 1.0), face=rng.uniform(0.3, 1.2))[reading],
                 skew=0.0, **more)
        if self.chance(NOISE["clock_off"]) and reading != "presence":
            s["skew"] = rng.choice([-1, 1]) * rng.uniform(0.5, 6.0)
        self.sensors[sid] = s
        return s

    def say(self, s, t, reading, vehicle, tag=None, also=None, late=0.0):
        """The device measures at t; the line comes after its latency."""
        arrival = t + s["latency"] * self.rng.uniform(0.8, 1.4) + late
        device = t + s["skew"] + self.rng.uniform(-0.03, 0.03) if s["stamps"] else None
        self.obs.append([arrival, s["id"], reading, device, vehicle.id if vehicle else None, also.id if also else None, tag])

    def sense(self, vehicles):
        for n, lane in enumerate(self.lanes):
            here = [v for v in vehicles if v.lane == lane]
            beside = [v for v in vehicles if v.lane in self.lanes[max(0, n - 1):n + 2] and v.lane != lane]
            for st in self.stations:
                if st["loop"]:
                    self.loop(lane, st, here)
                for kind in st["sensors"]:
                    getattr(self, "do_" + kind)(lane, st, here, beside)
        self.faults()

    def loop(self, lane, st, here):
        rng = self.rng
        s = self.add(lane, st, "loop", "presence")
        half, mid = rng.uniform(0.5, 0.9), st["pos"] + rng.uniform(-0.3, 0.3)
        parts = sorted((a, b, v) for v in here for a, b in v.covers(mid - half, mid + half))
        merged = []
        for a, b, v in parts:
            if merged and (a <= merged[-1][1] + 0.05 or (a - merged[-1][1] < 1.2 and self.chance(NOISE["gap_missed"]))):
                if b > merged[-1][1]:
                    merged[-1][1], merged[-1][3] = b, v
            else:
                merged.append([a, b, v, v])
        for a, b, first, last in merged:
            for t, up, v in ((a, True, first), (b, False, last)):
                if not self.chance(NOISE["edge_missed"]):
                    self.say(s, t, dict(kind="presence", occupied=up), v)
        if not here or self.noise <= 0:
            return
        t = 0
        while True:
            t += rng.expovariate(NOISE["ghost_per_s"] * self.noise)
            if t > max(v.t0 + len(v.xs) * DT for v in here):
                break
            end = t + rng.uniform(0.2, 1.5)
            if all(b < t - 0.5 or a > end + 0.5 for a, b, *_ in merged):
                self.say(s, t, dict(kind="presence", occupied=True), None, "ghost")
                self.say(s, end, dict(kind="presence", occupied=False), None, "ghost")

    def misread(self, text, rate):
        rng, out = self.rng, []
        for c in text:
            if rng.random() < rate * self.noise:
                c = rng.choice(CONFUSED[c]) if c in CONFUSED and rng.random() < 0.7 else \
                    rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
            out.append(c)
        if self.chance(NOISE["char_dropped"]):
            out.pop(rng.randrange(len(out)))
        return "".join(out)

    def camera(self, lane, st, here, view):
        rng = self.rng
        s = self.add(lane, st, f"lpr-{view}", "plate")
        rate = rng.uniform(*NOISE["char_wrong"])
        if view == "front":
            a, b = st["pos"] - rng.uniform(3.5, 6.0), st["pos"] + rng.uniform(0.0, 1.5)
        else:
            a, b = st["pos"] - rng.uniform(0.0, 1.0), st["pos"] + rng.uniform(3.5, 6.0)
        for v in here:
            wrong = v.way == "wrong_way"
            text = {("front", False): v.front, ("rear", False): v.rear, ("front", True): v.rear, ("rear", True): v.front}[view, wrong]
            point = (lambda x: x) if (view == "front") else (lambda x: x - v.length)
            if wrong:
                point = (lambda x: x + v.length) if view == "front" else (lambda x: x)
            if v.out is not None and v.out < b and view == "rear":
                continue
            unread = self.chance(NOISE["plate_unread"])
            for t1, t2 in v.covers(a, b, point)[:1]:
                t, n = t1 + rng.uniform(0.05, 0.4), rng.randint(1, 6)
                if t > t2:
                    t = (t1 + t2) / 2
                badge = v.truck and self.chance(NOISE["badge"])
                if badge:
                    self.say(s, min(t2, t + rng.uniform(0, 1)), dict(kind="plate", text=rng.choice(BADGES), country=None,
                             confidence=round(rng.uniform(0.35, 0.8), 3), view=view), v, "badge")
                while n and t <= t2 and not unread:
                    read = self.misread(text, rate)
                    right = read == text
                    self.say(s, t, dict(kind="plate", text=read, country=v.country if rng.random() < 0.9 else None,
                             confidence=round(rng.uniform(0.8, 0.99) if right else rng.uniform(0.5, 0.92), 3), view=view), v,
                             None if right else "misread")
                    n, t = n - 1, t + rng.uniform(0.25, 0.9)

    def do_front(self, lane, st, here, beside):
        self.camera(lane, st, here, "front")

    def do_rear(self, lane, st, here, beside):
        self.camera(lane, st, here, "rear")

    def do_rfid(self, lane, st, here, beside):
        rng = self.rng
        s = self.add(lane, st, "rfid", "tag")
        pause, antennas = rng.uniform(0.5, 3.0), rng.choice([1, 2, 2, 4])

        def read(v, t, rssi, tag=None, also=None):
            self.say(s, t, dict(kind="tag", epc=v.tag.lower(), rssi_dbm=round(rssi), antenna=rng.randint(1, antennas)),
                     None if also else v, tag, also)
        for v in (v for v in here if v.tag):
            windscreen = (lambda x: x + 1.0) if v.way == "wrong_way" else (lambda x: x - 1.0)
            for t1, t2 in v.covers(st["pos"] - 4, st["pos"] + 3, windscreen):
                if self.chance(NOISE["tag_early"]):
                    early = rng.uniform(0.5, NOISE["tag_early_s"] * self.noise)
                    for t in sorted(rng.uniform(t1 - early, t1) for _ in range(rng.randint(1, 3))):
                        if v.at(t) is not None:
                            read(v, t, rng.uniform(-71, -60), "early")
                t, n = t1 + rng.uniform(0, 0.4), 0
                while t <= t2 or n == 0:
                    read(v, min(t, t2), rng.gauss(-52, 4))
                    n += 1
                    t += pause * rng.uniform(0.6, 1.4) if n < 6 else 20 * rng.uniform(0.8, 1.2)
        for v in (v for v in beside if v.tag):
            if self.chance(NOISE["tag_neighbour"]):
                for t1, t2 in v.covers(st["pos"] - 4, st["pos"] + 3, lambda x: x - 1.0)[:1]:
                    for t in sorted(rng.uniform(t1, min(t2, t1 + 15)) for _ in range(rng.randint(1, 3))):
                        read(v, t, rng.uniform(-80, -66), "neighbour", v)

    def do_radiation(self, lane, st, here, beside):
        rng = self.rng
        s = self.add(lane, st, "rpm", "radiation")
        base = rng.uniform(180, 600)
        for v in here:
            for a, b in v.covers(st["pos"] - 0.4, st["pos"] + 0.4):
                hot = v.hot
                back = base * rng.uniform(0.95, 1.05)
                alarm = rng.choices(["gamma", "neutron", "gamma+neutron"], [8, 1, 1])[0] if hot else "none"
                late = rng.uniform(15, 40) if self.chance(NOISE["radiation_late"]) else 0
                self.say(s, b, dict(kind="radiation", alarm=alarm,
                         gamma_max_cps=round(back * (rng.uniform(1.8, 9) if "gamma" in alarm else rng.uniform(1.0, 1.12)), 1),
                         gamma_background_cps=round(back, 1),
                         neutron_max_cps=round(rng.uniform(8, 40) if "neutron" in alarm else rng.uniform(0, 2), 1),
                         duration_ms=round((b - a) * 1000)), v, "late" if late else None, late=late)

    def axles(self, v):
        n = {"car": 2, "van": 2, "bus": 2, "rigid": 3, "semi": 5}[v.kind]
        parts = [self.rng.uniform(0.7, 1.3) for _ in range(n)]
        return [p / sum(parts) for p in parts]

    def do_wim(self, lane, st, here, beside):
        rng = self.rng
        s = self.add(lane, st, "wim", "weight")
        for v in here:
            for a, b in v.covers(st["pos"] - 0.2, st["pos"] + 0.2):
                gross = v.mass * rng.gauss(1, 0.03)
                self.say(s, b + 0.3, dict(kind="weight", gross_kg=round(gross), axles_kg=[round(gross * p) for p in self.axles(v)],
                         stable=True, mode="wim"), v)

    def do_static(self, lane, st, here, beside):
        rng, p = self.rng, st["pos"]
        s = self.add(lane, st, "scale", "weight")
        settle = rng.uniform(1.5, 4)
        for v in here:
            if v.way == "wrong_way":
                continue
            covers = v.covers(p - 13, p + 8)
            if not covers:
                continue
            on, off = covers[0][0], covers[-1][1]
            # Standing wholly on the platform.
            stand, since = None, None
            for i in range(1, len(v.xs)):
                lo, hi = v.span(v.xs[i])
                still = abs(v.xs[i] - v.xs[i - 1]) < 0.003 and lo >= p - 13.01 and hi <= p + 8 and hi > p + 1
                t = v.t0 + i * DT
                if still and since is None:
                    since = t
                if since is not None and (not still or i == len(v.xs) - 1):
                    if t - since >= 5 and (stand is None or t - since > stand[1] - stand[0]):
                        stand = (since, t)
                    since = None
            say = lambda t, kg, stable, tag=None: self.say(s, t, dict(kind="weight", gross_kg=max(0, round(kg / 20) * 20), axles_kg=None,
                                                           stable=stable, mode="static"), v, tag)
            if stand is None:
                continue
            steady = stand[0] + settle
            if self.noise > 0:
                lo, hi = NOISE["settling"]
                for _ in range(round(rng.randint(lo, hi) * self.noise)):
                    t = rng.uniform(max(on + 1, stand[0] - 6), steady)
                    x = v.at(t)
                    share = min(1, max(0.05, (x - (p - 13)) / v.length)) if x is not None else 1
                    say(t, v.mass * share * rng.gauss(1, 0.02), False, "settling")
                if rng.random() < 0.4:
                    t = min(off, stand[1] + rng.uniform(0.5, 2))
                    say(t, v.mass * rng.uniform(0.5, 1), False, "settling")
            t = steady
            for _ in range(rng.choice([1, 1, 2, 3])):
                if t < stand[1]:
                    say(t, v.mass * rng.gauss(1, 0.0015), True)
                t += rng.uniform(1, 4)

    def do_dims(self, lane, st, here, beside):
        rng = self.rng
        s = self.add(lane, st, "gauge", "dimensions")
        w, h = {"car": 1800, "van": 2050}, {"car": 1500, "van": 2400, "rigid": 3500, "bus": 3300, "semi": 4000}
        for v in here:
            for a, b in v.covers(st["pos"] - 0.3, st["pos"] + 0.3):
                self.say(s, b, dict(kind="dimensions", length_mm=round(v.length * 1000 * rng.gauss(1, 0.015)),
                         width_mm=round(w.get(v.kind, 2550) * rng.gauss(1, 0.01)), height_mm=round(h[v.kind] * rng.gauss(1, 0.01))), v)

    def do_under(self, lane, st, here, beside):
        rng = self.rng
        s = self.add(lane, st, "under", "undercarriage")
        for v in here:
            for a, b in v.covers(st["pos"] - 0.5, st["pos"] + 0.5):
                bad = rng.random() < 0.03
                reading = dict(kind="undercarriage", verdict="suspect" if bad else "clear", score=round(rng.uniform(0.6, 0.95) if bad else rng.uniform(0, 0.3), 3))
                if bad:
                    reading["label"] = "foreign object"
                self.say(s, b, reading, v)

    def do_container(self, lane, st, here, beside):
        rng = self.rng
        s = self.add(lane, st, "codes", "container")
        for v in (v for v in here if v.container):
            middle = (lambda x: x + 9) if v.way == "wrong_way" else (lambda x: x - 9)
            for t1, t2 in v.covers(st["pos"] - 4, st["pos"] + 4, middle)[:1]:
                for t in sorted(rng.uniform(t1, min(t2, t1 + 6)) for _ in range(rng.randint(1, 3))):
                    code = self.misread(v.container, 0.01)
                    self.say(s, t, dict(kind="container", code=code, confidence=round(rng.uniform(0.7, 0.99), 3)), v,
                             None if code == v.container else "misread")

    def do_seal(self, lane, st, here, beside):
        rng, p = self.rng, st["pos"]
        s = self.add(lane, st, "seal", "seal")
        pause = rng.uniform(4, 10)
        for v in (v for v in here if v.seals):
            tail = (lambda x: x + v.length - 0.5) if v.way == "wrong_way" else (lambda x: x - v.length + 0.5)
            for seal in v.seals:
                state = rng.choices(["sealed", "opened", "tampered", "low_battery"], [94, 2, 2, 2])[0]
                reading = dict(kind="seal", seal_id=seal, state=state)
                inside = v.covers(p - 7, p + 7, tail)
                if self.chance(NOISE["seal_next"]) and v.way == "normal" and inside:
                    far = [(a, b) for a, b in v.covers(p - 42, p - 7, tail) if a < inside[0][0]]
                    if far:
                        a, b = far[0][0], min(far[-1][1], inside[0][0])
                        a = max(a, b - 90)
                        for t in sorted(rng.uniform(a, b) for _ in range(rng.randint(1, 3))):
                            self.say(s, t, reading, v, "next_truck")
                for t1, t2 in inside:
                    t, n = t1 + rng.uniform(0, 1), 0
                    while n < 8 and (t <= t2 or n == 0):
                        self.say(s, min(t, t2), reading, v)
                        n, t = n + 1, t + pause * rng.uniform(0.8, 1.2)

    def standing(self, v, st):
        """When the driver's window is at the booth and the vehicle stands, longest first."""
        p, found, since = st["pos"], [], None
        for i in range(1, len(v.xs)):
            still = abs(v.xs[i] - v.xs[i - 1]) < 0.003 and p + 0.5 < v.xs[i] < p + 3.5 and (v.out is None or v.xs[i] < v.out)
            t = v.t0 + i * DT
            if still and since is None:
                since = t
            elif not still and since is not None:
                found.append((since, t))
                since = None
        found.sort(key=lambda x: x[0] - x[1])
        return [x for x in found if x[1] - x[0] > 4 and v.way in ("normal", "referred")][:1]

    def do_document(self, lane, st, here, beside):
        rng = self.rng
        s = self.add(lane, st, "docs", "document")
        for v in here:
            for a, b in self.standing(v, st):
                for _ in range(rng.randint(1, 3 if v.truck else 4)):
                    what = rng.choice(["mrz", "mrz", "barcode", "gs1"] if v.truck else ["mrz"])
                    text = {"mrz": "P<RUSIVANOV<<IVAN<<<<<<<<<<<<<<<<<<<<<<<<<<<" + str(rng.randint(10 ** 8, 10 ** 9 - 1)),
                            "barcode": str(rng.randint(10 ** 11, 10 ** 12 - 1)),
                            "gs1": "(01)0" + str(rng.randint(10 ** 12, 10 ** 13 - 1))}[what]
                    self.say(s, rng.uniform(a + 2, b - 0.5), dict(kind="document", kind_of=what, text=text), v)

    def do_face(self, lane, st, here, beside):
        rng = self.rng
        s = self.add(lane, st, "face", "face")
        for v in here:
            for a, b in self.standing(v, st):
                template = hashlib.sha256((v.id + v.front).encode()).hexdigest()
                for _ in range(rng.randint(1, 3)):
                    good = rng.uniform(0.2, 0.95)
                    self.say(s, rng.uniform(a + 0.5, min(b - 0.5, a + 20)), dict(kind="face", seat="driver", quality=round(good, 3),
                             template=template if good > 0.3 else None), v)

    def faults(self):
        """Sensors that die, come back, or stutter."""
        rng, end = self.rng, max((o[0] for o in self.obs), default=0)
        self.fault_log = []
        for sid in sorted(self.sensors):
            if self.chance(NOISE["dead"]):
                a = rng.uniform(0.1, 0.9) * end
                b = end + 1 if rng.random() < 0.5 else a + rng.uniform(120, 900)
                self.obs = [o for o in self.obs if not (o[1] == sid and a <= o[0] <= b)]
                self.fault_log.append(dict(sensor=sid, fault="dead", start=round(a, 1), end=round(min(b, end), 1)))
            if self.chance(NOISE["stutter"]):
                a = rng.uniform(0, 0.9) * end
                b = a + rng.uniform(120, 600)
                self.fault_log.append(dict(sensor=sid, fault="stutter", start=round(a, 1), end=round(b, 1)))
                for o in [o for o in self.obs if o[1] == sid and a <= o[0] <= b]:
                    t = o[0]
                    for _ in range(rng.randint(1, 3)):
                        t += rng.uniform(0.02, 0.6)
                        self.obs.append([t] + o[1:6] + ["again" if o[6] is None else o[6] + "+again"])

    # ---- files ----

    def site(self):
        req = dict(front="plate", radiation="radiation", static="weight", wim="weight", dims="dimensions", document="document")
        deadline = {"booth": 180, "desk": 120, "scale": 120}
        out = ["# made by generate.py, seed %d, layout %s" % (self.seed, self.layout), "[site]", 'id = "RU10702030"', 'box = "gw-1"']
        for lane in self.lanes:
            out += ["", "[[lane]]", f'id = "{lane}"', f'direction = "{self.direction}"']
            for st in self.stations:
                need = sorted({req[s] for s in st["sensors"] if s in req})
                out += ["[[lane.station]]", f'id = "{st["name"]}"', f'position_m = {st["pos"]:.1f}']
                if need:
                    out.append("required = [" + ", ".join(f'"{k}"' for k in need) + "]")
                if st["stop"] in deadline:
                    out.append(f"deadline_s = {deadline[st['stop']]}")
        for s in self.sensors.values():
            out += ["", "[[sensor]]", f'id = "{s["id"]}"', f'station = "{s["lane"]}/{s["station"]}"', 'protocol = "replay"',
                    f'reading = "{s["reading"]}"']
        return "\n".join(out) + "\n"

    def write(self, folder, vehicles):
        os.makedirs(folder, exist_ok=True)
        rng = self.rng
        base = datetime(2026, 11, 22, 6, 0, 0, tzinfo=timezone.utc)
        utc = lambda t: (base + timedelta(milliseconds=round(t * 1000))).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        mono0, seqs, truth = rng.randint(10 ** 5, 10 ** 8), {}, {}
        kinds, also, alarms = {}, {}, []
        self.obs.sort(key=lambda o: (o[0], o[1]))
        with open(os.path.join(folder, "journal.jsonl"), "w") as f:
            f.write(json.dumps({"journal": 1, "site": "RU10702030"}) + "\n")
            for t, sid, reading, device, vid, other, tag in self.obs:
                seq = seqs[sid] = seqs.get(sid, rng.randint(0, 500)) + 1
                line = dict(sensor=sid, seq=seq, mono_ms=mono0 + round(t * 1000), at=utc(t))
                if device is not None:
                    line["device_at"] = utc(device)
                line["clock"] = "synced"
                line["reading"] = reading
                f.write(json.dumps(line, separators=(",", ":")) + "\n")
                key = f"{sid}#{seq}"
                truth[key] = vid
                if tag:
                    kinds[key] = tag
                if other:
                    also[key] = other
                if reading["kind"] == "radiation" and reading["alarm"] != "none":
                    alarms.append(dict(sensor=sid, seq=seq, vehicle=vid))
        listed = []
        for v in vehicles:
            at = {}
            for st in self.stations:
                c = v.covers(st["pos"] - 0.1, st["pos"] + 0.1)
                if c:
                    at[st["name"]] = [utc(c[0][0])[11:22], utc(c[-1][1])[11:22]]
            listed.append(dict(id=v.id, lane=v.lane, kind=v.kind, way=v.way, length_m=round(v.length, 1), front=v.front, rear=v.rear,
                               tag=v.tag, seals=v.seals, container=v.container, mass_kg=v.mass, hot=v.hot, same_as=v.again, over=at))
        with open(os.path.join(folder, "truth.json"), "w") as f:
            json.dump(dict(seed=self.seed, layout=self.layout, noise=self.noise, observations=truth, tags=kinds, also=also, alarms=alarms,
                           vehicles=listed, faults=self.fault_log, skews={s["id"]: round(s["skew"], 2) for s in self.sensors.values() if s["skew"]}), f, indent=0)
        with open(os.path.join(folder, "site.toml"), "w") as f:
            f.write(self.site())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int, required=True)
    p.add_argument("--vehicles", type=int, default=60)
    p.add_argument("--noise", type=float, default=1.0)
    p.add_argument("--alarms", type=float, default=0.1, help="share of trucks that radiate")
    p.add_argument("--layout", choices=NAMES)
    p.add_argument("--out", required=True)
    a = p.parse_args()
    w = World(a.seed, a.vehicles, a.noise, a.alarms, a.layout)
    vehicles = w.population()
    w.drive(vehicles)
    w.sense(vehicles)
    w.write(a.out, vehicles)


if __name__ == "__main__":
    main()
