"""Say which unlabelled questions gates are learned from: the `calibration` part of a study's config."""

from typing import Literal, Self

from pydantic import Field, model_validator

from benchmarks.study.section import Section

# Fields that only some sources know; elsewhere they would be ignored without a word.
_OF = {
    "folder": ("vizwiz", "folder"),
    "dataset": ("vizwiz",),
    "split": ("vizwiz",),
    "table": ("folder",),
    "prompt": ("folder",),
    "request": ("vizwiz", "folder"),
    "max_pixels": ("vizwiz", "folder"),
    "kinds": ("miniature",),
}


class CalibrationSettings(Section):
    """Holds which unlabelled questions gates are learned from."""

    source: Literal["miniature", "vizwiz", "folder"] = Field(
        "miniature",
        description="vizwiz: VizWiz-VQA, as the paper uses; folder: any folder of pictures, with or without"
        " a table of questions; miniature: the made-up world of the miniature triple",
    )
    questions: int = Field(512, ge=1, description="how many, drawn by the study's seed")
    kinds: tuple[Literal["perception", "short chains"], ...] = Field(
        ("perception",),
        min_length=1,
        description="of the miniature's questions, which take turns: `perception`, as in the paper, and"
        " `short chains`, with a request for steps",
        exclude_if=lambda value: value == ("perception",),  # digests are older than this
    )
    folder: str | None = Field(None, description="of the pictures, or of a mirror of VizWiz-VQA")
    dataset: str | None = Field(
        None, description="instead of a folder: a data set that lies in the hub's cache, as owner/name"
    )
    split: str = Field("train", min_length=1, description="of VizWiz-VQA: train, or val to check with")
    table: str | None = Field(
        None,
        description="a file in the folder with columns image and question; null: questions.csv, .jsonl or"
        " .json where there is one",
    )
    prompt: str = Field(
        "Describe this picture in one sentence.",
        min_length=1,
        description="asked of pictures that come without a question",
    )
    request: str = Field(
        "Answer the question using a single word or phrase.",
        description="a line added to every question that comes with a picture; empty: none",
    )
    max_pixels: int | None = Field(
        None, ge=1024, description="larger pictures are shrunk to this; null: the processor's own limit"
    )

    @model_validator(mode="after")
    def _known_to_this_source(self) -> Self:
        for field, sources in _OF.items():
            if self.source not in sources and getattr(self, field) != type(self).model_fields[field].default:
                raise ValueError(f"{field} is a setting of {' and '.join(sources)}, not of {self.source}")
        if self.source == "folder" and self.folder is None:
            raise ValueError("source folder needs the folder with the pictures")
        if self.source == "vizwiz" and (self.folder is None) == (self.dataset is None):
            raise ValueError(
                "source vizwiz needs the folder of a mirror, or the name of a data set in the hub's cache"
                " (one of the two)"
            )
        return self
