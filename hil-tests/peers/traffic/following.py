#!/usr/bin/env python3
"""Traffic by a car-following model: vehicles move through the lanes at Krauss' safe speed, in steps of 0.1 s, stop at stations, wait
for signals and barriers; then the sensors look at that movement, late and with errors. Written without knowledge of the engine and
of the other generators.
    python3 following.py --seed S --vehicles N --noise X --out DIR [--alarms SHARE]"""
import argparse, array, bisect, datetime, hashlib, json, math, os, random, string

DT = 0.1
# station: (id, gap to the one before, m: from, to; sensors, behaviour).  "x?" = fitted in 60 % of the lanes' sites
# behaviours: free (drive on), barrier (stop for seconds), booth (stop for long), static (platform, one at a time, signal),
#             portal (slow, maybe a signal), slow (walking pace)
LAYOUTS = {
 "classic": dict(lanes=(1, 2), trucks=.6, st=[("entry", 0, 0, "loop front rear rfid", "barrier"), ("portal", 22, 40, "rad+occ loop?", "portal"),
    ("scale", 25, 40, "scale", "static"), ("booth", 26, 45, "doc face? seal?", "booth"), ("exit", 15, 30, "loop rear front?", "barrier")]),
 "sparse": dict(lanes=(1, 1), trucks=.4, st=[("entry", 0, 0, "front", "free"), ("exit", 60, 200, "front", "barrier")]),
 "short yard": dict(lanes=(1, 2), trucks=.1, st=[("entry", 0, 0, "loop front", "barrier"), ("booth", 9, 14, "doc face?", "booth"),
    ("exit", 10, 15, "loop rear", "barrier")]),
 "tag corridor": dict(lanes=(3, 4), trucks=.7, st=[("entry", 0, 0, "rfid loop?", "free"), ("portal", 30, 60, "rad rfid?", "portal"),
    ("exit", 40, 80, "rfid front loop", "barrier")]),
 "long lane": dict(lanes=(1, 1), trucks=.7, st=[("entry", 0, 0, "loop front rfid?", "free"), ("gauge", 35, 60, "dim wim", "slow"), ("portal", 40, 60, "rad+occ", "portal"),
    ("under", 30, 60, "under loop?", "slow"), ("booth", 50, 75, "doc front seal?", "booth"), ("exit", 30, 45, "rear loop", "barrier")]),
 "truck terminal": dict(lanes=(2, 3), trucks=.95, st=[("entry", 0, 0, "front rear cont loop?", "free"), ("portal", 30, 50, "rad loop", "portal"),
    ("scale", 30, 45, "scale rfid", "static"), ("booth", 28, 40, "doc seal", "booth"), ("exit", 25, 40, "both loop?", "barrier")]),
 "loops and a late look": dict(lanes=(1, 2), trucks=.5, st=[("gate", 0, 0, "loop", "free"), ("portal", 20, 30, "rad loop", "portal"),
    ("axles", 15, 30, "axle loop", "slow"), ("window", 25, 40, "front doc loop", "booth"), ("exit", 20, 30, "rear loop", "barrier")]),
 "portal first": dict(lanes=(1, 3), trucks=.5, st=[("portal", 0, 0, "rad", "portal"), ("gate", 18, 35, "front loop? rfid?", "barrier"), ("exit", 25, 60, "rear", "free")]),
 "two portals": dict(lanes=(1, 2), trucks=.8, st=[("entry", 0, 0, "rfid loop front", "free"), ("portal-a", 20, 30, "rad+occ", "portal"), ("axles", 15, 30, "axle", "slow"),
    ("portal-b", 20, 35, "rad", "portal"), ("exit", 25, 40, "front rear", "barrier")]),
 "quick export": dict(lanes=(2, 3), dirs=["out"], trucks=.15, st=[("entry", 0, 0, "front loop", "free"), ("portal", 15, 30, "rad+occ loop?", "portal"),
    ("exit", 20, 40, "rear loop?", "free")]),
 "mixed site": dict(lanes=(4, 4), dirs=["in", "in", "out", "out"], trucks=.6, st=[("entry", 0, 0, "loop front rear? rfid", "barrier"),
    ("portal", 25, 45, "rad+occ loop?", "portal"), ("scale", 25, 35, "scale dim?", "static"), ("booth", 28, 40, "doc face seal? cont?", "booth"), ("exit", 20, 35, "rear front? rfid? loop", "barrier")]),
 "no plates": dict(lanes=(2, 2), trucks=1.0, st=[("entry", 0, 0, "rfid loop cont", "free"), ("portal", 25, 50, "rad loop?", "portal"), ("weigh", 20, 40, "wim", "slow"),
    ("exit", 30, 60, "cont seal loop rfid?", "barrier")])}
KINDS = {"loop": ["presence"], "front": ["plate"], "rear": ["plate"], "both": ["plate"], "rfid": ["tag"], "rad": ["radiation"], "rad+occ": ["presence", "radiation"],
         "scale": ["weight"], "axle": ["weight"], "wim": ["weight"], "dim": ["dimensions"], "cont": ["container"], "seal": ["seal"], "doc": ["document"],
         "face": ["face"], "under": ["undercarriage"]}
NAMES = {"loop": "loop", "front": "lpr-front", "rear": "lpr-rear", "both": "lpr", "rfid": "rfid", "rad": "rpm", "rad+occ": "rpm", "scale": "scale", "axle": "axles",
         "wim": "wim", "dim": "gauge", "cont": "ccr", "seal": "seal", "doc": "doc", "face": "face", "under": "uvss"}
