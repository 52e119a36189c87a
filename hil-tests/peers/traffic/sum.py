#!/usr/bin/env python3
"""Adds up lines of score.py from standard input: a line for each seed, then all together."""
import json
import sys
from collections import Counter


def percent(share):
    return 100 * share[0] / max(1, share[1])


def told(name, score):
    alarms, passages = score["alarms"], score["passages"]
    print(f"{name:16} observations {percent(score['observations']):6.2f} %  pure and complete {percent(score['pure_and_complete']):6.2f} %"
          f"  false {100 * score['false_passages'] / max(1, passages):5.2f} %  without passage {score['without_passage']}"
          f"  alarms {alarms['all']}: wrong {alarms['wrong'] + alarms['torn']}, referred {alarms['referred']}, lost {alarms['lost']}")


total = Counter(passages=0, false_passages=0, without_passage=0)
shares = {"observations": [0, 0], "pure_and_complete": [0, 0]}
alarms = Counter(all=0, wrong=0, torn=0, referred=0, lost=0)
for line in sys.stdin:
    score = json.loads(line)
    told(f"{score['seed']:4} {score['layout']}", score)
    for name, share in shares.items():
        share[0] += score[name][0]
        share[1] += score[name][1]
    total.update({name: score[name] for name in total})
    alarms.update(score["alarms"])
told("all", dict(total, **shares, alarms=alarms))
