"""The window looks as it did: every page against its reference picture, and that the comparison sees what a
person would. After a change that is meant: `python tests/app/screenshots.py --write`, and look at the pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tests.app import reference
from tests.app.conftest import Pictures
from tests.app.scenes import STATES, scenes
from tests.app.screenshots import SHOWN_IN_README, SIZES, THEMES, child

MOST_BYTES = 3_000_000
SAMPLE = f"run-full-light-{SIZES[0]}"


def differences(folder: Path, *, scaled: bool = False) -> list[str]:
    """Pictures of a folder that are not like their reference, or have none."""
    found = []
    pictures = sorted(folder.glob("*.png"))
    assert pictures
    for picture in pictures:
        kept = reference.FOLDER / reference.kept_name(picture, scaled=scaled)
        if not kept.exists():
            found.append(f"{picture.stem}: no reference; python tests/app/screenshots.py --write")
            continue
        said = reference.difference(picture, kept.read_bytes())
        found += [f"{picture.stem}: {said}"] if said else []
    return found


def test_that_full_pages_look_as_they_did(full_pages: Pictures) -> None:
    assert differences(full_pages.folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_that_every_page_looks_as_it_did(state: str, tmp_path: Path) -> None:
    child(tmp_path, "--states", state, "--no-looks")
    assert differences(tmp_path) == []


@pytest.mark.slow
def test_that_every_page_looks_as_it_did_at_150_per_cent(tmp_path: Path) -> None:
    child(tmp_path, "--sizes", SIZES[0], "--no-looks", scale="1.5")
    assert differences(tmp_path, scaled=True) == []


def lost(picture: Image.Image) -> None:
    """A button is gone."""
    ImageDraw.Draw(picture).rectangle((930, 54, 1080, 82), fill="#f6f7f9")


def moved(picture: Image.Image) -> None:
    """A card stands 8 pixels lower."""
    card = picture.crop((192, 172, 526, 464))
    picture.paste(card, (192, 180))


def renamed(picture: Image.Image) -> None:
    """A heading has other words."""
    heading = picture.crop((205, 185, 365, 200))
    picture.paste(heading, (892, 185))


@pytest.mark.parametrize("spoil", [lost, moved, renamed])
def test_that_a_small_change_of_a_page_is_seen(
    spoil: Callable[[Image.Image], None], full_pages: Pictures, tmp_path: Path
) -> None:
    picture = full_pages.folder / f"{SAMPLE}.png"
    kept = reference.encoded(reference.small(picture))
    assert reference.difference(picture, kept) == ""
    with Image.open(picture) as whole:
        spoiled = whole.convert("RGB")
    spoil(spoiled)
    spoiled.save(tmp_path / "spoiled.png")
    assert "worst tile" in reference.difference(tmp_path / "spoiled.png", kept)


def test_that_another_size_is_a_difference(full_pages: Pictures, tmp_path: Path) -> None:
    picture = full_pages.folder / f"{SAMPLE}.png"
    kept = reference.encoded(reference.small(picture))
    with Image.open(picture) as whole:
        whole.resize((1280, 700)).save(tmp_path / "lower.png")
    assert "and was" in reference.difference(tmp_path / "lower.png", kept)


def test_that_references_are_complete_small_and_no_more_than_needed() -> None:
    kept = {path.name for path in reference.FOLDER.glob("*.webp")}
    wanted = set()
    for scene in scenes():
        for theme in THEMES:
            for size in SIZES[:1] if scene.extra else SIZES:
                wanted.add(f"{scene.name}-{theme}-{size}.webp")
            wanted.add(f"{scene.name}-{theme}-{SIZES[0]}-150.webp")
    assert kept == wanted
    assert sum((reference.FOLDER / name).stat().st_size for name in kept) < MOST_BYTES


def test_that_the_pictures_of_the_readme_are_there() -> None:
    for name in SHOWN_IN_README:
        for theme in THEMES:
            path = reference.README_FOLDER / f"{name.removesuffix('-full')}-{theme}.png"
            with Image.open(path) as picture:
                assert f"{picture.width}x{picture.height}" == SIZES[0]
