"""Answer through any OpenAI-compatible server: the exported checkpoint answers behind an address.

Pictures go as PNG data URLs, brought within the family's limits; temperature 0, or a request with a seed of
its own per sample. What the server runs is the
user's word: predictions are keyed by the variant's weights and by address and model name.
"""

import base64
import io
import os
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.answering import batching
from benchmarks.answering.batching import Batch
from benchmarks.answering.cost import Cost
from benchmarks.answering.predictions import Prediction
from benchmarks.answering.rendering import list_parts, resize_pictures
from benchmarks.answering.sampling import describe_decoding, make_request
from benchmarks.answering.server_message import read_message
from benchmarks.answering.thoughts import Thoughts
from benchmarks.prompting.families import Family
from benchmarks.prompting.thinking import find_spoken
from benchmarks.questions.item import Item
from benchmarks.questions.unanswerable import UnanswerableError
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

# What servers say of one request; not of the key (401), the model's name (404) or their load (408, 409, 429),
# which concern all requests, or pass.
_REFUSALS = {400, 403, 413, 415, 422, 451}
_TOO_LONG = re.compile(
    r"context.?(?:length|window|size)|max_model_len|(?:prompt|input) is too long", re.IGNORECASE
)
_TOO_MANY_PICTURES = re.compile(r"at most (\d+) (?:image|picture)", re.IGNORECASE)  # vLLM's words
VERSION = 3  # raised when the same settings may give other predictions


