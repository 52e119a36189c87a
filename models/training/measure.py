"""Compares plate finders on labelled pictures: `measure.py MODELS OURS.onnx FOLDER... [--threshold T] [--list]`.

A folder has labels.csv (file, text, box as xmin,ymin,xmax,ymax or x,y,w,h) and images/. Recall at IoU 0.3 and 0.5 of the
upright boxes, boxes away from every label per picture (an unlabelled plate counts as one), milliseconds on 2 threads, all
finders in turn on the same picture. Long side 640 for all, as the software uses them.
"""

import argparse
import csv
import itertools
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

THREADS, LONG_SIDE = 2, 640


class Finder:
    """A session, its way to prepare a picture and to read its outputs; `find` gives quads in the picture and scores."""

    def __init__(self, path, mean, scale, decode, threshold):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = THREADS, 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.mean, self.scale, self.decode, self.threshold = np.float32(mean), scale, decode, threshold

    def find(self, picture):
        h, w = picture.shape[:2]
        k = LONG_SIDE / max(h, w)
        size = [max(32, round(v * k / 32) * 32) for v in (w, h)]
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if k < 1 else cv2.INTER_LINEAR).astype(
            np.float32
        )
        tensor = ((small - self.mean) * self.scale).transpose(2, 0, 1)[None]
        start = time.perf_counter()
        outputs = self.session.run(None, {self.input: np.ascontiguousarray(tensor)})
        found = self.decode(outputs, size, self.threshold)
        spent = time.perf_counter() - start
        return [(q * np.float32([w / size[0], h / size[1]]), s) for q, s in found], spent


def upright(q):
    return np.array([*q.min(0), *q.max(0)])


def iou(a, b):
    w, h = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - w * h)


def suppressed(found, most):
    """Best first, without those that overlap a better one."""
    kept = []
    for q, s in sorted(found, key=lambda f: -f[1])[:200]:
        if all(iou(upright(q), upright(k)) <= most for k, _ in kept):
            kept.append((q, s))
    return kept


def ours(outputs, _, threshold):
    score, corners = outputs[0][0, 0], outputs[1][0]
    best = cv2.dilate(score, np.ones((3, 3)))
    found = []
    for y, x in np.argwhere((score >= threshold) & (score >= best)):
        q = (corners[:, y, x].reshape(4, 2) + [x + 0.5, y + 0.5]) * 8
        found.append((q.astype(np.float32), float(score[y, x])))
    return suppressed(found, 0.3)


def retina(outputs, size, threshold):
    """clp_det: RetinaFace priors with four corners."""
    _, classes, corners = (o[0] for o in outputs)
    priors = []
    for step, sides in ((8, (24, 48)), (16, (96, 192)), (32, (384, 768))):
        for y, x in itertools.product(range(-(-size[1] // step)), range(-(-size[0] // step))):
            priors += [((x + 0.5) * step, (y + 0.5) * step, side) for side in sides]
    priors = np.float32(priors)
    found = []
    for i in np.nonzero(classes[:, 1] >= threshold)[0]:
        q = priors[i, :2] + 0.1 * corners[i].reshape(4, 2) * priors[i, 2]
        found.append((q.astype(np.float32), float(classes[i, 1])))
    return suppressed(found, 0.4)


def text(outputs, _, threshold):
    """PP-OCR: rectangles round what is text, and pairs of them on one line."""
    score = outputs[0][0, 0]
    contours, _ = cv2.findContours((score > 0.25).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours[:1000]:
        centre, (w, h), angle = cv2.minAreaRect(contour)
        if min(w, h) < 3:
            continue
        mask = np.zeros(score.shape, np.uint8)
        cv2.fillPoly(mask, [np.int32(cv2.boxPoints((centre, (w, h), angle)))], 1)
        mean = float(score[mask > 0].mean())
        if mean >= threshold:
            grow = w * h * 1.6 / (w + h)
            found.append((cv2.boxPoints((centre, (w + grow, h + grow), angle)), mean))
    for (a, s), (b, t) in itertools.combinations(list(found), 2):
        p, q = upright(a), upright(b)
        ha, hb = p[3] - p[1], q[3] - q[1]
        gap = max(p[0], q[0]) - min(p[2], q[2])
        if abs(p[1] + p[3] - q[1] - q[3]) < max(ha, hb) and -0.6 * max(ha, hb) < gap < 1.3 * max(ha, hb):
            found.append((cv2.boxPoints(cv2.minAreaRect(np.concatenate([a, b]))), min(s, t)))
    form = lambda q: np.ptp(q[:, 0]) / max(np.ptp(q[:, 1]), 1)
    return [f for f in found if 1.1 <= form(f[0]) <= 9.5]


def labels(folder):
    """File and boxes; boxes without text count too."""
    boxes = {}
    for row in csv.DictReader((folder / "labels.csv").open()):
        if "xmin" in row:
            box = [float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax")]
        else:
            x, y, w, h = (float(row[k]) for k in ("x", "y", "w", "h"))
            box = [x, y, x + w, y + h]
        boxes.setdefault(row["file"], []).append(np.array(box))
    return boxes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path)
    parser.add_argument("ours", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--threshold", type=float, nargs="+", default=[0.3])
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--list", action="store_true", help="name missed labels and boxes away from labels")
    given = parser.parse_args()
    finders = {f"ours {t}": Finder(given.ours, [127.5] * 3, 1 / 127.5, ours, t) for t in given.threshold}
    if given.peers:
        finders["clp_det 0.15"] = Finder(given.models / "clp_det.onnx", [104, 117, 123], 1, retina, 0.15)
        finders["PP-OCRv6 det"] = Finder(given.models / "PP-OCRv6_det_small.onnx", [127.5] * 3, 1 / 127.5, text, 0.4)
    for folder in given.folders:
        wanted = labels(folder)
        tally = {name: {"3": 0, "5": 0, "false": 0, "ms": [], "iou": []} for name in finders}
        for file, boxes in wanted.items():
            picture = cv2.imread(str(folder / "images" / file))
            for name, finder in finders.items():
                found, spent = finder.find(picture)
                t = tally[name]
                t["ms"].append(spent * 1e3)
                best = [max((iou(upright(q), b) for q, _ in found), default=0) for b in boxes]
                t["iou"] += best
                t["3"] += sum(v >= 0.3 for v in best)
                t["5"] += sum(v >= 0.5 for v in best)
                away = [(q, s) for q, s in found if all(iou(upright(q), b) < 0.1 for b in boxes)]
                t["false"] += len(away)
                if given.list:
                    for b, v in zip(boxes, best):
                        if v < 0.5:
                            print(
                                f"{name}: {file} label {b.astype(int).tolist()} of {picture.shape[1]}x{picture.shape[0]} best IoU {v:.2f}"
                            )
                    for q, s in away:
                        print(f"{name}: {file} away {upright(q).astype(int).tolist()} score {s:.2f}")
        count = sum(len(b) for b in wanted.values())
        print(f"{folder.name}: {len(wanted)} pictures, {count} plates")
        for name, t in tally.items():
            print(
                f"  {name:14} IoU 0.3 {100 * t['3'] / count:5.1f} %  IoU 0.5 {100 * t['5'] / count:5.1f} %  "
                f"median IoU {np.median(t['iou']):.2f}  away {t['false'] / len(wanted):.2f}/picture  "
                f"ms median {np.median(t['ms']):.1f} least {min(t['ms']):.1f}"
            )


if __name__ == "__main__":
    main()
