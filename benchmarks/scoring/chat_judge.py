"""Ask a language model as judge: any OpenAI-compatible server, every reply kept in an append-only file.

A reply is looked up by a hash of everything that it depends on: address, model, prompt version, temperature,
token limit, system prompt and prompt. So a second scoring asks nothing, and another model's replies are
never taken for this one's.
"""

import hashlib
import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.study.judge_settings import JudgeSettings
from frism.errors import UserError
from frism.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd
    from openai.types.chat import ChatCompletionMessageParam

EXTRACT = (
    "Below are a question and a response to it. Write down the response's final answer, and nothing else: an"
    " option's letter where the question gives options, else a number, formula, word or phrase. Do not solve"
    " the question, and do not correct the response. If the response gives no final answer, write: none.\n\n"
    "[Question]\n{question}\n\n[Response]\n{response}\n\n[Final answer]\n"
)


class PerThread:
    """Holds a row per thread, for judges that are asked by several."""

    def __init__(self) -> None:
        self._local = threading.local()

    @property
    def row(self) -> "pd.Series | None":
        """The row that this thread asks about."""
        return getattr(self._local, "row", None)

    @row.setter
    def row(self, row: "pd.Series | None") -> None:
        self._local.row = row


class ChatJudge(PerThread):
    """Judges with a model behind an OpenAI-compatible server.

    Attributes:
        unread: (question's index, prompt) that VLMEvalKit asked again, because it could not read the reply;
            the reply stays the same, and the question is then wrong.
        requests: how many were made; replies from the file do not count.

    Raises UserError when the file is broken and, on use, when the server does not answer.
    """

    def __init__(self, settings: JudgeSettings, cache: Path) -> None:
        super().__init__()
        import openai

        self.settings, self.cache = settings, cache
        self.name, self.workers = "judge", settings.workers
        self.system_prompt: str | None = None
        self.max_tokens: int | None = None
        self.unread: set[tuple[str, str]] = set()
        self.requests = 0
        self._prompts: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._replies = _read(cache)
        self._client = openai.OpenAI(
            base_url=settings.address,
            api_key=os.environ.get(settings.key_variable) or "none",
            max_retries=settings.retries,
            timeout=settings.timeout,
        )

    def working(self) -> bool:
        """Return True: a server that does not answer is an error, not a reason for other rules."""
        return True

    def generate(self, prompt: str, **_: Any) -> str:
        """Reply to a prompt of VLMEvalKit's, whose rising temperatures are not followed."""
        index = "" if self.row is None else str(self.row.get("index", ""))
        with self._lock:
            (self.unread if (index, prompt) in self._prompts else self._prompts).add((index, prompt))
        return self.ask(prompt)

    def extract(self, question: str, response: str) -> str | None:
        """Extract a response's final answer with our own prompt; None when the judge finds none."""
        reply = self.ask(EXTRACT.format(question=question, response=response)).strip()
        return None if reply.strip(" .").lower() == "none" or not reply else reply

    def extract_all(self, pairs: Sequence[tuple[str, str]]) -> list[str | None]:
        """Extract the answers of (question, response) pairs, several at a time."""
        self.system_prompt = self.max_tokens = None
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(lambda pair: self.extract(*pair), pairs))

    def ask(self, prompt: str) -> str:
        """Return the model's reply, from the file if it is there."""
        question = {
            **self.settings.identity,
            "max_tokens": self.max_tokens,
            "system_prompt": self.system_prompt,
            "prompt": prompt,
        }
        key = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:32]
        with self._lock:
            if key in self._replies:
                return self._replies[key]
        reply, details = self._request(prompt)
        with self._lock:
            self.requests += 1
            self._replies[key] = reply
            self._append({"key": key, "reply": reply, **details})
        return reply

    def _request(self, prompt: str) -> tuple[str, dict[str, str | int | None]]:
        """Ask the server: the reply, and the model and number of tokens that it reports."""
        import openai

        messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": prompt}]
        if self.system_prompt:
            messages.insert(0, {"role": "system", "content": self.system_prompt})
        settings = self.settings
        try:
            answer = self._client.chat.completions.create(
                model=settings.model,
                messages=messages,
                temperature=settings.temperature,
                max_tokens=openai.omit if self.max_tokens is None else self.max_tokens,
            )
        except openai.OpenAIError as error:
            raise UserError(
                f"the judge {settings.model} at {settings.address} does not answer ({error}): check that the"
                " server runs, and score again; finished replies are kept."
            ) from None
        reply = answer.choices[0].message.content if answer.choices else None
        if reply is None:
            raise UserError(
                f"the judge {settings.model} at {settings.address} sent an empty reply: score again."
            )
        return reply, {"model": answer.model, "tokens": answer.usage.total_tokens if answer.usage else None}

    def _append(self, line: dict[str, str | int | None]) -> None:
        try:
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            with self.cache.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise UserError(
                f"cannot write {self.cache} ({error.strerror}): make room and score again."
            ) from error


def _read(path: Path) -> dict[str, str]:
    """Read replies by key, and remove a last line that was cut off. Raises UserError for a broken one."""
    if not path.is_file():
        return {}
    content = path.read_bytes().decode("utf-8", errors="replace")
    whole, _, rest = content.rpartition("\n")
    replies: dict[str, str] = {}
    for number, line in enumerate(whole.split("\n") if whole else [], 1):
        try:
            stored = json.loads(line)
            replies[stored["key"]] = str(stored["reply"])
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{path}, line {number} is not a judge's reply: delete the line and score again."
            ) from None
    if rest:
        with atomic_write(path) as temporary:
            temporary.write_text(whole + "\n" if whole else "", encoding="utf-8")
    return replies
