"""Pictures of every mode as people see them: on white, scaled, in the right colours."""

import base64
import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from benchmarks.answering.vlmevalkit_loop import VlmevalkitLoop
from benchmarks.prompting.families import find_family
from benchmarks.questions import item, reading, writing
from benchmarks.questions.picture_modes import to_rgb
from benchmarks.registry.lookup import find
from benchmarks.study.engine_settings import EngineSettings
from tests.support import tiny_vlms, tsvs

COLOURS = [(255, 0, 0), (0, 128, 0), (30, 60, 200), (250, 250, 250)]


def ink(mode: str) -> Image.Image:
    """Black ink on nothing: the left half is drawn, the right half transparent."""
    picture = Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 20, 20))
    if mode != "P":
        return picture.convert(mode)
    palette = Image.new("P", (40, 20), 1)
    palette.putpalette([0, 0, 0, 0, 0, 0])
    palette.paste(0, (0, 0, 20, 20))
    palette.info["transparency"] = 1
    return palette


def encode(picture: Image.Image, form: str = "PNG", **options: object) -> str:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return base64.b64encode(stream.getvalue()).decode()


def asked(folder: Path, pictures: list[str]) -> list[item.Item]:
    """Items of a table with these pictures."""
    rows = [[n, "?", "x", "y", "A", content] for n, content in enumerate(pictures)]
    folder.mkdir(exist_ok=True)
    with (folder / "MMStar.tsv").open("w", newline="") as stream:
        csv.writer(stream, delimiter="\t").writerows(
            [["index", "question", "A", "B", "answer", "image"], *rows]
        )
    definition = find(tsvs.pinned(folder / "MMStar.tsv"))
    writing.write_items(folder / "items", [definition], {"test": "all"}, data=folder)
    return reading.load_items(folder / "items", "test", ["MMStar"])["MMStar"]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_shown_on_white(tmp_path: Path, mode: str) -> None:
    (question,) = asked(tmp_path, [encode(ink(mode), **({"transparency": 1} if mode == "P" else {}))])
    (picture,) = question.pictures()
    assert picture.mode == "RGB"
    assert picture.getpixel((5, 5)) == (0, 0, 0) and picture.getpixel((35, 5)) == (255, 255, 255)


def test_half_transparent_ink_is_mixed_and_a_transparent_colour_is_white() -> None:
    assert to_rgb(Image.new("RGBA", (1, 1), (200, 0, 0, 128))).getpixel((0, 0)) == (227, 127, 127)
    keyed = Image.new("RGB", (2, 1), (9, 9, 9))
    keyed.putpixel((0, 0), (1, 2, 3))
    keyed.info["transparency"] = (9, 9, 9)
    assert [to_rgb(keyed).getpixel((x, 0)) for x in (0, 1)] == [(1, 2, 3), (255, 255, 255)]


def test_the_digests_of_ordinary_pictures_stay_what_they_were(tmp_path: Path) -> None:
    """Their predictions' keys hang on them; what is shown otherwise now has another one."""
    import hashlib

    flat = Image.new("RGB", (3, 2), (1, 2, 3))
    for picture in (flat, flat.convert("L"), flat.convert("RGBA"), flat.convert("P")):
        content = base64.b64decode(encode(picture))
        read = Image.open(io.BytesIO(content))
        head = f"{read.mode} {read.size} ".encode()
        expected = hashlib.sha256(head + read.tobytes()).hexdigest()[:16]
        assert item.digest_picture(content) == (expected, True)
    content = base64.b64decode(encode(flat, "JPEG"))
    assert item.digest_picture(content) == (hashlib.sha256(content).hexdigest()[:16], True)
    content = base64.b64decode(encode(ink("RGBA"), "WEBP", lossless=True))
    assert item.digest_picture(content)[0] != hashlib.sha256(content).hexdigest()[:16]
    # A picture whose alpha hides nothing lies in the items folder as VLMEvalKit writes it.
    (question,) = asked(tmp_path, [encode(flat.convert("RGBA"))])
    assert question.images == (item.digest_picture(base64.b64decode(encode(flat)))[0],)