HAS_CLOCK = {"loop": .15, "front": .8, "rear": .8, "both": .8, "rfid": .9, "rad": .85, "rad+occ": .85, "scale": .4, "axle": .5, "wim": .9, "dim": .5, "cont": .8,
             "seal": .7, "doc": .2, "face": .6, "under": .9}
LATENCY = {"loop": (.03, .15), "front": (.2, 1.2), "rear": (.2, 1.2), "both": (.3, 1.5), "rfid": (.05, .4), "rad": (.3, 2.0), "rad+occ": (.3, 2.0), "scale": (.1, .5),
           "axle": (.5, 2.0), "wim": (.5, 2.5), "dim": (.5, 2.0), "cont": (.8, 3.0), "seal": (.3, 2.0), "doc": (.1, .6), "face": (.4, 1.5), "under": (2.0, 6.0)}
LIKE = {"0": "OD", "O": "0D", "D": "0O", "1": "I7", "I": "1", "7": "1T", "8": "B3", "B": "8", "3": "8", "5": "S6", "S": "5", "6": "5G", "2": "Z", "Z": "2", "M": "H", "H": "MN",
        "Y": "V", "V": "Y", "A": "4", "4": "A", "K": "X", "X": "K", "E": "F", "P": "F", "C": "G", "T": "7", "N": "H", "9": "0", "U": "V", "G": "6", "F": "E", "L": "1"}
BADGES = ["SCANIA", "VOLVO", "MAN", "DAF", "ACTROS", "TGX18440", "KAMAZ", "FH500", "R450", "SCHMITZ", "KRONE", "TIR", "SITRAK"]
CARBADGES = ["TOYOTA", "LADA", "HAVAL", "4MATIC", "QUATTRO", "HYUNDAI", "CHERY"]
RU = "ABEKMHOPCTYX"


class Thing:
    def __init__(self, **kw): self.__dict__.update(kw)


def pick(r, s, n): return "".join(r.choice(s) for _ in range(n))
def digits(r, n): return pick(r, string.digits, n)


def new_plate(r, country, trailer=False):
    if country == "RU": return (pick(r, RU, 2) + digits(r, 4) if trailer else pick(r, RU, 1) + digits(r, 3) + pick(r, RU, 2)) + r.choice(["25", "77", "125", "54", "38", "750"])
    if country == "KZ": return digits(r, 2) + pick(r, string.ascii_uppercase, 3) + digits(r, 2) if trailer else digits(r, 3) + pick(r, string.ascii_uppercase, 3) + r.choice(["02", "05", "16"])
    if country == "BY": return ("A" + digits(r, 4) + pick(r, "ABEIKMH", 1) + r.choice("1234567")) if trailer else pick(r, "ABEIKMHOPCTX", 2) + digits(r, 4) + r.choice("1234567")
    return pick(r, "ABCDEFGH", 2) + digits(r, 3) + pick(r, "ABCDEFGHK", 2)


def container_code(r):
    c = r.choice(["MSKU", "TCLU", "FESU", "TRLU", "CMAU", "MEDU", "SEGU"]) + digits(r, 6)
    val = {ch: i for i, ch in enumerate("0123456789A_BCDEFGHIJK_LMNOPQRSTU_VWXYZ")}
    return c + str(sum(val[ch] << i for i, ch in enumerate(c)) % 11 % 10)


def passport(r, country):
    def check(s): return str(sum((0 if c == "<" else int(c, 36)) * (7, 3, 1)[i % 3] for i, c in enumerate(s)) % 10)
    c3 = {"RU": "RUS", "KZ": "KAZ", "BY": "BLR"}.get(country, "GEO")
    num, born, till = digits(r, 9), f"{r.randint(60, 99)}{r.randint(1, 12):02}{r.randint(1, 28):02}", f"{r.randint(27, 35)}{r.randint(1, 12):02}{r.randint(1, 28):02}"
    one = f"P<{c3}{r.choice(['IVANOV', 'SEITOV', 'KOZLOV', 'GELASHVILI', 'PETRENKO', 'LI', 'OMAROV'])}<<{r.choice(['SERGEI', 'DMITRII', 'ANNA', 'NURLAN', 'IRINA', 'DAVID'])}".ljust(44, "<")
    a, b, c, d = num + check(num), born + check(born), till + check(till), "<" * 14 + "<"
    return one + "\n" + a + c3 + b + r.choice("MMMF") + c + d + check(a + b + c + d)


