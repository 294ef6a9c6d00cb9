"""A real OpenAI-compatible server on loopback: a tiny model or a function answers its chats."""

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from PIL import Image

Reply = Callable[[dict[str, Any]], str | None]
Answer = Callable[[dict[str, Any], Mapping[str, str]], tuple[int, dict[str, Any]]]


@dataclass
class Chat:
    """What the server does.

    Attributes:
        failures: how many requests fail (503) before one is answered.
        requests: bodies of all chat requests so far.
        most: the most requests that were open at once.
    """

    model: Any
    processor: Any
    name: str = "tiny"
    failures: int = 0
    requests: list[dict[str, Any]] = field(default_factory=list)
    most: int = 0
    open: int = 0
    lock: Any = field(default_factory=threading.Lock)
    busy: Any = field(default_factory=threading.Lock)

    def reply(self, body: dict[str, Any]) -> dict[str, Any]:
        """A chat completion."""
        pictures: list[Image.Image] = []
        messages = []
        for message in body["messages"]:
            content = message["content"]
            if not isinstance(content, str):
                content = [self._part(part, pictures) for part in content]
            messages.append({"role": message["role"], "content": content})
        begun = messages.pop()["content"] if messages[-1]["role"] == "assistant" else ""
        template = self.processor.apply_chat_template
        text = template(messages, add_generation_prompt=True, tokenize=False) + begun
        with self.busy, torch.inference_mode():
            inputs = self.processor(text=text, images=pictures or None, return_tensors="pt")
            output = self.model.generate(**inputs, max_new_tokens=body["max_tokens"], do_sample=False)
        new = output[0, inputs["input_ids"].shape[1] :].tolist()
        ended = new[-1] == self.processor.tokenizer.eos_token_id
        # Servers count the end token.
        skip = body.get("skip_special_tokens", True)
        said = self.processor.tokenizer.decode(new[: len(new) - ended], skip_special_tokens=skip)
        return {
            "id": "1", "object": "chat.completion", "created": 0, "model": self.name,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": said},
                         "finish_reason": "stop" if ended else "length"}],
            "usage": {"prompt_tokens": inputs["input_ids"].shape[1],
                      "completion_tokens": len(new), "total_tokens": 0},
        }  # fmt: skip

    def _part(self, part: dict[str, Any], pictures: list[Image.Image]) -> dict[str, str]:
        if part["type"] == "text":
            return part
        content = base64.b64decode(part["image_url"]["url"].partition("base64,")[2])
        pictures.append(Image.open(io.BytesIO(content)).convert("RGB"))
        return {"type": "image"}


@contextmanager
def serving(chat: Chat) -> Iterator[str]:
    """The address of a running server that lets `chat` answer."""

    def answer(body: dict[str, Any], _: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        with chat.lock:
            chat.requests.append(body)
            chat.open += 1
            chat.most = max(chat.most, chat.open)
            failing = chat.failures > 0
            chat.failures -= failing
        try:
            return (503, {"error": {"message": "overloaded"}}) if failing else (200, chat.reply(body))
        finally:
            with chat.lock:
                chat.open -= 1

    with listening(answer, chat.name) as address:
        yield address


@contextmanager
def served(reply: Reply) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a server that says what `reply` gives (None: a 500), and the requests it has had."""
    requests: list[dict[str, Any]] = []
    lock = threading.Lock()

    def answer(body: dict[str, Any], about: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        with lock:
            requests.append(body | about)
            said = reply(body)
        if said is None:
            return 500, {"error": {"message": "down"}}
        return 200, {
            "id": "1", "object": "chat.completion", "created": 0, "model": "served",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": said},
                         "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }  # fmt: skip

    with listening(answer, "served") as address:
        yield address, requests


@contextmanager
def listening(answer: Answer, name: str) -> Iterator[str]:
    """The address of a loopback server with one model called `name`.

    `answer` gets a chat request's body, and its authorization and path; it gives status and body.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            model = {"id": name, "object": "model", "created": 0, "owned_by": "tests"}
            self._send(200, {"object": "list", "data": [model]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(*answer(body, {"authorization": self.headers["Authorization"], "path": self.path}))

        def _send(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
