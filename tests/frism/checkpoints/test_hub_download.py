"""Downloads from a small server on this machine that answers as the model hub does."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
COMMIT = "a" * 40
FILES = {
    "config.json": b"{}", "model.safetensors": b"weights", "tokenizer.model": b"pieces",
    "README.md": b"prose", "chat_template.jinja": b"template", "pytorch_model.bin": b"pickle",
    "consolidated.safetensors": b"copy",
    "original/model.safetensors": b"copy", "picture.png": b"pixels",
}  # fmt: skip


class Hub(http.server.BaseHTTPRequestHandler):
    """owner/tiny with one commit, owner/gated behind terms, nothing else."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/owner/gated"):
            return self._send(403, b"", body, {"X-Error-Code": "GatedRepo"})
        if path.endswith("/revision/absent"):
            return self._send(404, b"", body, {"X-Error-Code": "RevisionNotFound"})
        if path.startswith("/api/models/owner/tiny/tree/"):
            rows = [{"type": "file", "path": name, "size": len(content), "oid": sha1(content)}
                    for name, content in FILES.items()]  # fmt: skip
            return self._send(200, json.dumps(rows).encode(), body)
        if path.startswith("/api/models/owner/tiny"):
            siblings = [{"rfilename": name} for name in FILES]
            found = {"id": "owner/tiny", "sha": COMMIT, "siblings": siblings, "tags": []}
            return self._send(200, json.dumps(found).encode(), body)
        if path.startswith(f"/owner/tiny/resolve/{COMMIT}/"):
            content = FILES[path.partition(f"/{COMMIT}/")[2]]
            headers = {"ETag": f'"{sha1(content)}"', "X-Repo-Commit": COMMIT}
            return self._send(200, content, body, headers)
        return self._send(404, b"", body, {"X-Error-Code": "RepoNotFound"})

    def _send(self, code: int, content: bytes, body: bool, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def locate(endpoint: str, cache: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        "from frism.errors import report_errors\nfrom frism.checkpoints.hub import locate\n"
        f"with report_errors():\n    print(locate({arguments}))"
    )
    environment = os.environ | {
        "HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0", "PYTHONPATH": str(ROOT),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }  # fmt: skip
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


@pytest.mark.parametrize(
    ("arguments", "pickles"),
    [("'owner/tiny'", []), ("'owner/tiny', 'v1', allow_pickle=True", ["pytorch_model.bin"])],
)
def test_only_what_is_needed_is_downloaded(
    endpoint: str, tmp_path: Path, arguments: str, pickles: list[str]
) -> None:
    result = locate(endpoint, tmp_path, arguments)
    assert result.returncode == 0, result.stderr
    folder = Path(result.stdout.strip())
    assert folder.name == COMMIT
    expected = ["README.md", "chat_template.jinja", "config.json", "model.safetensors", "tokenizer.model"]
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == sorted(expected + pickles)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("owner/absent", "owner/absent is neither a folder nor a model on the hub"),
        ("owner/gated", "owner/gated is gated on the hub: accept its terms there"),
        ("owner/tiny@absent", "owner/tiny has no revision absent on the hub"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(
    endpoint: str, tmp_path: Path, source: str, sentence: str
) -> None:
    result = locate(endpoint, tmp_path, repr(source))
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {sentence}")
    assert result.stderr.count("\n") == 1


def test_a_hub_out_of_reach_is_one_sentence(tmp_path: Path) -> None:
    result = locate("http://127.0.0.1:9", tmp_path, "'owner/tiny'")
    assert result.returncode == 2
    assert "the hub cannot be reached" in result.stderr
    assert result.stderr.count("\n") == 1