# ------------------------------------------------------------------ the site
def make_site(r, seed):
    name = list(LAYOUTS)[seed % len(LAYOUTS)]
    lay, lanes, count = LAYOUTS[name], [], 0
    stretch = r.uniform(.9, 1.35)
    fitted = {(st[0], s): r.random() < .6 for st in lay["st"] for s in st[3].split()}
    n, dirs = r.randint(*lay["lanes"]), lay.get("dirs")
    signal, barrier_shut, pace = r.random() < .6, r.random() < .75, r.uniform(.8, 1.3)
    for k in range(n):
        d = dirs[k % len(dirs)] if dirs else ("in" if n < 3 or k < n - 1 or r.random() < .5 else "out")
        ln = Thing(id=f"{d}-{k + 1}", dir=d, st=[], sensors=[], vs=[], trucks=lay["trucks"], off=r.uniform(-5, 5), zones=[], holds=[], spawn=-r.uniform(60, 110),
                   top=r.uniform(4.0, 7.5), pace=pace, k=k)
        x = 0.0
        for sid, lo, hi, sens, how in lay["st"]:
            x = round(min(x + r.uniform(lo, hi) * (stretch if lo > 16 else 1), 299), 1)
            st = Thing(id=sid, pos=x, how=how, need=[])
            ln.st.append(st)
            if how == "portal":
                ln.zones.append((x - 3, x + 1, r.uniform(1.8, 3.2)))
                if signal: ln.holds.append((x - 4, x + 2.5, sid))
            if how == "slow": ln.zones.append((x - 3, x + 1, r.uniform(1.3, 2.0) if "axle" in sens else r.uniform(2.5, 4.0)))
            st.platform = r.uniform(19.5, 22)
            if how == "static": ln.holds.append((x - 3, x + st.platform + .5, sid))
            st.stop = how in ("booth", "static") or how == "barrier" and barrier_shut
            for s in sens.split():
                if s.endswith("?"):
                    if not fitted[(sid, s)]: continue
                    s = s[:-1]
                count += 1
                ln.sensors.append(Thing(id=f"{NAMES[s]}-{ln.id}-{sid}", lane=ln, st=st, kind=s, p=x, seq=r.choice([0, 0, r.randint(10, 9000)]), dev=r.random() < HAS_CLOCK[s],
                    len=r.uniform(1.0, 2.0), beam=r.uniform(5, 17), near=r.uniform(1, 2), far=r.uniform(5, 9), lat=[q * r.uniform(.7, 1.4) for q in LATENCY[s]], order=count,
                    bg=r.uniform(180, 420), best=r.choice([1, 2, 3, 4]), air=r.uniform(20, 40), period=r.uniform(.3, 1.2)))
                if KINDS[s][-1] in ("plate", "radiation", "weight", "document", "dimensions") and KINDS[s][-1] not in st.need: st.need.append(KINDS[s][-1])
        ln.end = x
        lanes.append(ln)
    return name, lanes


# ------------------------------------------------------------------ who comes
def make_traffic(r, f, lanes, N, X, share):
    tagged, weights = r.uniform(.6, .9), [r.uniform(.6, 1.4) for _ in lanes]
    home = r.choices(range(len(lanes)), weights, k=N)
    hots, number = set(r.sample(range(N), min(N, round(share * N)))), 0
    for k, ln in enumerate(lanes):
        n, t, left, plan, last = home.count(k), r.uniform(15, 60), 0, [], None
        slow = 6 + max([0] + [45 * (s.how == "booth") + 28 * (s.how == "static") + 9 * s.stop for s in ln.st])
        for i in range(n):
            head = left == 0
            if head:
                left = r.choice([1, 1, 2, 3, 4, 6, 8])
                t += left * slow * ln.pace * r.uniform(.6, 1.8) + r.uniform(5, 60)
            left -= 1
            truck = r.random() < ln.trucks
            kind = r.choices(["semi", "rigid", "van"], [.75, .18, .07])[0] if truck else r.choices(["car", "van", "bus"], [.82, .15, .03])[0]
            c = r.choices(["RU", "KZ", "BY", "GE"], [.55, .2, .15, .1])[0]
            L = {"semi": r.uniform(15.5, 18.5), "rigid": r.uniform(7, 11), "van": r.uniform(5.2, 6.8), "car": r.uniform(3.7, 4.9), "bus": r.uniform(11, 13.5)}[kind]
            heavy = kind in ("semi", "rigid", "bus")
            v = Thing(kind=kind, country=c, L=L, lane=ln, head=head, want=t, gap=r.uniform(1.5, 5), s0=r.uniform(1.3, 3.2), tau=r.uniform(.8, 1.5), a=r.uniform(.5, .9) if heavy else r.uniform(1.0, 2.0),
                      b=r.uniform(1.6, 2.4), v0=ln.top * r.uniform(.8, 1.05) * (.85 if heavy else 1), way="normal", out=1e9, inn=-1e9, stops={}, xs=array.array("d"), tasks=[], green={},
                      until=None, twin=None, gone=None, back=False, wrong=False, rev=False, mono=True, v=0.0)
            v.plate = new_plate(r, c)
            if last and last.kind == kind == "semi" and last.country == c == "RU" and r.random() < .12:      # two of one fleet, numbers side by side
                v.plate = last.plate[0] + f"{(int(last.plate[1:4]) + r.choice([1, 2, 7])) % 1000:03}" + last.plate[4:]
            v.rear = new_plate(r, c, True) if kind == "semi" else v.plate
            v.tags = ["E2" + pick(r, "0123456789ABCDEF", 22)] if r.random() < tagged else []
            v.trailer_tag = "30" + pick(r, "0123456789ABCDEF", 22) if kind == "semi" and r.random() < .15 else None
            v.axles = {"semi": r.choice([5, 5, 6]), "rigid": r.choice([2, 3]), "bus": 3}.get(kind, 2)
            v.mass = {"semi": r.uniform(15e3, 43e3), "rigid": r.uniform(6e3, 18e3), "bus": r.uniform(11e3, 17e3), "van": r.uniform(2e3, 3.5e3), "car": r.uniform(1.1e3, 2.4e3)}[kind]
            v.box = container_code(r) if kind == "semi" and r.random() < (.9 if ln.trucks == 1.0 else .45) else None
            v.seal = r.choice(["RU", "KZ", "JT"]) + digits(r, 8) if kind == "semi" and r.random() < .6 else None
            v.people = [passport(r, c) for _ in range(r.choice([1, 1, 1, 2, 3] if kind in ("car", "van") else [1, 1, 1, 2]))]
            v.height, v.width = (r.uniform(3.4, 4.0), r.uniform(2.45, 2.55)) if heavy else (r.uniform(1.4, 2.3), r.uniform(1.7, 2.0))
            v.hot = r.choices(["gamma", "neutron", "gamma+neutron"], [.82, .07, .11])[0]
            if number not in hots or not any(s.kind.startswith("rad") for s in ln.sensors): v.hot = None
            number += 1
            for st in ln.st:                                              # the stops on the way
                if not st.stop: continue
                if st.how == "static": x, w = st.pos + min(L + 1.0, st.platform - .4), r.uniform(7, 18)
                elif st.how == "booth": x, w = st.pos + r.uniform(1.6, 2.6), max(8, r.lognormvariate(3.55 if heavy else 3.1, .45)) * ln.pace
                else: x, w = st.pos + r.uniform(1.2, 2.2), r.uniform(2, 7)
                v.tasks.append([x, w, st.id])
            if r.random() < .18: v.tasks.append([r.uniform(-20, ln.end), r.uniform(2, 9), None])          # stop and go: a hesitation
            mid = ln.st[1:-1] or ln.st[:1]
            why = f.random()
            if v.hot and r.random() < .5 or why < .02 * X:                     # referred: leaves sideways between two stations
                k2 = max([ln.st.index(s) for s in mid if s.how == "portal"] or [-1]) if v.hot else -1
                st = ln.st[k2] if k2 >= 0 and k2 < len(ln.st) - 1 else r.choice(mid)
                nxt = ln.st[ln.st.index(st) + 1].pos
                v.out, v.way = min(st.pos + st.platform + 1 if st.how == "static" else st.pos + 4, (st.pos + nxt) / 2 if st.how != "static" else nxt - 1), "referred out"
            elif why < .035 * X: v.rev, v.way = True, "reversed"
            elif why < .065 * X:
                v.way = "waited"
                if v.tasks: f.choice(v.tasks)[1] += f.uniform(120, 420)
                else: v.tasks.append([f.uniform(-10, ln.end), f.uniform(120, 420), None])
            elif why < .070 * X: v.wrong, v.way, v.mono = True, "wrong way", False
            elif why < .075 * X and len(ln.st) > 2:
                st = f.choice(ln.st[1:])
                v.inn, v.way = st.pos - min(6, (st.pos - ln.st[ln.st.index(st) - 1].pos) / 2), "joined midway"
            if v.rev: v.tasks, v.mono = [[f.uniform(1.0, 5.0), f.uniform(5, 40), "turn"]], False
            v.tasks = sorted(q for q in v.tasks if v.inn + 1 < q[0] < v.out + (0 if q[2] is None else 1e-3))
            plan.append(v)
            last = v
        for i, v in enumerate(plan):                                       # some come again: same vehicle, new passage
            if v.way in ("reversed", "referred out") and f.random() < (.5 if v.rev else .2) * min(X, 1) and i + 9 < n:
                w = plan[f.randint(i + 8, n - 1)]
                if w.way == "normal" and not w.twin and w is not v:
                    for key in ("kind", "country", "L", "plate", "rear", "tags", "trailer_tag", "axles", "mass", "box", "seal", "people", "height", "width"): setattr(w, key, getattr(v, key))
                    w.twin, w.hot, w.head = v, None, True
                    for q in w.tasks:
                        st = next((s for s in ln.st if s.id == q[2]), None)
                        if st and st.how == "static": q[0] = st.pos + min(w.L + 1, st.platform - .4)
                    w.tasks.sort()
        ln.vs = plan


