"""A calibration picture is upright, RGB and no larger than the limit; a bad one is named."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageOps

from benchmarks.calibration.pictures import SUFFIXES, check_picture, open_picture
from frism.errors import UserError
from tests.support.calibration_folders import picture, turned


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("limit", [None, 1100])
def test_a_photograph_is_turned_as_its_exif_says(tmp_path: Path, orientation: int, limit: int | None) -> None:
    path = turned(tmp_path / "a.png", orientation)
    seen = open_picture(path, limit)
    upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    assert seen.mode == "RGB"
    assert (seen.width > seen.height) == (orientation < 5)
    same = upright if limit is None else upright.resize(seen.size)
    assert np.mean(np.asarray(ImageChops.difference(seen, same))) < 12


@settings(max_examples=30, deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 300), limit=st.integers(1024, 40_000))
def test_a_limit_keeps_proportions(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, limit: int
) -> None:
    path = picture(tmp_path_factory.mktemp("sizes") / "a.jpg", size=(width, height))
    seen = open_picture(path, limit)
    if width * height <= limit:
        assert seen.size == (width, height)
    else:
        assert seen.width * seen.height <= limit
        assert abs(seen.width * height - seen.height * width) <= max(width, height)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_any_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.new(mode, (50, 60)).save(path)
    assert open_picture(path).mode == open_picture(path, 1024).mode == "RGB"
    check_picture(path)


def test_a_large_photograph_is_decoded_small(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg", size=(4000, 3000), quality=90)
    seen = open_picture(path, 200_000)
    assert seen.size == (516, 387)
    whole = open_picture(path).resize(seen.size, Image.Resampling.BICUBIC)
    assert np.mean(np.asarray(ImageChops.difference(seen, whole))) < 3


def test_all_suffixes_are_pictures_that_can_be_read(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        assert open_picture(picture(tmp_path / f"a{suffix}")).size == (60, 40)


def test_a_bad_picture_is_named(tmp_path: Path) -> None:
    cut = picture(tmp_path / "cut.jpg", size=(300, 300))
    cut.write_bytes(cut.read_bytes()[:-800])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").touch()
    for name, words in (("cut.jpg", "truncated"), ("text.jpg", "no picture"), ("empty.png", "no picture"),
                        ("none.jpg", "is missing")):  # fmt: skip
        for read in (open_picture, check_picture):
            with pytest.raises(UserError, match=words) as caught:
                read(tmp_path / name)
            assert str(tmp_path / name) in str(caught.value)
            assert "\n" not in str(caught.value)
