"""Trains: `train.py SHARDS CHECKPOINT MINUTES [FROM]`. Reads what shards are there, new ones as they come."""

import copy
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from network import STRIDE, PlateCorners

W, H, BATCH = 320, 256, 12
CELLS_X, CELLS_Y = W // STRIDE, H // STRIDE
# A plate narrower than this in the crop is neither wanted nor punished.
LEAST_WIDTH = 22.0
RATE = 1.2e-3
# Pictures held in memory, older ones make room; and those that count as new.
POOL, NEWEST = 12000, 2000


class Pool:
    """The rendered pictures, compressed in memory."""

    def __init__(self, folder):
        self.folder, self.known, self.pictures = folder, set(), []

    def refresh(self):
        for shard in sorted(self.folder.glob("*.shard"), key=lambda f: f.stat().st_mtime):
            if shard.name not in self.known:
                self.known.add(shard.name)
                self.pictures += pickle.loads(shard.read_bytes())
        self.pictures = self.pictures[-POOL:]


def crop(rng, picture, corners):
    """A cut-out of 320 x 256 at a random scale, its corners, and other light."""
    h, w = picture.shape[:2]
    scale = float(np.exp(rng.uniform(np.log(0.55), np.log(1.45))))
    if len(corners) and rng.random() < 0.75:  # near a plate, and often at a scale that makes it of a wanted width
        q = corners[rng.integers(len(corners))]
        centre = q.mean(0)
        width = np.linalg.norm(q[1] - q[0])
        if rng.random() < 0.5:
            scale = np.clip(np.exp(rng.uniform(np.log(28), np.log(230))) / max(width, 1), 0.4, 1.6)
        x = centre[0] * scale - rng.uniform(0.1, 0.9) * W
        y = centre[1] * scale - rng.uniform(0.1, 0.9) * H
    else:
        x, y = rng.uniform(-0.1, 1) * max(w * scale - W, 0), rng.uniform(-0.1, 1) * max(h * scale - H, 0)
    stretch = rng.uniform(0.88, 1.14)
    matrix = np.float32([[scale * stretch, 0, -x * stretch], [0, scale, -y]])
    if scale < 0.7:
        picture = cv2.blur(picture, (2, 2))
    small = cv2.warpAffine(picture, matrix, (W, H), flags=cv2.INTER_LINEAR, borderValue=(114, 114, 114))
    corners = corners @ matrix[:, :2].T + matrix[:, 2]
    small = small.astype(np.float32) / 127.5 - 1
    if rng.random() < 0.5:
        small = small * rng.uniform(0.6, 1.3) + rng.uniform(-0.3, 0.3)
    if rng.random() < 0.1:
        small = -small if rng.random() < 0.1 else small[:, :, ::-1]
    return np.clip(small, -1, 1), corners


def targets(corners):
    """Heat, weight of the heat's loss, corners in cells from each cell's centre, weight per corner value."""
    heat, ignore = np.zeros((CELLS_Y, CELLS_X), np.float32), np.zeros((CELLS_Y, CELLS_X), bool)
    goal, weight = np.zeros((8, CELLS_Y, CELLS_X), np.float32), np.zeros((8, CELLS_Y, CELLS_X), np.float32)
    gx, gy = np.meshgrid(np.arange(CELLS_X) + 0.5, np.arange(CELLS_Y) + 0.5)
    for q in corners:
        q = q / STRIDE
        centre = q.mean(0)
        right, down = (q[1] - q[0] + q[2] - q[3]) / 2, (q[3] - q[0] + q[2] - q[1]) / 2
        w, h = np.linalg.norm(right), np.linalg.norm(down)
        inside = np.clip(q, 0, [CELLS_X, CELLS_Y])
        # share of the plate that can be seen, by its bounding box
        seen = np.prod(np.ptp(inside, 0)) / max(np.prod(np.ptp(q, 0)), 1e-6)
        ix, iy = int(centre[0]), int(centre[1])
        # Gaussian along the plate's own axes
        along = ((gx - centre[0]) * right[0] + (gy - centre[1]) * right[1]) / max(w, 1e-6)
        across = ((gx - centre[0]) * down[0] + (gy - centre[1]) * down[1]) / max(h, 1e-6)
        sx, sy = max(0.12 * w, 0.55), max(0.16 * h, 0.55)
        g = np.exp(-0.5 * ((along / sx) ** 2 + (across / sy) ** 2)).astype(np.float32)
        if not (0 <= ix < CELLS_X and 0 <= iy < CELLS_Y) or seen < 0.85 or w * STRIDE < LEAST_WIDTH or h * STRIDE < 4:
            if seen > 0.15:
                ignore |= (np.abs(along) < w / 2 + 0.7) & (np.abs(across) < h / 2 + 0.7)
            continue
        g[iy, ix] = 1.0
        near = (g > 0.35) & (g >= heat)
        heat = np.maximum(heat, g)
        offsets = np.stack([v for c in q for v in (c[0] - gx, c[1] - gy)])
        goal[:, near] = offsets[:, near]
        # errors count by the plate's size; a thin plate's height is what is hard
        size = np.tile([0.35 * w + 0.65 * h, h], 4).astype(np.float32)
        weight[:, near] = (1 / np.maximum(size, 0.6))[:, None] * g[near][None]
    keep = (~ignore | (heat > 0.35)).astype(np.float32)
    return heat, keep, goal, weight


