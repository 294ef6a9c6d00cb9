"""Put VLMEvalKit's model classes around weights that are already loaded, on any device, decoding greedily.

Their constructors insist on a GPU, flash attention and weights of their own. Everything else of a class is
its own code: how it lays out a prompt, calls the processor, and tidies what comes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import BatchFeature

from benchmarks.answering.positions import check_length, read_positions
from benchmarks.answering.thoughts import Thoughts
from benchmarks.prompting.families import Family
from benchmarks.prompting.vlmevalkit_models import import_package, load_model_class
from benchmarks.questions.item import Item

# What the constructors set beside model and processor, as for a released checkpoint.
_ATTRIBUTES: dict[str, Any] = {
    "model_path": "reference", "total_pixels": None, "fps": 2, "nframe": 8, "verbose": False,
    "post_process": False, "use_vllm": False, "use_lmdeploy": False, "use_audio_in_video": False,
    "force_sample": False, "video_kwargs": {}, "resolution": 512, "dump_image_func": None,
}  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """Holds one answer, with its length in tokens (without the end token) and whether the limit cut it."""

    text: str
    tokens: int
    truncated: bool


class ModelWrapper:
    """Wraps a model object of VLMEvalKit and records its replies.

    Attributes:
        model: the object. greedy: what it takes for its weights. replies: its answers since `begin`.
    """

    def __init__(self, model: Any, greedy: "GreedyModel") -> None:
        self.model, self.greedy = model, greedy
        self.replies: list[Reply] = []
        inner = model.generate

        def generate(message: Any, dataset: str | None = None) -> str:
            greedy.item, greedy.room = self._asked[len(self.replies)]
            text: str = inner(message=message, dataset=dataset)
            self.replies.append(Reply(text, greedy.tokens, greedy.truncated))
            return text

        model.generate = generate
        self._asked: list[tuple[Item, int]] = []

    @classmethod
    def of(
        cls, model: Any, processor: Any, family: Family, ends: frozenset[int], thoughts: Thoughts
    ) -> "ModelWrapper":
        """Put VLMEvalKit's class for a family around a loaded model and its processor."""
        wrapper_class = _make_class(family)
        wrapped, greedy = wrapper_class.__new__(wrapper_class), GreedyModel(model, ends)
        vars(wrapped).update(
            _ATTRIBUTES,
            model=greedy,
            processor=_PlacedProcessor(processor, model, thoughts),
            device=model.device,
            kwargs={},
            generate_kwargs={},
            system_prompt=family.system_prompt,
            min_pixels=family.min_pixels,
            max_pixels=family.max_pixels,
            _use_custom_prompt=family.custom_prompts,
            **dict(family.attributes),
        )
        return cls(wrapped, greedy)

    def begin(self, items: Sequence[Item], rooms: Sequence[int]) -> None:
        """Forget earlier replies; `items` come next, whose answers may be `rooms` tokens long."""
        self._asked = list(zip(items, rooms, strict=True))
        self.replies = []


def _make_class(family: Family) -> Any:
    """Derive from VLMEvalKit's class one that runs here.

    Where prompts are off in the family they are off in the class, and InternVL's talks to converted
    checkpoints instead of remote code.
    """
    original = load_model_class(family.reference)
    changed: dict[str, Any] = {}
    if not family.custom_prompts:
        changed["use_custom_prompt"] = lambda self, dataset: False
    if family.name == "internvl":
        changed["generate_inner"] = _generate_internvl
    return type(original.__name__, (original,), changed)


