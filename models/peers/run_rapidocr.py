"""RapidOCR (PyPI) as a peer: a picture's file name in, its lines of text out, a JSON line each.

Its models as they come in its package, and ONNX Runtime with the same number of threads as ours. Lines that stand side
by side are also given as one, so that a plate or a code which it splits counts as read.
"""

import argparse
import importlib.metadata
import json
import sys
import time

import cv2
from rapidocr import RapidOCR

options = argparse.ArgumentParser()
options.add_argument("--threads", type=int, default=2)
options.add_argument("--countries", default="")  # it knows no countries
options = options.parse_args()

cv2.setNumThreads(options.threads)
reader = RapidOCR(params={
    "Global.log_level": "critical",
    "EngineConfig.onnxruntime.intra_op_num_threads": options.threads,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
})
print(json.dumps({"ready": "RapidOCR " + importlib.metadata.version("rapidocr")}), flush=True)

# Russian plates come out in Cyrillic letters that look like Latin ones.
LATIN = str.maketrans("АВЕКМНОРСТУХ", "ABEKMHOPCTYX")


def plain(text):
    return "".join(sign for sign in text.upper().translate(LATIN) if sign.isalnum())


def bounds(box):
    xs, ys = [float(x) for x, _ in box], [float(y) for _, y in box]
    return [min(xs), min(ys), max(xs), max(ys)]


def side_by_side(a, b):
    height = min(a[3] - a[1], b[3] - b[1])
    overlap = min(a[3], b[3]) - max(a[1], b[1])
    gap = b[0] - a[2]
    return overlap > 0.5 * height and -0.5 * height < gap < 1.5 * height


def joined(a, b):
    place = [min(a["place"][0], b["place"][0]), min(a["place"][1], b["place"][1]),
             max(a["place"][2], b["place"][2]), max(a["place"][3], b["place"][3])]
    return {"text": a["text"] + b["text"], "confidence": min(a["confidence"], b["confidence"]), "place": place}


for line in sys.stdin:
    begin = time.perf_counter()
    try:
        found = reader(cv2.imread(json.loads(line)["file"]))
    except Exception as error:  # the caller decides what an unreadable picture means
        print(json.dumps({"ms": 0, "reads": [], "error": str(error)}), flush=True)
        continue
    milliseconds = 1000 * (time.perf_counter() - begin)
    lines = []
    if found.txts is not None:
        for text, score, box in zip(found.txts, found.scores, found.boxes):
            if plain(text):
                lines.append({"text": plain(text), "confidence": float(score), "place": bounds(box)})
    pairs = [joined(a, b) for a in lines for b in lines if side_by_side(a["place"], b["place"])]
    threes = [joined(pair, c) for pair in pairs for c in lines if side_by_side(pair["place"], c["place"])]
    print(json.dumps({"ms": milliseconds, "reads": lines + pairs + threes}), flush=True)