class Samples(torch.utils.data.IterableDataset):
    """Endless crops; each worker process holds the pool."""

    def __init__(self, folder):
        self.folder = folder

    def __iter__(self):
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([7, worker.id if worker else 0, int(time.time())])
        pool, count = Pool(self.folder), 0
        while True:
            if count % 999 == 0:
                pool.refresh()
            # every second picture is one of the newest
            first = max(0, len(pool.pictures) - NEWEST) if rng.random() < 0.5 else 0
            data, corners = pool.pictures[rng.integers(first, len(pool.pictures))]
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            for _ in range(3):
                count += 1
                small, q = crop(rng, picture, corners)
                yield (np.ascontiguousarray(small.transpose(2, 0, 1)), *targets(q))


def loss_of(logit, corners, heat, keep, goal, weight):
    """Focal loss on the heat (CornerNet, arXiv 1808.01244, equation 1), smooth L1 on corners by plate size."""
    p = torch.sigmoid(logit[:, 0]).clamp(1e-5, 1 - 1e-5)
    hit = (heat == 1).float()
    focal = hit * (1 - p) ** 2 * p.log() + (1 - hit) * (1 - heat) ** 4 * p**2 * (1 - p).log()
    count = hit.sum().clamp(min=1)
    score = -(focal * keep).sum() / count
    # units of plate size, so that the kink lies at 0.15 of it
    wrong = F.smooth_l1_loss(corners * weight, goal * weight, beta=0.15, reduction="sum")
    place = wrong / ((weight > 0).float().sum() / 8).clamp(min=1)
    return score, place


def gradient(network, batch):
    """Leaves the gradient of half a batch in the parameters; gives both losses."""
    picture, heat, keep, goal, weight = batch
    network.zero_grad(set_to_none=True)
    score, place = loss_of(*network(picture.to(memory_format=torch.channels_last)), heat, keep, goal, weight)
    (score + 2 * place).backward()
    return score.item(), place.item()


def main(folder, checkpoint, minutes, start=None):
    torch.manual_seed(1)
    torch.set_num_threads(1)
    network = PlateCorners()
    if start:
        network.load_state_dict(torch.load(start)["network"])
    network = network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-4)
    # Two threads with half a batch each: on a busy machine that waits far less than two threads in every layer.
    twin = copy.deepcopy(network)
    for p, q in zip(network.parameters(), twin.parameters()):
        q.data = p.data
    pool = ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,))
    batches = iter(torch.utils.data.DataLoader(Samples(folder), BATCH // 2, num_workers=1, prefetch_factor=8))
    begin, step, saved = time.monotonic(), 0, time.monotonic()
    sums = np.zeros(2)
    while (passed := time.monotonic() - begin) < minutes * 60:
        # warm-up, then a cosine over the wall-clock time there is
        share = passed / (minutes * 60)
        rate = RATE * min(1, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * share)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        halves = list(pool.map(gradient, (network, twin), (next(batches), next(batches))))
        score, place = np.mean(halves, 0)
        for p, q in zip(network.parameters(), twin.parameters()):
            p.grad.add_(q.grad).mul_(0.5)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimiser.step()
        step += 1
        sums += [score, place]
        with torch.no_grad():
            k = min(0.998, 1 - 1 / (step + 1))
            for a, b in zip(average.state_dict().values(), network.state_dict().values()):
                a.copy_(a * k + b * (1 - k) if a.is_floating_point() else b)
        if step % 50 == 0:
            print(
                f"{passed / 60:.1f} min, step {step}: score {sums[0] / 50:.3f} corners {sums[1] / 50:.3f}", flush=True
            )
            sums[:] = 0
        if time.monotonic() - saved > 120:
            saved = time.monotonic()
            torch.save({"network": network.state_dict(), "average": average.state_dict()}, checkpoint)
    torch.save({"network": network.state_dict(), "average": average.state_dict()}, checkpoint)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), *sys.argv[4:5])