def _generate_internvl(self: Any, message: list[dict[str, str]], dataset: str | None = None) -> str:
    """Answer as InternVLChat.generate_v2 does, with a processor of transformers in place of `model.chat`."""
    from PIL import Image

    self.set_max_num(dataset)
    paths = [part["value"] for part in message if part["type"] == "image"]
    tiles = max(1, min(self.max_num, self.total_max_num // max(1, len(paths))))
    prompt = import_package("vlm.internvl.utils").reorganize_prompt(message, len(paths), dataset=dataset)
    prompt = prompt.replace("<image>", self.processor.image_token)
    text = self.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "text", "text": prompt}]}],
        add_generation_prompt=True,
        tokenize=False,
    )
    pictures = [Image.open(path).convert("RGB") for path in paths]
    tiling = {"crop_to_patches": True, "max_patches": tiles} if pictures else {}
    inputs = self.processor(text=text, images=pictures or None, return_tensors="pt", **tiling)
    output = self.model.generate(**inputs.to("cuda"))
    answer = output[0][inputs["input_ids"].shape[1] :]
    return str(self.processor.tokenizer.decode(answer, skip_special_tokens=True))


class GreedyModel:
    """Wraps a model so that `generate` decodes greedily up to `room` tokens, whatever it is asked."""

    _IGNORED = ("max_new_tokens", "do_sample", "temperature", "top_p", "top_k", "num_beams",
              "repetition_penalty", "use_cache")  # fmt: skip

    def __init__(self, model: Any, ends: frozenset[int]) -> None:
        self.model, self.ends = model, ends
        self.room, self.tokens, self.truncated = 1, 0, False
        self.item: Item | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    @torch.inference_mode()
    def generate(self, **inputs: Any) -> Any:
        """Return token ids, the prompt's included, as transformers' own `generate` gives them."""
        model_inputs = {name: value for name, value in inputs.items() if name not in self._IGNORED}
        self._check_length(model_inputs)
        output = self.model.generate(
            **model_inputs, max_new_tokens=self.room, do_sample=False, eos_token_id=sorted(self.ends) or None
        )
        new = output[0, model_inputs["input_ids"].shape[1] :].tolist()
        ended = bool(new) and new[-1] in self.ends
        self.tokens, self.truncated = len(new) - ended, not ended
        return output

    def _check_length(self, inputs: dict[str, Any]) -> None:
        """Raise UserError for a prompt that leaves the model no position for an answer."""
        ids, limit = inputs["input_ids"], read_positions(self.model.config)
        if self.item is not None and limit is not None and ids.shape[1] >= limit:
            positions = self.model._prepare_position_ids_for_generation(ids, inputs)
            check_length(self.item, int(positions.max()) + 1, limit)


class _PlacedProcessor:
    """Wraps a processor so that inputs sent to "cuda" go where the model is, in its dtype.

    Its tokenizer keeps the tags of thoughts.
    """

    def __init__(self, processor: Any, model: Any, thoughts: Thoughts) -> None:
        self.processor, self.model = processor, model
        self.tokenizer = thoughts.wrap(processor.tokenizer)
        if thoughts.kept:
            self.decode, self.batch_decode = self.tokenizer.decode, self.tokenizer.batch_decode

    def __getattr__(self, name: str) -> Any:
        return getattr(self.processor, name)

    def __call__(self, *parts: Any, **named: Any) -> "_PlacedInputs":
        # Some classes give text and pictures in the order of an older transformers.
        for part in parts:
            named["text" if isinstance(part, str) else "images"] = part
        if not named.get("images"):
            named["images"] = None
        return _PlacedInputs(self.processor(**named), self.model)

    def apply_chat_template(self, *args: Any, **named: Any) -> Any:
        """Apply the processor's template; where it makes inputs, they are placed too."""
        output = self.processor.apply_chat_template(*args, **named)
        return _PlacedInputs(output, self.model) if isinstance(output, BatchFeature) else output


class _PlacedInputs(BatchFeature):
    """Holds inputs for `model` alone."""

    def __init__(self, inputs: Any, model: Any) -> None:
        super().__init__(dict(inputs))
        self._model = model

    def to(self, *_: Any, **__: Any) -> "_PlacedInputs":
        """Move all to the model's device, in its dtype, whatever was asked for."""
        model = self._model
        for name, value in list(self.data.items()):
            if isinstance(value, torch.Tensor):
                self.data[name] = value.to(model.device, model.dtype if value.is_floating_point() else None)
        return self
