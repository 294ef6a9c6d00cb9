"""VLMEvalKit's model classes around weights that are already loaded, on any device, decoding greedily.

Their constructors insist on a GPU, flash attention and weights of their own. Everything else of a class is
its own code: how it lays out a prompt, calls the processor, and tidies what comes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import BatchFeature

from benchmarks.prompting.families import Family
from benchmarks.prompting.vlmevalkit_models import model_class, package

# What the constructors set beside model and processor, as for a released checkpoint.
_ATTRIBUTES: dict[str, Any] = {
    "model_path": "reference", "total_pixels": None, "fps": 2, "nframe": 8, "verbose": False,
    "post_process": False, "use_vllm": False, "use_lmdeploy": False, "use_audio_in_video": False,
    "force_sample": False, "video_kwargs": {}, "resolution": 512, "dump_image_func": None,
}  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """One answer, with its length in tokens (without the end token) and whether it was cut at the limit."""

    text: str
    tokens: int
    truncated: bool


class ModelWrapper:
    """A model object of VLMEvalKit that remembers what it said.

    Attributes:
        model: the object. greedy: what it takes for its weights. said: its replies since `begin`.
    """

    def __init__(self, model: Any, greedy: "Greedy") -> None:
        self.model, self.greedy = model, greedy
        self.said: list[Reply] = []
        inner = model.generate

        def generate(message: Any, dataset: str | None = None) -> str:
            greedy.room = self._rooms[len(self.said)]
            text: str = inner(message=message, dataset=dataset)
            self.said.append(Reply(text, greedy.tokens, greedy.truncated))
            return text

        model.generate = generate
        self._rooms: Sequence[int] = ()

    @classmethod
    def of(cls, model: Any, processor: Any, family: Family, ends: frozenset[int]) -> "ModelWrapper":
        """VLMEvalKit's class for a family around a loaded model and its processor."""
        found = _interface(family)
        speaker, greedy = found.__new__(found), Greedy(model, ends)
        vars(speaker).update(
            _ATTRIBUTES,
            model=greedy,
            processor=_Here(processor, model),
            device=model.device,
            kwargs={},
            generate_kwargs={},
            system_prompt=family.system_prompt,
            min_pixels=family.min_pixels,
            max_pixels=family.max_pixels,
            _use_custom_prompt=family.custom_prompts,
            **dict(family.attributes),
        )
        return cls(speaker, greedy)

    def begin(self, rooms: Sequence[int]) -> None:
        """Forget what was said; the next answers may be `rooms` tokens long, in their order."""
        self._rooms = rooms
        self.said = []


def _interface(family: Family) -> Any:
    """The class, with what it needs to run: where prompts are off in the family they are off in the class,
    and InternVL's talks to converted checkpoints instead of remote code."""
    found = model_class(family.reference)
    changed: dict[str, Any] = {}
    if not family.custom_prompts:
        changed["use_custom_prompt"] = lambda self, dataset: False
    if family.name == "internvl":
        changed["generate_inner"] = _converted_internvl
    return type(found.__name__, (found,), changed)


def _converted_internvl(self: Any, message: list[dict[str, str]], dataset: str | None = None) -> str:
    """As InternVLChat.generate_v2 with a processor of transformers in place of `model.chat`."""
    from PIL import Image

    self.set_max_num(dataset)
    paths = [part["value"] for part in message if part["type"] == "image"]
    tiles = max(1, min(self.max_num, self.total_max_num // max(1, len(paths))))
    prompt = package("vlm.internvl.utils").reorganize_prompt(message, len(paths), dataset=dataset)
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


class Greedy:
    """A model whose `generate` decodes greedily up to `room` tokens, whatever it is asked."""

    _ASKED = ("max_new_tokens", "do_sample", "temperature", "top_p", "top_k", "num_beams",
              "repetition_penalty", "use_cache")  # fmt: skip

    def __init__(self, model: Any, ends: frozenset[int]) -> None:
        self.model, self.ends = model, ends
        self.room, self.tokens, self.truncated = 1, 0, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    @torch.inference_mode()
    def generate(self, **inputs: Any) -> Any:
        """Token ids, the prompt's included, as transformers' own `generate` gives them."""
        given = {name: value for name, value in inputs.items() if name not in self._ASKED}
        output = self.model.generate(
            **given, max_new_tokens=self.room, do_sample=False, eos_token_id=sorted(self.ends) or None
        )
        new = output[0, given["input_ids"].shape[1] :].tolist()
        ended = bool(new) and new[-1] in self.ends
        self.tokens, self.truncated = len(new) - ended, not ended
        return output


class _Here:
    """A processor whose inputs go where the model is, in its dtype, when they are sent to "cuda"."""

    def __init__(self, processor: Any, model: Any) -> None:
        self.processor, self.model = processor, model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.processor, name)

    def __call__(self, *parts: Any, **named: Any) -> "_Inputs":
        # Some classes give text and pictures in the order of an older transformers.
        for part in parts:
            named["text" if isinstance(part, str) else "images"] = part
        if not named.get("images"):
            named["images"] = None
        return _Inputs(self.processor(**named), self.model)

    def apply_chat_template(self, *given: Any, **named: Any) -> Any:
        """The processor's; where it makes inputs, they are placed too."""
        made = self.processor.apply_chat_template(*given, **named)
        return _Inputs(made, self.model) if isinstance(made, BatchFeature) else made


class _Inputs(BatchFeature):
    """Inputs for `model` alone."""

    def __init__(self, given: Any, model: Any) -> None:
        super().__init__(dict(given))
        self._model = model

    def to(self, *_: Any, **__: Any) -> "_Inputs":
        """On the model's device, in its dtype, whatever was asked for."""
        model = self._model
        for name, value in list(self.data.items()):
            if isinstance(value, torch.Tensor):
                self.data[name] = value.to(model.device, model.dtype if value.is_floating_point() else None)
        return self
