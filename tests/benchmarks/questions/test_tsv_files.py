"""TSVs in a data folder: checked by their hashes, never overwritten; downloads from local servers."""

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.questions import tsv_files
from benchmarks.registry import vlmevalkit_names
from benchmarks.registry.lookup import find
from benchmarks.tools import data
from frism.errors import UserError
from tests.benchmarks.conftest import invoke, refused
from tests.support import tsvs

ROOT = Path(__file__).resolve().parents[3]


class Server(http.server.BaseHTTPRequestHandler):
    """Files as a plain web server and as the hub give them; /cut/ breaks off in the middle."""

    content = b""

    def do_HEAD(self) -> None:
        self._head()

    def do_GET(self) -> None:
        self._head()
        self.wfile.write(self.content[: len(self.content) // 2] if "/cut/" in self.path else self.content)

    def _head(self) -> None:
        found = self.path.endswith(".tsv") and "/absent/" not in self.path
        self.send_response(200 if found else 404)
        headers = {"Content-Length": len(self.content) if found else 0, "ETag": f'"{"e" * 40}"',
                   "X-Repo-Commit": "a" * 40, "Connection": "close"}  # fmt: skip
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    Server.content = tsvs.make("POPE", tmp_path_factory.mktemp("published"), 12).read_bytes()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def published_at(monkeypatch: pytest.MonkeyPatch):
    """A function that gives POPE another address and md5 (by default the right one)."""

    def put(url: str, md5: str | None = "right") -> None:
        md5 = hashlib.md5(Server.content).hexdigest() if md5 == "right" else md5
        entry = vlmevalkit_names.DeclaredDataset(
            "POPE", "ImageYORNDataset", "IMAGE", "ImageYORNDataset", url, md5
        )
        monkeypatch.setattr(vlmevalkit_names, "find", lambda name: entry)

    return put


def test_a_file_that_is_not_the_published_one_is_refused_and_kept(tmp_path: Path) -> None:
    path = tsvs.make("POPE", tmp_path, 12)
    before = path.read_bytes()
    sha256, md5 = hashlib.sha256(before).hexdigest(), hashlib.md5(before).hexdigest()
    known = vlmevalkit_names.find("POPE")
    assert known is not None
    with pytest.raises(UserError, match=rf"POPE\.tsv has md5 {md5}, not {known.md5}.*pin it: .*{sha256}"):
        tsv_files.check(find("POPE"), tsv_files.locate(find("POPE"), tmp_path))
    with pytest.raises(UserError, match="has md5"):
        tsv_files.fetch(find("POPE"), tmp_path)
    assert path.read_bytes() == before


def test_a_pinned_digest_decides_alone(tmp_path: Path) -> None:
    path = tsvs.make("POPE", tmp_path, 12)
    definition = find(tsvs.pinned(path))
    found = tsv_files.check(definition, path)
    assert (found.path, found.size) == (path, path.stat().st_size)
    assert found.sha256 == definition.sha256["tsv"]
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(
        UserError, match=rf"POPE\.tsv has sha256 \w+, not {found.sha256} as benchmark POPE says"
    ):
        tsv_files.check(definition, path)


def test_a_missing_file_is_named_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"POPE\.tsv is missing: .*benchmarks\.tools\.data --benchmarks POPE --folder"
    ):
        tsv_files.locate(find("POPE"), tmp_path)
    with pytest.raises(UserError, match=r"needs POPE\.tsv: name the folder"):
        tsv_files.locate(find("POPE"), None)


def test_the_address_name_counts_too(tmp_path: Path) -> None:
    """VLMEvalKit publishes MathVerse_MINI_Vision_Only as MathVerse_MINIVOnly.tsv."""
    path = tsvs.make("MathVerse_MINI_Vision_Only", tmp_path, 3)
    path.rename(tmp_path / "MathVerse_MINIVOnly.tsv")
    for name in ("MathVerse_MINI_Vision_Only", "MathVerse_MINI_Vision_Only_cot"):
        assert tsv_files.locate(find(name), tmp_path).name == "MathVerse_MINIVOnly.tsv"


def test_a_download_is_checked_before_it_counts(tmp_path: Path, address: str, published_at) -> None:
    published_at(f"{address}/utils/POPE.tsv")
    found = tsv_files.fetch(find("POPE"), tmp_path / "new")
    assert found.path.read_bytes() == Server.content
    Server.content, before = b"other", Server.content
    try:
        assert tsv_files.fetch(find("POPE"), tmp_path / "new").sha256 == found.sha256, (
            "it is there: nothing is fetched"
        )
    finally:
        Server.content = before


@pytest.mark.parametrize(
    ("place", "md5", "complaint"),
    [
        ("utils", "0" * 32, r"gave another file than expected, nothing is kept: .*has md5"),
        ("cut", None, "broke off after"),
        ("absent", None, "cannot fetch .*404"),
    ],
)
def test_a_failed_download_leaves_nothing(
    tmp_path: Path, address: str, published_at, place: str, md5: str | None, complaint: str
) -> None:
    published_at(f"{address}/{place}/POPE.tsv", md5)
    with pytest.raises(UserError, match=complaint):
        tsv_files.fetch(find("POPE"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_address_and_no_server(tmp_path: Path, published_at) -> None:
    published_at("")
    with pytest.raises(UserError, match=r"names no TSV to download for POPE: put POPE\.tsv into"):
        tsv_files.fetch(find("POPE"), tmp_path)
    published_at("http://127.0.0.1:9/POPE.tsv")
    with pytest.raises(UserError, match="cannot fetch"):
        tsv_files.fetch(find("POPE"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_from_the_hub(tmp_path: Path, address: str) -> None:
    """AMBER lies on the hub; here on a server that answers as the hub does."""
    code = (
        "from benchmarks.questions import tsv_files as data; from benchmarks.registry.lookup import find\n"
        "from benchmarks.registry import vlmevalkit_names as declared\n"
        "import dataclasses, pathlib, sys\n"
        "known = declared.find('AMBER'); assert 'huggingface' in known.url\n"
        "declared.find = lambda name: dataclasses.replace(known, md5=None)\n"
        "print(data.fetch(find({'name': 'AMBER', 'axis': 'perception'}), sys.argv[1]).sha256)"
    )
    environment = os.environ | {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
                                "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}  # fmt: skip
    command = [sys.executable, "-c", code, str(tmp_path / "data")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == hashlib.sha256(Server.content).hexdigest()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["AMBER.tsv"]


def test_command_line(tmp_path: Path, address: str, published_at) -> None:
    published_at(f"{address}/utils/POPE.tsv")
    done = invoke(data.main, "--benchmarks", "POPE,gsm8k", "--folder", tmp_path)
    assert done.exit_code == 0, done.stderr
    digest = hashlib.sha256(Server.content).hexdigest()
    assert f"POPE.tsv, 0.0 MB, sha256 {digest}" in done.stdout and "gsm8k: no TSV" in done.stdout
    (tmp_path / "POPE.tsv").write_text("index\n")
    assert refused(invoke(data.main, "--benchmarks", "POPE", "--folder", tmp_path), "has md5")
