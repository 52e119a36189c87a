"""Trains the plate reader: `train_reader.py CHECKPOINT MINUTES [FROM]`. Renders as it goes, one thread."""

import copy
import sys
import time

import cv2
import numpy as np
import torch
from torch.nn import functional as F

import strips
from read_network import STRIDE, PlateText

BATCH = 32
# From nothing, and from a checkpoint.
RATE, RATE_ON = 2e-3, 1.2e-3
WIDTHS, SHARES = (112, 160, 216), (0.12, 0.68, 0.20)
# Strips that are made of one rendered plate.
COPIES = 4


def batch(rng):
    width = int(rng.choice(WIDTHS, p=SHARES))
    frames = width // STRIDE
    x = np.zeros((BATCH, 1, strips.HEIGHT, width), np.float32)
    # -1: neither sign nor blank for sure
    goal = np.full((BATCH, frames), -1, np.int64)
    texts, used = [], []
    at = (np.arange(frames) + 0.5) * STRIDE
    for i in range(BATCH):
        if i % COPIES == 0:
            place = strips.surroundings(rng)
        picture, signs = strips.strip(rng, width, place)
        x[i, 0, :, : picture.shape[1]] = picture.astype(np.float32) / 127.5 - 1
        far = np.full(frames, np.inf)
        for sign, left, right in signs:
            away = np.abs(at - (left + right) / 2) / max(right - left, 4.0)
            goal[i, (away < 0.2) | (away == away.min())] = sign
            far = np.minimum(far, away)
        goal[i, far > 0.5] = 0
        texts.append([sign for sign, _, _ in signs])
        used.append(min(frames, -(-picture.shape[1] // STRIDE) + 1))
    return torch.from_numpy(x), torch.from_numpy(goal), texts, used


def loss_of(logit, goal, texts, used, share):
    """Signs where they stand to begin with, then the text (CTC, Graves 2006)."""
    place = F.cross_entropy(logit, goal, ignore_index=-1, label_smoothing=0.02)
    if share < 0.03:
        return place, place.item(), 0.0
    flat = torch.tensor([sign for text in texts for sign in text], dtype=torch.long)
    lengths = torch.tensor([len(text) for text in texts])
    chances = F.log_softmax(logit, 1).permute(2, 0, 1)
    text = F.ctc_loss(chances, flat, torch.tensor(used), lengths, zero_infinity=True, reduction="none")
    # hopeless strips do not rule
    text = (text.clamp(max=25.0) / lengths.clamp(min=1)).mean()
    weight = max(0.15, 1 - share * 1.6)
    return weight * place + text, place.item(), text.item()


def read(logit, used):
    out = []
    for best, count in zip(logit.argmax(1), used):
        best = best[:count].tolist()
        out.append([b for a, b in zip([0] + best, best) if b and b != a])
    return out


def main(checkpoint, minutes, start=None, seed=1):
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng([int(seed), int(time.time())])
    network = PlateText()
    if start:
        network.load_state_dict(torch.load(start)["average"])
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
    highest = RATE_ON if start else RATE
    begin = saved = time.monotonic()
    step, sums, right, rendering = 0, np.zeros(2), 0, 0.0
    while (passed := time.monotonic() - begin) < minutes * 60:
        share = passed / (minutes * 60)
        rate = highest * min(1, (step + 1) / 200) * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * share)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        t = time.monotonic()
        x, goal, texts, used = batch(rng)
        rendering += time.monotonic() - t
        logit = network(x)
        loss, place, text = loss_of(logit, goal, texts, used, 1.0 if start else share)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        step += 1
        sums += [place, text]
        right += sum(a == b for a, b in zip(read(logit.detach(), used), texts))
        with torch.no_grad():
            k = min(0.998, 1 - 1 / (step / 4 + 1))
            for a, b in zip(average.state_dict().values(), network.state_dict().values()):
                a.copy_(a * k + b * (1 - k) if a.is_floating_point() else b)
        if step % 50 == 0:
            print(
                f"{passed / 60:.1f} min, step {step}: place {sums[0] / 50:.3f} text {sums[1] / 50:.3f} "
                f"right {right / 50 / BATCH:.3f}, rendering {rendering / (time.monotonic() - begin):.2f}",
                flush=True,
            )
            sums[:], right = 0, 0
        if time.monotonic() - saved > 120:
            saved = time.monotonic()
            torch.save({"network": network.state_dict(), "average": average.state_dict()}, checkpoint)
    torch.save({"network": network.state_dict(), "average": average.state_dict()}, checkpoint)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:5])