# ------------------------------------------------------------------ how they move
def safe(v, gap, lead_v):
    return max(0.0, -v.b * v.tau + math.sqrt(v.b * v.b * v.tau * v.tau + lead_v * lead_v + 2 * v.b * max(0.0, gap)))


def drive(ln, r):
    queue, joins = [v for v in ln.vs if v.way != "joined midway"], [v for v in ln.vs if v.way == "joined midway"]
    active, t, newest, clear = [], 0.0, None, -1e9
    rear = lambda u: max(u.x - u.L, u.inn - 1.5)
    while queue or joins or active:
        if not active:
            t = max(t, min([q[0].want for q in (queue, joins) if q]))
        if newest and (newest.gone is not None or newest.x - newest.L > ln.spawn): clear, newest = t, None
        if queue and queue[0].want <= t and not newest and not any(u.wrong for u in active):
            v = queue[0]
            ok = t >= clear + (v.gap if not v.head else 1.5) and (not active or rear(active[-1]) > ln.spawn + v.s0 + 1)
            if v.wrong: ok = not active
            if v.twin and (v.twin.gone is None or t < v.twin.gone + 45): ok = False
            if ok:
                queue.pop(0)
                v.x, v.t0 = (ln.end + 20 + v.L if v.wrong else ln.spawn), t
                v.v = 0 if v.wrong else min(v.v0, safe(v, rear(active[-1]) - v.s0 - v.x, active[-1].v) if active else v.v0)
                active.append(v)
                if not v.wrong: newest = v
        if joins and joins[0].want <= t and not any(u.wrong or u.rev for u in active):
            v = joins[0]
            if not any(u.x > v.inn - 14 and u.x - u.L < v.inn + 4 for u in active):
                joins.pop(0)
                v.x, v.t0, v.v = v.inn, t, 0.5
                active.insert(sum(u.x > v.x for u in active), v)
        for i, v in enumerate(active):
            v.xs.append(v.x)
            if v.wrong:
                v.v = max(v.v - .8 * DT, -v.v0 * .6)
                v.x += v.v * DT
                continue
            if v.back:
                v.v = max(v.v - .6 * DT, -1.6)
                v.x += v.v * DT
                continue
            vs = v.v0
            for lo, hi, lim in ln.zones:
                if v.x - v.L < hi and v.x > lo - 8: vs = min(vs, lim if v.x > lo else lim + (lo - v.x) * .5)
            if i:
                u = active[i - 1]
                ur = rear(u)
                vs = min(vs, safe(v, ur - v.s0 - v.x, max(u.v, 0)))
                if u.rev: vs = min(vs, safe(v, -(14 + u.L) - v.x, 0))                  # keeps back, the one in front will turn
                for line, free, key in ln.holds:                                     # signal: one at a time
                    if v.x <= line + .1:
                        if ur <= free and v.inn < line: vs, v.green[key] = min(vs, safe(v, line - v.x, 0)), t + 1.5
                        elif t < v.green.get(key, 0): vs = min(vs, safe(v, line - v.x, 0))
            if v.tasks:
                x, w, sid = v.tasks[0]
                if v.until is None:
                    if x - v.x < .35 and v.v < .6:
                        v.until = t + w
                        if sid: v.stops[sid] = (t, t + w)
                    vs = min(vs, safe(v, x - v.x, 0))
                if v.until is not None:
                    vs = 0
                    if t >= v.until:
                        v.tasks.pop(0)
                        v.until = None
                        if sid == "turn": v.back, v.v = True, 0
            if v.back: continue
            vs *= r.uniform(.94, 1)
            v.v = max(0.0, min(v.v + v.a * DT, vs), v.v - 4.5 * DT)
            nx = v.x + v.v * DT
            if i and nx > rear(active[i - 1]) - .5: nx, v.v = max(v.x, rear(active[i - 1]) - .5), 0.0
            v.x = nx
        t += DT
        for v in active:
            if v.x - v.L > min(ln.end + 25, v.out) or v.back and v.x < -9 or v.wrong and v.x < -15: v.gone = t
        active = [v for v in active if v.gone is None]
    return t