def test_printers_and_measured_colours_come_out_right(tmp_path: Path) -> None:
    source = Image.new("RGB", (40, 10))
    for place, colour in enumerate(COLOURS):
        source.paste(colour, (10 * place, 0, 10 * place + 10, 10))
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(source, to_lab)
    contents = [
        encode(source.convert("CMYK"), "TIFF"), encode(lab, "TIFF"),
        encode(source.convert("CMYK"), "JPEG", quality=100, subsampling=0),
        encode(source.convert("YCbCr"), "TIFF"),
    ]  # fmt: skip
    for question in asked(tmp_path, contents):
        (picture,) = question.pictures()
        for place, colour in enumerate(COLOURS):
            found = picture.getpixel((10 * place + 5, 5))
            assert max(abs(a - b) for a, b in zip(found, colour, strict=True)) <= 8, (question.index, colour)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0, 32_768, 65_535], "uint16", [0, 128, 255]),
        ([0, 257, 514], "uint16", [0, 1, 2]),
        ([0, 100, 255], "int32", [0, 100, 255]),
        ([0, 32_768, 65_535], "int32", [0, 128, 255]),
        ([-100, 0, 100_000], "int32", [0, 0, 255]),
        ([0.0, 0.5, 1.0], "float32", [0, 128, 255]),
        ([0.0, 99.6, 255.0], "float32", [0, 100, 255]),
        ([-1.0, 0.0, 1.0], "float32", [0, 128, 255]),
        ([float("nan"), 0.5, 1.0], "float32", [0, 128, 255]),
        ([1e6, 1e6, 1e6], "float32", [0, 0, 0]),
    ],
)
def test_deep_greys_are_scaled_not_clipped(tmp_path, values, dtype, expected) -> None:
    picture = Image.fromarray(np.array([values], dtype=dtype))
    (question,) = asked(tmp_path, [encode(picture, "TIFF")])
    assert np.asarray(question.pictures()[0])[0, :, 0].tolist() == expected


def test_a_picture_named_by_its_path_is_shown_alike(tmp_path: Path) -> None:
    ink("RGBA").save(tmp_path / "ink.png")
    Image.fromarray(np.array([[0, 65_535]], dtype="uint16")).save(tmp_path / "deep.png")
    (tmp_path / "MMStar.tsv").write_text(
        "index\tquestion\tA\tB\tanswer\timage_path\n1\t?\tx\ty\tA\t['ink.png', 'deep.png']\n"
    )
    definition = find(tsvs.pinned(tmp_path / "MMStar.tsv"))
    writing.write_items(tmp_path / "items", [definition], {"test": "all"}, data=tmp_path)
    (question,) = reading.load_items(tmp_path / "items", "test", ["MMStar"])["MMStar"]
    drawn, deep = question.pictures()
    assert drawn.getpixel((35, 5)) == (255, 255, 255)
    assert [deep.getpixel((x, 0)) for x in (0, 1)] == [(0, 0, 0), (255, 255, 255)]


def test_the_reference_engine_shows_white_unless_vlmevalkits_black_is_asked_for(tmp_path: Path) -> None:
    items = asked(tmp_path, [encode(ink("RGBA")), encode(ink("RGBA").convert("RGB"))])
    model, processor = tiny_vlms.make("llava_onevision")
    shown = {}
    for transparency in ("white", "dropped"):
        settings = EngineSettings(name="vlmeval", max_new_tokens=2, transparency=transparency)
        loop = VlmevalkitLoop(model, processor, settings, find_family("llava_onevision"))
        paths: list[Image.Image] = []
        inner = loop.wrapper.model.generate

        def watch(message, dataset=None, inner=inner, paths=paths):
            paths += [Image.open(p["value"]).convert("RGB") for p in message if p["type"] == "image"]
            return inner(message=message, dataset=dataset)

        loop.wrapper.model.generate = watch
        assert len(list(loop.generate(items))) == 1
        shown[transparency] = [picture.getpixel((35, 5)) for picture in paths]
        assert ("transparency" in loop.fingerprint) == (transparency == "dropped")
    assert shown == {"white": [(255,) * 3, (0,) * 3], "dropped": [(0,) * 3, (0,) * 3]}
