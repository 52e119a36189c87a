"""Renders shards of labelled pictures: `render.py OUT BACKGROUNDS SEED COUNT`. A shard is a pickle of (jpeg, corners) pairs."""

import pickle
import sys
from pathlib import Path

import cv2
import numpy as np

import scenes

SHARD = 250


def main(out, backgrounds, seed, count):
    cv2.setNumThreads(1)
    out.mkdir(parents=True, exist_ok=True)
    files = sorted(backgrounds.glob("*.jpg"))
    for shard in range(count):
        rng = np.random.default_rng([seed, shard])
        made = []
        while len(made) < SHARD:
            picture, corners = scenes.scene(rng, files)
            made.append((scenes.jpeg(rng, picture), corners))
        draft = out / f"{seed:03}-{shard:04}.part"
        draft.write_bytes(pickle.dumps(made))
        draft.rename(draft.with_suffix(".shard"))  # training sees whole shards only


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
