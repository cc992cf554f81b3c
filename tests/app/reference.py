"""Reference pictures: small grey copies of what the window looked like, and the comparison with them.

Likeness is SSIM (Wang et al. 2004) as scikit-image computes it. Its mean over a whole window says little of a
button that is gone, so the worst tile of the picture counts as well.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity

FOLDER = Path(__file__).parent / "pictures"
README_FOLDER = Path(__file__).parents[2] / "resources" / "pictures"
WIDTH = 640
QUALITY = 40
LEAST_MEAN = 0.98
LEAST_TILE = 0.5
TILE = 8
README_COLOURS = 256

Grey = NDArray[np.uint8]


def small(picture: Path) -> Image.Image:
    """A picture in grey and `WIDTH` pixels wide."""
    with Image.open(picture) as whole:
        size = (WIDTH, round(whole.height * WIDTH / whole.width))
        return whole.convert("L").resize(size, Image.Resampling.LANCZOS)


def encoded(picture: Image.Image) -> bytes:
    """The picture as it is kept."""
    kept = io.BytesIO()
    picture.save(kept, "WEBP", quality=QUALITY, method=6)
    return kept.getvalue()


def decoded(data: bytes) -> Grey:
    """The pixels of a kept picture."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))


def difference(picture: Path, kept: bytes) -> str:
    """What differs between a picture and its reference; "" where they are alike.

    Both went through the same encoder, so what that loses is no difference.
    """
    new, old = decoded(encoded(small(picture))), decoded(kept)
    if new.shape != old.shape:
        return f"is {new.shape[1]}x{new.shape[0]} and was {old.shape[1]}x{old.shape[0]}"
    mean, likeness = structural_similarity(new, old, full=True)
    rows, columns = likeness.shape[0] // TILE, likeness.shape[1] // TILE
    tiles = likeness[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE)
    by_tile = tiles.mean(axis=(1, 3))
    row, column = np.unravel_index(by_tile.argmin(), by_tile.shape)
    worst = float(by_tile[row, column])
    if mean >= LEAST_MEAN and worst >= LEAST_TILE:
        return ""
    return (
        f"likeness {mean:.4f} (at least {LEAST_MEAN}), worst tile {worst:.2f} (at least {LEAST_TILE}) "
        f"at {column / columns:.0%} from the left, {row / rows:.0%} from the top"
    )


def write(plain: Path, scaled: Path) -> None:
    """Keep the pictures of both folders as references, and throw away those of scenes that are no more."""
    FOLDER.mkdir(exist_ok=True)
    wanted = {kept_name(path): path for path in sorted(plain.glob("*.png"))}
    wanted |= {kept_name(path, scaled=True): path for path in sorted(scaled.glob("*.png"))}
    for name, picture in wanted.items():
        place = FOLDER / name
        # A picture that is alike stays as it is: no change in the repository without one in the window.
        if not place.exists() or difference(picture, place.read_bytes()):
            place.write_bytes(encoded(small(picture)))
    for old in FOLDER.glob("*.webp"):
        if old.name not in wanted:
            old.unlink()


def kept_name(picture: Path, *, scaled: bool = False) -> str:
    """The file name of a picture's reference."""
    return f"{picture.stem}{'-150' if scaled else ''}.webp"


def write_readme(pictures: Sequence[Path]) -> None:
    """The README's pictures, in colours, with a palette of their own."""
    README_FOLDER.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        name, _, rest = picture.stem.partition("-full-")
        target = README_FOLDER / f"{name}-{rest.partition('-')[0]}.png"
        with Image.open(picture) as whole:
            whole.convert("RGB").quantize(README_COLOURS).save(target, optimize=True)
