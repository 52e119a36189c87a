#!/usr/bin/env python3
"""Scores the packets of `edge-agent replay` against generate.py's truth: python3 score.py DIR OUT [--list]

Prints one JSON line. Passages and vehicles are matched one to one, largest overlap first; a passage can only be matched to
the vehicle that most of its observations are of.

observations right: of a vehicle: in the passage that is matched to it; nobody's: an orphan. A weak read of a tag by the
neighbouring lane's reader is nobody's here; it is right as an orphan and in the passage of the vehicle that carries the tag.
alarms: referred = the entry is doubtful or names several candidates (without_right: the right passage is not among them);
torn = named by a passage of the right vehicle that is not the matched one; lost = orphan.
"""
import json
import sys
from collections import Counter, defaultdict


def load(path):
    packets, orphans = {}, set()
    for line in open(path):
        line = line.strip()
        if not line:
            continue
        item = json.loads(line)
        if "orphan" in item:
            o = item["orphan"]
            orphans.add(f"{o['sensor']}#{o['seq']}")
        elif "passage_id" in item:
            known = packets.get(item["passage_id"])
            if known is None or item["revision"] >= known["revision"]:
                packets[item["passage_id"]] = item
    return packets, orphans


def main():
    folder, out = [a for a in sys.argv[1:] if not a.startswith("--")]
    truth = json.load(open(f"{folder}/truth.json"))
    packets, orphans = load(out)
    true, also, tags = truth["observations"], truth["also"], truth["tags"]
    vehicles = {v["id"]: v for v in truth["vehicles"]}
    lines = {}
    for line in open(f"{folder}/journal.jsonl"):
        o = json.loads(line)
        if "sensor" in o:
            lines[f"{o['sensor']}#{o['seq']}"] = o

    entry, holder = {}, {}
    twice = 0
    for pid, p in packets.items():
        for o in p["observations"]:
            key = f"{o['sensor']}#{o['seq']}"
            twice += key in holder
            entry[key], holder[key] = o, pid
    twice += sum(k in holder for k in orphans)
    missing = sum(k not in holder and k not in orphans for k in true)

    content, of = defaultdict(list), defaultdict(set)
    for key, pid in holder.items():
        content[pid].append(key)
    for key, v in true.items():
        if v:
            of[v].add(key)
    counts = {pid: Counter(true.get(k) for k in keys if true.get(k)) for pid, keys in content.items()}
    pairs = sorted(((n, pid, v) for pid, c in counts.items() for v, n in c.items() if n == max(c.values())),
                   key=lambda x: (-x[0], x[1], x[2]))
    vehicle_of, passage_of = {}, {}
    for n, pid, v in pairs:
        if pid not in vehicle_of and v not in passage_of:
            vehicle_of[pid], passage_of[v] = v, pid

    wrong = []
    right = 0
    kinds = Counter()
    for key, v in true.items():
        pid = holder.get(key)
        if v:
            good = pid is not None and passage_of.get(v) == pid
        else:
            good = pid is None or (key in also and passage_of.get(also[key]) == pid)
        right += good
        if not good:
            kinds[lines[key]["reading"]["kind"]] += 1
            wrong.append(key)
    pure = 0
    for v, keys in of.items():
        pid = passage_of.get(v)
        if pid is None:
            continue
        pure += {k for k in content[pid] if also.get(k) != v} == keys

    alarms = Counter(all=len(truth["alarms"]), right=0, referred=0, referred_without_right=0, wrong=0, torn=0, lost=0)
    bad_alarms = []
    for a in truth["alarms"]:
        key, v = f"{a['sensor']}#{a['seq']}", a["vehicle"]
        e, pid = entry.get(key), holder.get(key)
        candidates = (e or {}).get("candidates") or ([pid] if pid else [])
        mine = passage_of.get(v)
        if pid is None:
            what = "lost"
        elif e.get("doubtful") or len(candidates) > 1:
            what = "referred"
            if mine not in candidates:
                alarms["referred_without_right"] += 1
                what = "referred_without_right"
        elif pid == mine:
            what = "right"
        elif counts[pid].most_common(1)[0][0] == v and counts[pid][v] > 0:
            what = "torn"
        else:
            what = "wrong"
        alarms["referred" if what == "referred_without_right" else what] += 1
        if what != "right":
            bad_alarms.append((what, key, v, pid, candidates))

    seen = [v for v in vehicles if of.get(v)]
    doubtful = sum(bool(e.get("doubtful")) for e in entry.values())
    result = dict(seed=truth["seed"], layout=truth["layout"], noise=truth["noise"],
                  observations=[right, len(true)], pure_and_complete=[pure, len(seen)], alarms=dict(alarms),
                  passages=len(packets), false_passages=len(packets) - len(vehicle_of), vehicles=len(vehicles),
                  without_passage=sum(v not in passage_of for v in seen), unseen=len(vehicles) - len(seen),
                  orphans=len(orphans), doubtful=doubtful, wrong_by_kind=dict(kinds.most_common()), twice_or_missing=[twice, missing])
    print(json.dumps(result))
    if "--list" not in sys.argv:
        return

    def passage(pid):
        if pid is None:
            return "orphan"
        v = vehicle_of.get(pid)
        who = v if v else "false, of " + "/".join(f"{k}:{n}" for k, n in counts[pid].most_common(3)) if counts[pid] else "nobody"
        return f"{pid[-8:]} ({who})"

    def value(r):
        return " ".join(str(x) for k, x in r.items() if k in ("text", "epc", "alarm", "gross_kg", "stable", "occupied", "seal_id", "code", "length_mm", "rssi_dbm"))

    for key in sorted(wrong, key=lambda k: lines[k]["mono_ms"]):
        o, v = lines[key], true[key]
        own = passage(passage_of[v]) if v in passage_of else "no passage"
        way = vehicles[v]["way"] if v else ""
        doubt = " doubtful" if entry.get(key, {}).get("doubtful") else ""
        print(f"{o['at'][11:22]} {key:32} {o['reading']['kind']:12} {value(o['reading']):30} true {v or 'nobody'}"
              f"{' ' + way if way not in ('', 'normal') else ''} [{own}] -> {passage(holder.get(key))}{doubt}"
              f"{' {' + tags[key] + '}' if key in tags else ''}")
    for what, key, v, pid, candidates in bad_alarms:
        print(f"ALARM {what}: {lines[key]['at'][11:22]} {key} true {v} [{passage(passage_of.get(v))}] -> {passage(pid)}"
              f" candidates {[passage(c) for c in candidates]}{' {' + tags[key] + '}' if key in tags else ''}")


main()
