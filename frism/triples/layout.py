"""Hold how a checkpoint's tensors lie in its model, and keep what was derived once in the cache folder."""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from frism.cache import cache_folder
from frism.errors import UserError
from frism.files import atomic_write, read_json

if TYPE_CHECKING:
    from frism.checkpoints.checkpoint import Checkpoint

VERSION = 3  # of what is derived: older entries of the cache are made again


class DerivationError(Exception):
    """The map cannot be derived; the message is a clause that says what was found instead.

    `unknown`: transformers does not know the type at all.
    """

    def __init__(self, clause: str, *, unknown: bool = False) -> None:
        super().__init__(clause)
        self.unknown = unknown


@dataclass(frozen=True)
class Place:
    """Say where one stored tensor goes.

    Attributes:
        part: "language model", "outside" it, or "unread" by the model.
        name: the canonical name; None outside the language model.
        parameter: the parameter of the loaded model; None where a conversion stands between.
        kind: in the language model as `frism.triples.scopes.Kind` or a few words; outside, the part's name.
        target: the parameter that a conversion fills from this tensor and perhaps others.
        slot: where that parameter holds this tensor unchanged: its canonical name, the matrix of a stack (-1
            where it is none), and the first and last row.
    """

    part: str
    name: str | None
    parameter: str | None
    kind: str
    target: str | None = None
    slot: tuple[str, int, int, int] | None = None


@dataclass(frozen=True)
class Layout:
    """Describe one checkpoint's model: its class, where its language model lies, and every stored tensor.

    Attributes:
        text_type: the `model_type` of the language model's config.
        module: the path of the language model in the loaded model.
        text_config: what `frism.triples.facts` compares, with the class's defaults filled in.
        places: by stored name, in stored order.
    """

    model_class: str
    is_vlm: bool
    text_type: str
    module: str
    text_config: dict[str, Any]
    places: dict[str, Place]


def derive_layout(checkpoint: "Checkpoint") -> Layout:
    """Return a checkpoint's layout from the cache, or derive it (seconds) and keep it there.

    Raises DerivationError with the reason when it cannot be derived.
    """
    shapes = {name: header.shape for name, header in checkpoint.tensors.items()}
    content = [VERSION, _transformers_version(), checkpoint.config, list(shapes.items())]
    key = sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    path = cache_folder() / "layouts" / f"{key}.json"
    if path.is_file():
        try:
            return _restore(read_json(path))
        except (UserError, KeyError, TypeError, ValueError):
            pass  # damaged: derive it again
    from frism.triples.derivation import derive

    layout = derive(checkpoint.folder, shapes)
    try:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(asdict(layout)), encoding="utf-8")
    except (UserError, OSError):
        pass  # a read-only home: derive it again next time
    return layout


def _restore(content: dict[str, Any]) -> Layout:
    places = {
        stored: Place(**place | {"slot": tuple(slot) if (slot := place["slot"]) else None})
        for stored, place in content.pop("places").items()
    }
    return Layout(**content, places=places)


def _transformers_version() -> str:
    from importlib.metadata import version

    return version("transformers")