def spans(v, lo, hi):
    """times in which lo <= front <= hi"""
    xs, t0 = v.xs, v.t0
    if v.mono:
        i, j = bisect.bisect_left(xs, lo), bisect.bisect_right(xs, hi)
        return [(t0 + i * DT, t0 + j * DT)] if i < j else []
    res, start = [], None
    for i, x in enumerate(xs):
        inside = lo <= x <= hi
        if inside and start is None: start = i
        if not inside and start is not None: res, start = res + [(t0 + start * DT, t0 + i * DT)], None
    return res + ([(t0 + start * DT, t0 + len(xs) * DT)] if start is not None else [])


def sees(s, v): return v.inn <= s.p <= v.out


# ------------------------------------------------------------------ what the sensors see
class Watch:
    def __init__(self, r, f, X, lanes, total):
        self.r, self.f, self.X, self.lanes, self.total, self.out = r, f, X, lanes, total, []

    def odd(self, p): return self.f.random() < min(.9, p * self.X)

    def say(self, s, t, reading, v, tag=None, also=None, more=0.0, lat=None):
        t += self.r.uniform(0, .08)
        lo, hi = lat or s.lat
        self.out.append(Thing(s=s, td=t, t=t + self.r.uniform(lo, hi) + more, r=reading, v=v, also=also, tags=[tag] if tag else []))

    def bodies(self, s, lo, hi, hold):
        """occupancy of the stretch lo..hi (around the sensor): merged [from, to, first, last]"""
        all_ = sorted(((a, b, v) for v in s.lane.vs if sees(s, v) for a, b in spans(v, s.p + lo, s.p + hi + v.L)), key=lambda q: q[:2])
        res = []
        for a, b, v in all_:
            if res and a < res[-1][1] + hold: res[-1][1], res[-1][3] = max(res[-1][1], b), v
            else: res.append([a, b, v, v])
        return res

    def loop(self, s):
        on = lambda t, o, v, tag=None: self.say(s, t, {"kind": "presence", "occupied": o}, v, tag, lat=(.03, .2))
        for a, b, v, w in self.bodies(s, 0, s.len, .15):
            if self.odd(.005): continue
            if not self.odd(.015): on(a, True, v)
            if v is w and v.kind in ("semi", "rigid") and b - a > 3 and self.odd(.02):
                m = a + (b - a) * self.f.uniform(.35, .6)
                on(m, False, v, "loop flickers under the trailer"); on(m + self.f.uniform(.25, .8), True, v, "loop flickers under the trailer")
            if not self.odd(.015): on(b, False, w)
        for _ in s.lane.vs:
            if self.odd(.004):
                t = self.f.uniform(0, self.total)
                on(t, True, None, "nobody: a person or a cart"); on(t + self.f.uniform(.3, 1.5), False, None, "nobody: a person or a cart")

    def rad(self, s):
        r, f = self.r, self.f
        def result(a, b, v, hot, tag=None):
            late = self.odd(.04) and s.dev
            fault = self.odd(.004)
            bg, n = s.bg * r.uniform(.97, 1.03), r.uniform(.2, 2.5)
            g = bg * (r.uniform(1.5, 7) if hot and "gamma" in hot else r.uniform(1.0, 1.18))
            self.say(s, b, {"kind": "radiation", "alarm": "fault" if fault else hot or "none", "gamma_max_cps": round(g, 1), "gamma_background_cps": round(bg, 1),
                "neutron_max_cps": round(r.uniform(9, 60) if hot and "neutron" in hot else n, 1), "duration_ms": int(max(.2, b - a) * 1000)}, v, "late result" if late else tag, more=f.uniform(14, 33) if late else 0)
        for a, b, v, w in self.bodies(s, -.4, .4, .4):
            hot = v.hot or w.hot
            who = w if w.hot and not v.hot else v
            if self.odd(.006): continue
            parts = [(a, b)]
            if v is w and v.kind == "semi" and b - a > 4 and self.odd(.03):
                m = a + (b - a) * f.uniform(.3, .5)
                parts = [(a, m), (m + f.uniform(.4, .9), b)]
            hots = [hot] if len(parts) == 1 else f.choice([[hot, hot], [None, hot]])
            for (c, d), h in zip(parts, hots):
                tag = "occupancy in two parts" if len(parts) > 1 else "two vehicles in one occupancy" if v is not w else None
                if s.kind == "rad+occ":
                    if not self.odd(.01): self.say(s, c, {"kind": "presence", "occupied": True}, v, tag, lat=(.05, .3))
                    if not self.odd(.01): self.say(s, d, {"kind": "presence", "occupied": False}, w, tag, lat=(.05, .3))
                result(c, d, who, h, tag)
        for _ in s.lane.vs:
            if self.odd(.002):
                t = f.uniform(0, self.total)
                result(t, t + f.uniform(.5, 2), None, None, "nobody: someone on foot")

    def misread(self, s, text):
        f, tag, res = self.f, None, []
        for ch in text:
            if f.random() < s.cer * self.X:
                ch2 = f.choice(LIKE.get(ch, "")) if ch in LIKE and f.random() < .8 else f.choice("ABCEHKMPTX0123456789")
                tag, ch = ("misread" if ch2 != ch else tag), ch2
            res.append(ch)
        if self.odd(.025): res.pop(f.randrange(len(res))); tag = "a character dropped"
        return "".join(res), tag

    def camera(self, s):
        r, f = self.r, self.f
        for view in ("front", "rear"):
            if s.kind not in (view, "both"): continue
            for v in s.lane.vs:
                if not sees(s, v): continue
                text = v.plate if (view == "front") != v.wrong else v.rear
                seen = spans(v, s.p - s.far, s.p - s.near) if view == "front" else spans(v, s.p + s.near + v.L, s.p + s.far + v.L)
                for a, b in seen:
                    if self.odd(.03): continue
                    t, n, got = a + r.uniform(.05, .4), min(6, max(1, s.best + r.choice([-1, 0, 0, 1, 2]))), 0
                    while got < n and (t < b or not got):
                        tag, conf = None, r.uniform(.78, .99)
                        if self.odd(.015):
                            out, tag, conf = f.choice(CARBADGES if v.kind == "car" else BADGES), "a badge read as a plate", f.uniform(.3, .75)
                        else: out, tag = self.misread(s, text)
                        if tag == "misread": conf *= f.uniform(.65, 1)
                        self.say(s, min(t, b), {"kind": "plate", "text": out, "country": v.country if r.random() < .75 and tag != "a badge read as a plate" else None, "confidence": round(conf, 2), "view": view}, v, tag)
                        got += 1
                        t += r.uniform(.25, 1.3) * (4 if got > 3 else 1)

    def rfid(self, s):
        r, f = self.r, self.f
        def read(t, epc, v, d, weak=0.0, tag=None, also=None):
            self.say(s, t, {"kind": "tag", "epc": epc, "rssi_dbm": round(-44 - 1.1 * d - weak + r.gauss(0, 2.2)), "antenna": 1 if weak or r.random() < .7 else 2}, v, tag, also)
        for v in s.lane.vs:
            if not sees(s, v): continue
            for epc, back in [(e, v.L - 1.5 if v.wrong else 1.5) for e in v.tags] + ([(v.trailer_tag, v.L - 4)] if v.trailer_tag else []):
                if self.odd(.02): continue
                for a, b in spans(v, s.p - s.beam + back, s.p + 2 + back):
                    here = [c for c, d in spans(v, s.p - 1 + back, s.p + 2 + back) if c >= a]
                    t = max(a, (here[0] if here else b) - 6) + r.uniform(0, .8)
                    n = 0
                    while t < b and n < 12:
                        x = v.xs[min(len(v.xs) - 1, max(0, int((t - v.t0) / DT)))] - back
                        d = abs(x - s.p)
                        if r.random() < .95 - d / (s.beam * 2.2) or not n and t + 2 > b:
                            read(t, epc, v, d, tag="early" if here and t < here[0] - 2.5 else None); n += 1
                        t += s.period * r.uniform(.7, 1.6) * (1 + n // 5)
        for ln in self.lanes:                                                # the neighbouring lane, weaker
            if abs(ln.k - s.lane.k) != 1: continue
            X_ = s.p + s.lane.off if s.lane.dir == "in" else s.lane.end - s.p + s.lane.off
            c = X_ - ln.off if ln.dir == "in" else ln.end - X_ + ln.off
            for v in ln.vs:
                if v.tags and v.inn <= c <= v.out and self.odd(.07):
                    for a, b in spans(v, c - 2, c + 5)[:1]:
                        for _ in range(f.choice([1, 1, 2, 3])): read(f.uniform(a, min(b, a + 8)), v.tags[0], None, f.uniform(2, 5), f.uniform(14, 20), "tag of the neighbouring lane", v)

    def weigh(self, s):
        r, f = self.r, self.f
        for v in s.lane.vs:
            if not sees(s, v): continue
            if s.kind == "scale":
                if s.st.id not in v.stops: continue
                a, b = v.stops[s.st.id]
                settle, kg = a + r.uniform(1.5, min(5, b - a - 1)), round(v.mass * r.gauss(1, .001) / 20) * 20
                say = lambda t, w, ok, tag=None: self.say(s, t, {"kind": "weight", "gross_kg": int(w), "axles_kg": None, "stable": ok, "mode": "static"}, v, tag)
                on = [c for c, d in spans(v, s.p + 2, s.p + 60)]
                for _ in range(min(8, int(f.expovariate(1 / (2.0 * self.X))))) if self.X > 0 else []:
                    t = f.uniform(on[0] + 1 if on else a - 2, settle)
                    frac = 1 + f.gauss(0, .03) if t > a else min(1, .3 + .7 * (t - on[0]) / max(1, a - on[0]))
                    say(t, round(kg * frac / 20) * 20, False, "settling")
                say(settle, kg, True)
                if r.random() < .25 and settle + 2 < b: say(r.uniform(settle + 1, b), kg, True)
                if self.odd(.15): say(b + f.uniform(2.5, 4.5), round(kg * f.uniform(.6, .97) / 20) * 20, False, "driving off")
            else:
                for a, b in spans(v, s.p, s.p + v.L):
                    if self.odd(.01): continue
                    fr = [.7] + [1] * (v.axles - 1)
                    ax = [round(v.mass * q / sum(fr) * r.gauss(1, .02) / 10) * 10 for q in fr]
                    self.say(s, b, {"kind": "weight", "gross_kg": sum(ax), "axles_kg": ax[::-1] if v.wrong else ax, "stable": True, "mode": s.kind}, v)

    def gauge(self, s):
        r = self.r
        for v in s.lane.vs:
            if not sees(s, v) or self.odd(.01): continue
            for a, b in spans(v, s.p - .2, s.p + .2 + v.L):
                if s.kind == "dim": m = {"kind": "dimensions", "length_mm": int(v.L * r.gauss(1000, 12)), "width_mm": int(v.width * r.gauss(1000, 6)), "height_mm": int(v.height * r.gauss(1000, 5))}
                else: m = {"kind": "undercarriage", "verdict": "clear" if r.random() < .97 else "check", "score": round(r.uniform(.0, .3), 2), "label": None}
                self.say(s, b, m, v)

    def container(self, s):
        for v in s.lane.vs:
            if not v.box or not sees(s, v) or self.odd(.04): continue
            for a, b in spans(v, s.p + 4, s.p + v.L)[:1]:
                for t in sorted(self.r.uniform(a, min(b, a + 15)) for _ in range(self.r.choice([1, 1, 2]))):
                    code, tag = self.misread(s, v.box)
                    self.say(s, t, {"kind": "container", "code": code, "confidence": round(self.r.uniform(.7, .99), 2)}, v, tag)

    def seals(self, s):
        r, f = self.r, self.f
        for v in s.lane.vs:
            if not v.seal or not sees(s, v) or self.odd(.05): continue
            m = {"kind": "seal", "seal_id": v.seal, "state": r.choices(["sealed", "low_battery", "opened", "unknown"], [.92, .04, .02, .02])[0]}
            for a, b in spans(v, s.p - 2, s.p + 3 + v.L):
                t = a + r.uniform(0, 4)
                for _ in range(4):
                    if t < b: self.say(s, t, dict(m), v)
                    t += r.uniform(8, 20)
                heard = [c for c, d in spans(v, s.p - s.air, s.p - 3) if c < a]            # the next one in the queue
                if heard and self.odd(.35):
                    for _ in range(f.choice([1, 1, 2])): self.say(s, f.uniform(max(heard[0], a - 90), a), dict(m), v, "heard in the queue")
        for ln in self.lanes:
            if abs(ln.k - s.lane.k) == 1:
                for v in ln.vs:
                    if v.seal and self.odd(.03):
                        for a, b in spans(v, s.p - 3, s.p + 15)[:1]: self.say(s, f.uniform(a, b), {"kind": "seal", "seal_id": v.seal, "state": "sealed"}, None, "seal in the neighbouring lane", v)

    def booth(self, s):
        r = self.r
        for v in s.lane.vs:
            if s.st.id not in v.stops: continue
            a, b = v.stops[s.st.id]
            if s.kind == "face":
                for _ in range(r.choice([1, 1, 2])):
                    self.say(s, r.uniform(a - .5, a + (b - a) * .5), {"kind": "face", "seat": r.choice(["driver", "driver", "unknown"]), "quality": round(r.uniform(.4, .98), 2),
                             "template": hashlib.sha256(v.people[0].encode()).hexdigest() if r.random() < .85 else None}, v)
                continue
            docs = [("mrz", m) for m in v.people] + ([("barcode", f"10702030/{r.randint(1, 22):02}1126/{digits(r, 7)}")] if v.kind in ("semi", "rigid") and r.random() < .7 else [])
            for i, (k, m) in enumerate(docs):
                if not self.odd(.02): self.say(s, a + (b - a) * (.15 + .7 * (i + r.random()) / len(docs)), {"kind": "document", "kind_of": k, "text": m}, v)

    def run(self):
        how = {"loop": self.loop, "rad": self.rad, "rad+occ": self.rad, "front": self.camera, "rear": self.camera, "both": self.camera, "rfid": self.rfid, "scale": self.weigh, "axle": self.weigh,
               "wim": self.weigh, "dim": self.gauge, "under": self.gauge, "cont": self.container, "seal": self.seals, "doc": self.booth, "face": self.booth}
        f, T, X = self.f, self.total, self.X
        for ln in self.lanes:
            for s in ln.sensors:
                self.out, s.cer, order = [], f.uniform(.01, .03), {}
                how[s.kind](s)
                self.out.sort(key=lambda o: o.td)
                for o in self.out:                                         # a device speaks in order (but radiation results may be late)
                    if o.r["kind"] != "radiation": order[o.r["kind"]] = o.t = max(o.t, order.get(o.r["kind"], 0) + .01)
                kind = f.random()
                s.skew = 0 if X == 0 or kind < .5 else f.choice([-1, 1]) * X * (f.uniform(.4, 3) if kind < .85 else f.uniform(3, 7))
                s.drift = f.uniform(-4e-5, 4e-5) * min(X, 1)
                a = f.uniform(.15, .9) * T
                dead = (a, a + (f.uniform(60, 600) if f.random() < .6 else 1e9)) if self.odd(.06) else None
                a = f.uniform(0, .9) * T
                stutter = (a, a + f.uniform(60, 500)) if self.odd(.06) else None
                stalls = [(q, q + f.uniform(3, 12)) for q in (f.uniform(0, T) for _ in range(f.choice([1, 2, 4])))] if self.odd(.08) else []
                for o in self.out:
                    for lo, hi in stalls:
                        if lo < o.t < hi: o.t = hi + (o.t - lo) * .01; o.tags.append("held back by the line")
                    if dead and dead[0] < o.t < dead[1]: continue
                    yield o
                    if stutter and stutter[0] < o.t < stutter[1]:
                        for i in range(f.choice([0, 1, 1, 2])): yield Thing(**{**o.__dict__, "t": o.t + f.uniform(.05, .9) * (i + 1), "tags": o.tags + ["said again"]})


# ------------------------------------------------------------------ on paper
def named(s, kind):
    """A sensor of the site file gives readings of one kind: a portal that tells its occupancy, too, is two."""
    return s.id if kind == KINDS[s.kind][0] else f"{s.id}-{kind}"


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--seed", type=int, required=True); ap.add_argument("--vehicles", type=int, required=True)
    ap.add_argument("--noise", type=float, default=1.0); ap.add_argument("--out", required=True); ap.add_argument("--alarms", type=float, default=.1)
    A = ap.parse_args()
    X = max(0.0, A.noise)
    rnd = lambda what: random.Random(f"{A.seed}/{what}")
    name, lanes = make_site(rnd("site"), A.seed)
    make_traffic(rnd("traffic"), rnd("odd"), lanes, A.vehicles, X, A.alarms)
    total = max(drive(ln, rnd("drive" + ln.id)) for ln in lanes)
    vs = sorted((v for ln in lanes for v in ln.vs), key=lambda v: (v.t0, v.lane.k))
    for i, v in enumerate(vs): v.id = f"v{i + 1}"
    r = rnd("paper")
    obs = sorted(Watch(rnd("sensors"), rnd("faults"), X, lanes, total).run(), key=lambda o: (o.t, o.s.order))
    utc0 = datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=r.uniform(4, 16) * 3600)
    mono0, boot, style = r.randint(40_000, 90_000_000), f"{r.getrandbits(128):032x}", r.randint(0, 3)
    iso = lambda t: (utc0 + datetime.timedelta(milliseconds=round(t * 1000))).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    os.makedirs(A.out, exist_ok=True)
    truth = {"seed": A.seed, "layout": name, "noise": X, "observations": {}, "also": {}, "tags": {}, "alarms": [], "vehicles": []}
    with open(os.path.join(A.out, "journal.jsonl"), "w", encoding="utf-8") as out:
        if style: out.write(json.dumps({"journal": 1, "site": "RU10702030"}) + "\n")
        for o in obs:
            s = o.s
            s.seq += 1
            sensor = named(s, o.r["kind"])
            key = f"{sensor}#{s.seq}"
            line = {"sensor": sensor, "seq": s.seq, "mono_ms": mono0 + round(o.t * 1000), "at": iso(o.t)}
            if s.dev: line["device_at"] = iso(o.td + s.skew + s.drift * o.td)
            line["reading"] = o.r
            if style > 1: line.update(boot=boot, clock="synced")
            if style == 3 and o.r["kind"] in ("plate", "container", "face"): line["evidence"] = [hashlib.sha256(key.encode()).hexdigest()]
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
            truth["observations"][key] = o.v.id if o.v else None
            if o.also: truth["also"][key] = o.also.id
            if o.tags: truth["tags"][key] = ", ".join(o.tags)
            if o.r["kind"] == "radiation" and o.r["alarm"] not in ("none", "fault"): truth["alarms"].append({"sensor": sensor, "seq": s.seq, "vehicle": o.v.id if o.v else None})
    truth["vehicles"] = [{"id": v.id, "lane": v.lane.id, "way": v.way, "kind": v.kind, "plate": v.plate, "rear": v.rear, "again": v.twin.id if v.twin else None} for v in vs]
    with open(os.path.join(A.out, "truth.json"), "w", encoding="utf-8") as out: json.dump(truth, out, ensure_ascii=False, indent=0)
    q = json.dumps
    with open(os.path.join(A.out, "site.toml"), "w", encoding="utf-8") as out:
        out.write(f'# layout: {name}\n[site]\nid = "RU10702030"\nbox = "gw-1"\n')
        for ln in lanes:
            out.write(f'\n[[lane]]\nid = "{ln.id}"\ndirection = "{ln.dir}"\n')
            busy = any(st.how in ("booth", "static") for st in ln.st)
            for st in ln.st:
                out.write(f'[[lane.station]]\nid = "{st.id}"\nposition_m = {st.pos}\nrequired = {q(st.need)}\n' + ("deadline_s = 600\n" if st.how == "booth" else "deadline_s = 300\n" if busy else ""))
        for ln in lanes:
            for s in ln.sensors:
                for k in KINDS[s.kind]:
                    out.write(f'\n[[sensor]]\nid = "{named(s, k)}"\nstation = "{ln.id}/{s.st.id}"\nprotocol = "replay"\nreading = "{k}"\n')


if __name__ == "__main__":
    main()
