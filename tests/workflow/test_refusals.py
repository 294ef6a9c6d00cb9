"""A disk that refuses what Snakemake itself does ends a run in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The system's answer on a file system that became read-only, which only a superuser could set up.
DISK = """
import errno, os
remove = os.remove

def refuse(path, **options):
    if str(path).endswith("out.txt"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
    remove(path, **options)

os.remove = refuse
"""
SNAKEFILE = """
import disk
from workflow.refusals import explain_refusals

{call}

rule make:
    output: "out.txt"
    shell: "echo new > {{output}}"
"""


def run(folder: Path, call: str) -> str:
    (folder / "Snakefile").write_text(SNAKEFILE.format(call=call))
    (folder / "disk.py").write_text(DISK)
    (folder / "out.txt").write_text("old")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--forceall", "out.txt"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{folder}"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and (folder / "out.txt").read_text() == "old"
    return ended.stderr


def test_a_sentence_takes_the_place_of_a_traceback(tmp_path: Path) -> None:
    said = run(tmp_path, "explain_refusals(); explain_refusals()")
    sentences = [line.strip() for line in said.splitlines() if line.strip().startswith("error: ")]
    assert "Traceback" not in said and len(sentences) == 1, said
    assert "cannot write out.txt" in sentences[0] and "read-only" in sentences[0].lower()


def test_without_it_there_is_a_traceback(tmp_path: Path) -> None:
    assert "Traceback" in run(tmp_path, "")
