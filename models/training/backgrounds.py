"""Gathers background pictures: `backgrounds.py OUT FOLDER...` copies what is large enough, at most 1024 px, as JPEG."""

import sys
from pathlib import Path

from PIL import Image

KINDS = {".jpg", ".jpeg", ".png", ".webp", ".rgb"}
LEAST, MOST = 128, 1024


def main(out, folders):
    out.mkdir(parents=True, exist_ok=True)
    files = sorted(f for folder in folders for f in folder.rglob("*") if f.suffix.lower() in KINDS)
    count = 0
    for file in files:
        try:
            with Image.open(file) as picture:
                if min(picture.size) < LEAST or max(picture.size) > 6 * min(picture.size):
                    continue
                picture = picture.convert("RGB")
                picture.thumbnail((MOST, MOST))
                picture.save(out / f"{count:05}.jpg", quality=90)
                count += 1
        except (OSError, ValueError):
            continue  # not a picture after all
    print(count, "backgrounds")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(f) for f in sys.argv[2:]])