class OpenAIPlan:
    """Groups and keys the questions of `OpenAIServer`, which is one; it asks no server.

    Args:
        thoughts: of the checkpoint that the server has, as far as they are known here.
    """

    def __init__(self, settings: EngineSettings, family: Family, thoughts: Thoughts | None = None) -> None:
        self.settings, self.family, self.thoughts = settings, family, thoughts or Thoughts()

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Identify what decides, beside weights and items, which answers come out."""
        return {
            "engine": f"openai {VERSION}",
            "address": self.settings.address,
            "model": self.settings.model,
            "decoding": {
                **describe_decoding(self.settings, temperature=0),
                "max_new_tokens": self.settings.max_new_tokens,
            },
            "family": self.family.fingerprint(),
            "libraries": {"openai": version("openai")},
            **self.thoughts.fingerprint,
        }

    def batches(self, items: Iterable[Item], origin: Mapping[str, Any]) -> list[Batch]:
        """Group questions whose answers are stored together."""
        return batching.make_batches(items, self.settings, origin, self.fingerprint)


class OpenAIServer(OpenAIPlan):
    """Answers items by chat completions, several requests at a time.

    Raises UserError when the client is not installed, nobody answers at the address, or the server does not
    know the model.
    """

    # A checkpoint's generation_config.json may ask for another, which servers follow at temperature 0, too.
    extra: Mapping[str, Any] = {"repetition_penalty": 1.0}

    def __init__(self, settings: EngineSettings, family: Family, thoughts: Thoughts | None = None) -> None:
        if not (settings.address and settings.model):
            raise UserError(
                "engine openai needs the server's address and its name for the model: give engine.address and"
                " engine.model, or engine.serve."
            )
        try:
            import openai
        except ImportError:
            raise UserError(
                "engine.name is openai, but its client is not installed: pip install openai."
            ) from None
        super().__init__(settings, family, thoughts)
        self.costs: list[Cost] = []
        self._failure = openai.OpenAIError
        self._client = openai.OpenAI(
            base_url=settings.address,
            # Servers without keys still want a word there.
            api_key=os.environ.get(settings.key_variable) or "none",
            max_retries=settings.retries,
            timeout=settings.timeout,
        )
        self._check(openai)

    def answers(self, batches: Sequence[Batch]) -> Iterator[list[Prediction]]:
        """Answer batches in order; questions that cannot be answered as the settings say.

        Raises UserError when a request fails after all retries, and UnanswerableError when the server refuses
        one, unless such questions are counted.
        """
        with ThreadPoolExecutor(max(1, self.settings.workers)) as pool:
            waiting: deque[Any] = deque()  # the answers of the batch at hand, and those that follow it
            upcoming = iter(batches)
            for batch in batches:
                for following in islice(upcoming, 2 - len(waiting)):
                    waiting.append(pool.map(self._ask_or_count, following.items, following.keys))
                start = time.perf_counter()
                answers = list(waiting.popleft())
                tokens = sum(prediction.tokens for prediction in answers)
                seconds = round(time.perf_counter() - start, 6)
                self.costs.append(Cost(batch.digest, len(answers), tokens, seconds, 0, 1))
                yield answers

    def become(
        self, triple: Triple, recipe: Recipe, fitted: Fitted | None = None, spectra: Path | None = None
    ) -> None:
        """Do nothing: the server runs what its address and model name stand for."""

    def close(self) -> None:
        """Close the connections; the server is somebody else's."""
        self._client.close()

    def _ask_or_count(self, item: Item, key: str) -> Prediction:
        try:
            return self._ask(item, key)
        except UnanswerableError as failure:
            if self.settings.tolerated_share is None:
                raise
            return Prediction.failed(item, key, failure)

    def _ask(self, item: Item, key: str) -> Prediction:
        start = time.perf_counter()
        messages, further = self._conversation(item)
        drawn = make_request(item, self.settings)
        if "top_k" in drawn:  # no argument of the client
            further = {**(further or {}), "top_k": drawn.pop("top_k")}
        try:
            reply = self._client.chat.completions.create(
                model=self.settings.model or "",
                messages=messages,
                **drawn,
                max_tokens=batching.get_token_limit(item, self.settings),
                extra_body=further,
            )
        except self._failure as error:
            if getattr(error, "status_code", None) in _REFUSALS:
                raise self._explain_refusal(item, error) from None
            raise UserError(
                f"{self.settings.address} did not answer question {item.index} of {item.benchmark}"
                f" ({_take_first_line(error)}): check the server and run again."
            ) from None
        if not reply.choices or reply.usage is None:
            raise UserError(
                f"{self.settings.address} answered question {item.index} of {item.benchmark} without text or"
                " token counts: use a server that follows OpenAI's chat completions."
            )
        text, tokens, truncated = self._read(item, reply)
        # A lone surrogate cannot be written to a file.
        text = text.encode("utf-8", errors="replace").decode("utf-8")
        return Prediction(item, key, text, tokens, truncated, time.perf_counter() - start)

    def _read(self, item: Item, reply: Any) -> tuple[str, int, bool]:
        """Read text, tokens without the end token, and whether the limit cut the answer."""
        choice, counted = reply.choices[0], reply.usage.completion_tokens
        truncated = choice.finish_reason == "length"
        text = self.thoughts.translate(read_message(choice.message, truncated))
        # Where the server told the thoughts apart, or dropped them, the text begins with none.
        if not text.startswith("<think>") and (truncated or find_spoken(text) != text):
            text = self.thoughts.restore(text)
        # Servers count the end token of an answer that ended by itself.
        return text, max(0, counted - (choice.finish_reason == "stop")), truncated

    def _explain_refusal(self, item: Item, error: Exception) -> UnanswerableError:
        """Say why the server refuses one request, whatever it makes of others."""
        said = _take_first_line(error).rstrip(".")
        if _TOO_LONG.search(str(error)):
            return UnanswerableError(
                "too_long",
                f"the prompt of question {item.index} of {item.benchmark} is too long for"
                f" {self.settings.model} at {self.settings.address} ({said}): leave the question out, serve"
                " the model with a longer context, or count such questions as unanswered (engine.failures).",
            )
        if allowed := _TOO_MANY_PICTURES.search(str(error)):
            shown = len(item.images)
            return UnanswerableError(
                "refused",
                f"question {item.index} of {item.benchmark} shows {shown} pictures and"
                f" {self.settings.address} takes {allowed[1]} at a time: start the server with room for more"
                f""" (vLLM: --limit-mm-per-prompt '{{"image": {shown}}}'), leave the question out, or count"""
                " such questions as unanswered (engine.failures).",
            )
        return UnanswerableError(
            "refused",
            f"{self.settings.address} refuses question {item.index} of {item.benchmark} ({said}): correct the"
            " request's cause, or count such questions as unanswered (engine.failures).",
        )

    def _conversation(self, item: Item) -> tuple[list[Any], dict[str, Any]]:
        """Return the messages, and what else the server is asked for, as to go on with an answer begun."""
        question, begun = list_parts(item)
        pictures = iter(resize_pictures(self.family, item.pictures(), item.benchmark))
        content = [
            {"type": "image_url", "image_url": {"url": _encode_picture(next(pictures))}}
            if part["type"] == "image"
            else {"type": "text", "text": part["value"]}
            for part in question
        ]
        messages: list[Any] = [{"role": "user", "content": content}]
        if self.family.system_prompt is not None:
            messages.insert(0, {"role": "system", "content": self.family.system_prompt})
        # vLLM and SGLang would leave the tags out of the text.
        further = dict(self.extra) | ({"skip_special_tokens": False} if self.thoughts.kept else {})
        if begun:
            messages.append({"role": "assistant", "content": begun})
            further |= {"continue_final_message": True, "add_generation_prompt": False}
        return messages, further

    def _check(self, openai: Any) -> None:
        try:
            known = [model.id for model in self._client.models.list()]
        except openai.NotFoundError:
            return  # a server without a list of models
        except self._failure as error:
            raise UserError(
                f"no OpenAI-compatible server answers at {self.settings.address} ({_take_first_line(error)}):"
                " start it, or correct engine.address."
            ) from None
        if self.settings.model not in known:
            raise UserError(
                f"{self.settings.address} has no model '{self.settings.model}' but {', '.join(known)}:"
                " correct engine.model."
            )


def _encode_picture(picture: Any) -> str:
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _take_first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
