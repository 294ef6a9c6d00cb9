"""Start `vllm serve` on a free port of loopback, turn it into variants over HTTP, and end it with the job.

Its development routes let anyone who reaches the port call methods of its workers, hence loopback alone.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.answering.swapping import Swapper
from benchmarks.answering.vllm_model import (
    PICTURES,
    WORKER,
    check_installed,
    choose_length,
    make_arguments,
    make_environment,
)
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

MODEL = "variant"  # the name under which it is served
PATIENCE = 3600.0  # seconds until a server that still lives must be ready
_ROOT = Path(__file__).resolve().parents[2]


class VllmServer:
    """A `vllm serve` of this job; it starts with the first questions and again for longer ones.

    Args:
        folder: of the checkpoint that is loaded. triple: whose V that is; None where it stays what it is.
        positions: that the model was made for. probe: token ids of a prompt in words.
        pictures: whether the model sees any.

    Raises UserError when vLLM is not installed.
    """

    def __init__(
        self,
        folder: Path,
        settings: EngineSettings,
        positions: int | None,
        probe: Sequence[int] = (),
        triple: Triple | None = None,
        *,
        pictures: bool = True,
    ) -> None:
        check_installed()
        self.folder, self.settings, self.positions = folder, settings, positions
        self.length, self._pictures = 0, pictures
        self.address = ""  # of its API, while it runs
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Path | None = None
        self._scratch = tempfile.TemporaryDirectory(prefix="served-")
        self._swapper = Swapper(triple, settings.dtype, list(probe)) if triple is not None else None

    def become(self, recipe: Recipe, fitted: Fitted | None, spectra: Path | None) -> None:
        """Turn into a variant of the triple. Raises UserError as `VllmModel.become`."""
        if self._swapper is None:
            raise ValueError("a server without a triple is what it was loaded from")
        self._swapper.want(recipe, fitted, spectra)
        if self._process is not None:
            self._swapper.swap(self)

    def reserve(self, length: int) -> None:
        """See to it that it runs, for prompts with answers of `length` tokens, as the wanted variant."""
        wanted = choose_length(self.settings, length, self.positions)
        if self._process is None or wanted > self.length:
            self.close()
            self._start(wanted)
            if self._swapper is not None:
                self._swapper.begin(self)
        if self._swapper is not None:
            self._swapper.swap(self)

    def check(self) -> None:
        """Raise UserError after a swap that failed, and where the server has ended."""
        if self._swapper is not None:
            self._swapper.check()
        if self._process is None or self._process.poll() is not None:
            raise self._explain_end()

    def close(self) -> None:
        """End the server and all that it started."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process, self.length, self.address = None, 0, ""

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        ends: Sequence[int],
        drawn: Sequence[Mapping[str, Any]] = (),
    ) -> list[tuple[list[int], bool]]:
        """Go on with prompts in words, given as token ids; see `VllmEngine.complete`."""
        self.reserve(max((len(p) + n for p, n in zip(prompts, limits, strict=True)), default=1))
        self.check()
        stops = sorted(ends)

        def ask(prompt: Sequence[int], limit: int, further: Mapping[str, Any]) -> tuple[list[int], bool]:
            body = {
                "model": MODEL, "prompt": list(prompt), "max_tokens": limit,
                **{"temperature": 0, "seed": 0, **further},
                "stop_token_ids": stops, "ignore_eos": True, "return_token_ids": True,
                "repetition_penalty": 1.0,
            }  # fmt: skip
            choice = self._post("/v1/completions", body)["choices"][0]
            return list(choice["token_ids"]), choice["finish_reason"] == "length"

        with ThreadPoolExecutor(max(1, self.settings.workers)) as pool:
            return list(pool.map(ask, prompts, limits, drawn or [{}] * len(prompts)))

    # --- what swaps are made of ---

    def call(self, method: str, **arguments: Any) -> list[Any]:
        """Call a method of `VariantWorker` in every worker."""
        found = self._post("/collective_rpc", {"method": method, "kwargs": arguments})
        return list(found.get("results", [])) if isinstance(found, dict) else []

    def forget(self) -> None:
        """Reset the caches that depend on weights. Raises UserError when requests are under way."""
        if not (self._post("/reset_prefix_cache") or {}).get("success"):
            raise UserError("vLLM's server is still busy with another variant's questions: wait for them.")
        self._post("/reset_encoder_cache")

    def ask_probe(self, tokens: list[int]) -> list[float]:
        """Return the log-probabilities of a prompt's tokens, after the first."""
        body = {"model": MODEL, "prompt": tokens, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
        rows = self._post("/v1/completions", body)["choices"][0]["prompt_logprobs"]
        return [float(row[str(token)]["logprob"]) for token, row in zip(tokens[1:], rows[1:], strict=True)]

    def _post(self, route: str, body: dict[str, Any] | None = None) -> Any:
        import httpx

        try:
            reply = httpx.post(self.address + route, json=body, timeout=self.settings.timeout)
        except httpx.HTTPError as error:
            raise self._explain_end(str(error) or type(error).__name__) from None
        if reply.status_code != 200:
            raise UserError(
                f"vLLM's server refuses {route} ({reply.status_code}: {_find_message(reply.text)}): correct"
                " the cause and run again."
            )
        return reply.json() if reply.content.strip() else None

    def _start(self, length: int) -> None:
        import httpx

        port = _find_free_port()
        self._log = Path(self._scratch.name, "server.log")
        shown = json.dumps({"image": PICTURES, "video": 0})
        pictures = ["--limit-mm-per-prompt", shown] if self._pictures else []
        command = [
            sys.executable, "-m", "benchmarks.answering.vllm_serving", str(os.getpid()), str(self.folder),
            "--host", "127.0.0.1", "--port", str(port), "--served-model-name", MODEL,
            "--dtype", self.settings.dtype, "--seed", "0", "--max-model-len", str(length),
            "--generation-config", "vllm", "--worker-extension-cls", WORKER,
            *pictures,
            *_write_options(make_arguments(self.settings)),
        ]  # fmt: skip
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ, **make_environment(self.settings), "VLLM_SERVER_DEV_MODE": "1",
            "PYTHONPATH": os.pathsep.join(paths),
        }  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.address, self.length = f"http://127.0.0.1:{port}", length
        began = time.monotonic()
        while True:
            if self._process.poll() is not None or time.monotonic() - began > PATIENCE:
                raise self._explain_end()
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.address}/health", timeout=5).status_code == 200:
                    return
            time.sleep(0.5)

    def _explain_end(self, said: str = "") -> UserError:
        """Say that the server has ended or cannot be reached, with the last words of its log."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log else []
        errors = [line for line in lines if "Error" in line] or lines
        last = errors[-1].strip()[-300:] if errors else said
        self.close()
        return UserError(
            f"vLLM's server on {self.folder} has ended or does not answer ({last or said or 'no word'}): set"
            " engine.vllm.max_model_len or gpu_memory_utilization where memory is short, and run again."
        )


class ServerCompleter(VllmServer):
    """Goes on with prompts in words, with a server on a language model's folder."""

    def __init__(
        self, folder: Path, settings: EngineSettings, ends: frozenset[int], positions: int | None
    ) -> None:
        super().__init__(folder, settings, positions, pictures=False)


def _write_options(arguments: dict[str, Any]) -> list[str]:
    """Write arguments of `vllm.LLM` as options of `vllm serve`."""
    options: list[str] = []
    for name, value in arguments.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            options.append(f"--{option}" if value else f"--no-{option}")
        else:
            options += [f"--{option}", str(value)]
    return options


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _find_message(text: str) -> str:
    """Find what a server's error body says, in one line."""
    try:
        content = json.loads(text)
        found = content.get("error", content)
        text = str(found.get("message", found) if isinstance(found, dict) else found)
    except (ValueError, AttributeError):
        pass
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no reason given"
