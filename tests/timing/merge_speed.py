"""How long a merge takes and what it holds in memory: frism, mergekit and a plain copy, side by side.

    python tests/timing/merge_speed.py --shape 0.5b
    python tests/timing/merge_speed.py --shape 7b --layers 4 28 --ways copy frism

Makes random bfloat16 triples of Qwen2 models in their true shapes and runs every way of merging them as a
whole process of its own, in turn, `--runs` times; prints medians and ratios as Markdown. "copy" reads the
three models and writes one, without any arithmetic. "frism" waits until the result is on the disk; "no-sync"
(`frism merge --no-sync`), copy and mergekit leave that to the system. Its first run also hashes the triple.
Memory is the largest resident set of the process; "private" leaves out the pages of mapped files, which the
system can take back. mergekit runs in its own environment (`make parity`) with its default options. One
triple is on the disk at a time. Imports the standard library only, see whole_process.py.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from random_triples import ROLES, SHAPES, make
from whole_process import Cost, drop_from_cache, machine, measure

ROOT = Path(__file__).resolve().parents[2]
WAYS = ["copy", "mergekit", "frism", "no-sync"]
# Per method: mergekit's configuration (weights of B, V, R), ours.
_EXACT = "trimming=exact election=weighted zero_sum=positive divide_by=weights"
METHODS: dict[str, tuple[str, dict[str, float], dict[str, float], str]] = {
    "task_arithmetic": ("task_arithmetic", {"vlm": 1.0, "lrm": 0.4}, {}, "inject strength=0.4"),
    "linear": ("linear", {"base": 0.2, "vlm": 0.5, "lrm": 0.3}, {},
               "linear base_weight=0.2 vlm_weight=0.5 lrm_weight=0.3"),
    "slerp": ("slerp", {"vlm": 1.0, "lrm": 1.0}, {"t": 0.1}, "slerp t=0.1"),
    "ties": ("ties", {"vlm": 1.0, "lrm": 0.4}, {"density": 0.2}, f"ties density=0.2 lrm_weight=0.4 {_EXACT}"),
    "dare_linear": ("dare_linear", {"vlm": 1.0, "lrm": 0.4}, {"density": 0.5},
                    "dare_linear density=0.5 drop_vlm=true strength=0.4"),
    "dare_ties": ("dare_ties", {"vlm": 1.0, "lrm": 0.4}, {"density": 0.5},
                  "dare_ties density=0.5 lrm_weight=0.4 election=weighted zero_sum=positive divide_by=one"),
}  # fmt: skip
COPY = """
import sys
out, *folders, files = sys.argv[1:]
block = memoryview(bytearray(1 << 23))
for name in files.split():
    sources = [open(f"{folder}/{name}", "rb", buffering=0) for folder in folders]
    with open(f"{out}/{name}", "wb", buffering=0) as written:
        while size := max([source.readinto(block) for source in sources]):
            written.write(block[:size])
"""


@dataclass
class Way:
    """One way of merging: its command, and what its runs cost."""

    name: str
    command: list[str]
    runs: list[Cost] = field(default_factory=list)

    def median(self, what: str) -> float:
        return statistics.median(getattr(run, what) for run in self.runs)


def commands(method: str, folder: Path, ways: list[str], peers: Path, threads: int | None) -> Iterator[Way]:
    """The ways of one method; each writes below folder/out."""
    merge_method, weights, options, ours = METHODS[method]
    out = folder / "out"
    if "copy" in ways:
        shards = " ".join(sorted(path.name for path in (folder / "vlm").glob("*.safetensors")))
        models = [str(folder / role) for role in ROLES]
        yield Way("copy", [sys.executable, "-S", "-c", COPY, str(out), *models, shards])
    if "mergekit" in ways:
        config: dict[str, Any] = {
            "merge_method": merge_method,
            "models": [{"model": str(folder / r), "parameters": {"weight": w}} for r, w in weights.items()],
            "parameters": options,
        }
        if merge_method != "linear":
            config["base_model"] = str(folder / ("vlm" if merge_method == "slerp" else "base"))
        path = folder / f"{method}.yml"
        path.write_text(json.dumps(config))  # YAML holds JSON
        command = [str(peers / "mergekit/bin/mergekit-yaml"), str(path), str(out / "mergekit")]
        yield Way("mergekit", [*command, "--no-copy-tokenizer", "--quiet"])
    if {"frism", "no-sync"} & set(ways):
        name, *parameters = ours.split()
        command = [sys.executable, "-m", "frism", "merge", "--text-receiver", "--scope", "all"]
        command += [word for role in ROLES for word in (f"--{role}", str(folder / role))]
        command += ["--method", name, "--out", str(out / "frism")]
        command += [word for parameter in parameters for word in ("--set", parameter)]
        command += ["--threads", str(threads)] if threads else []
        yield from (
            Way(way, command + option)
            for way, option in (("frism", []), ("no-sync", ["--no-sync"]))
            if way in ways
        )


def run(way: Way, folder: Path, cold: bool) -> None:
    """Run one way once, into an empty output folder, with nothing left to write from before."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    os.sync()
    if cold:
        drop_from_cache([path for role in ROLES for path in (folder / role).glob("*.safetensors")])
    way.runs.append(measure(way.command, ROOT))


