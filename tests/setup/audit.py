"""List what the environment is made of: every package with its licence, and its known vulnerabilities.

    python tests/setup/audit.py --of .venv --out audit       (`make audit`)

Writes audit/packages.csv, audit/audit.md and, where a service answers, audit/vulnerabilities.json. It never
fails: an advisory against a pin is for people to judge, and that a service cannot be reached is said.
"""

import argparse
import csv
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SERVICES = ("pypi", "osv")
SECONDS = 180  # for one service, which may not be there
# Licences that ask for more than to be named when a work is passed on.
COPYLEFT = ("GPL", "AGPL", "LGPL", "MPL", "EPL", "CDDL", "EUPL")
UNKNOWN = "not stated"


def list_packages(site: Path) -> list[dict[str, str]]:
    """Name, version and licence of every package in a folder of site-packages."""
    rows = []
    for found in importlib.metadata.distributions(path=[str(site)]):
        name = found.metadata["Name"]
        rows.append({"package": name, "version": found.version, "licence": read_licence(found.metadata)})
    return sorted(rows, key=lambda row: row["package"].lower())


def read_licence(metadata: Any) -> str:
    """The licence by its expression, else by the classifiers, else by the first line of the free field."""
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [line for line in metadata.get_all("Classifier") or () if line.startswith("License ::")]
    named = [line.rpartition(" :: ")[2] for line in classifiers if line.count(" :: ") > 1]
    if named:
        return "; ".join(named)
    first = (metadata.get("License") or "").strip().partition("\n")[0].strip()
    return first[:80] or UNKNOWN


def ask_vulnerabilities(site: Path) -> tuple[list[dict[str, str]] | None, str]:
    """The advisories against the packages, and which service said so; None where none could be asked."""
    reasons = []
    for service in SERVICES:
        command = [sys.executable, "-m", "pip_audit", "--path", str(site), "--format", "json",
                   "--progress-spinner", "off", "--vulnerability-service", service, "--timeout",
                   "15"]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            reasons.append(f"{service} did not answer within {SECONDS} s")
            continue
        try:
            content = json.loads(done.stdout)
        except ValueError:
            reasons.append(f"{service}: {(done.stderr.strip().splitlines() or ['nothing said'])[-1][:160]}")
            continue
        return [
            {"package": one["name"], "version": one["version"], "advisory": advisory["id"],
             "fixed in": ", ".join(advisory["fix_versions"]) or "-"}
            for one in content["dependencies"] for advisory in one.get("vulns", ())
        ], service  # fmt: skip
    return None, "; ".join(reasons)


def write_report(packages: list[dict[str, str]], advisories: list[dict[str, str]] | None, said: str) -> str:
    """The page: licences by number, what is copyleft or unknown by name, and the advisories."""
    licences: dict[str, list[str]] = {}
    for row in packages:
        licences.setdefault(row["licence"], []).append(row["package"])
    lines = [f"# Audit: {len(packages)} packages", "", "| licence | packages |", "|---|---:|"]
    for licence, names in sorted(licences.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        lines.append(f"| {licence.replace('|', '/')} | {len(names)} |")
    asking = [r for r in packages if r["licence"] == UNKNOWN or any(c in r["licence"] for c in COPYLEFT)]
    lines += ["", "Copyleft or not stated:", ""]
    lines += [f"- {row['package']} {row['version']}: {row['licence']}" for row in asking] or ["- none"]
    lines += ["", "## Known vulnerabilities", ""]
    if advisories is None:
        lines.append(f"Not known: no service could be asked ({said}).")
    elif not advisories:
        lines.append(f"None by {said}.")
    else:
        lines += [
            f"{len(advisories)} by {said}:",
            "",
            "| package | version | advisory | fixed in |",
            "|---|---|---|---|",
        ]
        lines += [f"| {' | '.join(row.values())} |" for row in advisories]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Audit an environment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--of", type=Path, required=True, help="the virtual environment")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write into")
    arguments = parser.parse_args()
    (site,) = (arguments.of / "lib").glob("python3.*/site-packages")
    packages = list_packages(site)
    advisories, said = ask_vulnerabilities(site)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / "packages.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["package", "version", "licence"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(packages)
    if advisories is not None:
        (arguments.out / "vulnerabilities.json").write_text(json.dumps(advisories, indent=1) + "\n")
    report = write_report(packages, advisories, said)
    (arguments.out / "audit.md").write_text(report, encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