def table(results: list[tuple[str, list[Way]]]) -> str:
    """Medians, their range, and ratios to mergekit and to the copy."""
    rows = [
        "| method | way | s (range) | to copy | to mergekit | peak GB (private) | peak to mergekit |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, ways in results:
        by_name = {way.name: way for way in ways}
        for way in ways:
            every = [run.seconds for run in way.runs]
            cells = [method, way.name, f"{way.median('seconds'):.1f} ({min(every):.1f} to {max(every):.1f})"]
            ratios = {
                (name, what): f"{way.median(what) / other.median(what):.3f}"
                for name, other in by_name.items()
                for what in ("seconds", "peak")
            }
            cells += [ratios.get(("copy", "seconds"), ""), ratios.get(("mergekit", "seconds"), "")]
            cells += [f"{way.median('peak'):.2f} ({way.median('private'):.2f})"]
            rows.append(f"| {' | '.join([*cells, ratios.get(('mergekit', 'peak'), '')])} |")
    return "\n".join(rows)


def arguments() -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    peers = Path(os.environ.get("FRISM_PEERS") or ROOT / ".venv-peers")
    usual = ["task_arithmetic", "linear", "ties", "dare_linear"]
    add = parser.add_argument
    add("--shape", choices=SHAPES, default="0.5b")
    add("--layers", type=int, nargs="*", help="numbers of layers to compare (default: the shape's own)")
    add("--methods", nargs="+", choices=METHODS, default=usual)
    add("--ways", nargs="+", choices=WAYS, default=WAYS)
    add("--runs", type=int, default=3)
    add("--cold", action="store_true", help="drop the sources from the page cache before every run")
    add("--threads", type=int, help="frism's threads (default: its own)")
    add("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the triples go for a while")
    add("--peers", type=Path, default=peers, help="where mergekit's environment is")
    add("--json", type=Path, help="also write every single run to this file")
    given = parser.parse_args()
    if "mergekit" in given.ways and not (given.peers / "mergekit/bin/mergekit-yaml").is_file():
        sys.exit(f"error: no mergekit in {given.peers}: run `make parity`, or give --ways copy frism.")
    return given


def main() -> None:
    """Measure and print."""
    given = arguments()
    results: list[tuple[str, list[Way]]] = []
    for layers in given.layers or [None]:
        with tempfile.TemporaryDirectory(prefix="merge_speed_", dir=given.folder) as temporary:
            folder = Path(temporary)
            make(folder, given.shape, layers)
            for method in given.methods:
                ways = list(commands(method, folder, given.ways, given.peers, given.threads))
                results.append((f"{method}, {layers} layers" if layers else method, ways))
                for number in range(1, given.runs + 1):
                    for way in ways:
                        run(way, folder, given.cold)
                        print(f"{method} {way.name} run {number}: {way.runs[-1]}", file=sys.stderr)
    cache = "cold" if given.cold else "warm"
    print(f"\nShape {given.shape}, {given.runs} runs, {cache} page cache; {machine()}\n\n{table(results)}")
    if given.json:
        every = [
            {"method": method, "way": way.name} | run._asdict()
            for method, ways in results
            for way in ways
            for run in way.runs
        ]
        given.json.write_text(json.dumps(every, indent=1) + "\n")


if __name__ == "__main__":
    main()
