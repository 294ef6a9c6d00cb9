"""The software bill: every pin is in it with a licence; no advisories are told from a silent service."""

import sysconfig
from email.message import Message
from pathlib import Path

import pytest

from tests.setup import audit
from tests.setup.test_pins import ALL, canonicalize_name

SITE = Path(sysconfig.get_path("purelib"))


def test_every_pin_is_in_the_bill() -> None:
    listed = {canonicalize_name(row["package"]): row for row in audit.list_packages(SITE)}
    here = {name for name, pin in ALL.items() if ";" not in pin}
    assert here <= set(listed)
    known = [row for name, row in listed.items() if name in here and row["licence"] != audit.UNKNOWN]
    assert len(known) > 0.9 * len(here)


@pytest.mark.parametrize(
    ("fields", "licence"),
    [([("License-Expression", "MIT"), ("License", "x")], "MIT"),
     ([("Classifier", "License :: OSI Approved :: Apache Software License")], "Apache Software License"),
     ([("License", "BSD 3\n\nRedistribution ...")], "BSD 3"), ([], "not stated")],
)  # fmt: skip
def test_a_licence_is_read_where_a_package_states_it(fields: list[tuple[str, str]], licence: str) -> None:
    metadata = Message()
    for name, value in fields:
        metadata[name] = value
    assert audit.read_licence(metadata) == licence


def test_the_report_says_what_is_known_and_what_is_not() -> None:
    packages = [
        {"package": "a", "version": "1", "licence": "MIT"},
        {"package": "b", "version": "2", "licence": "LGPLv3"},
    ]
    assert "- b 2: LGPLv3" in audit.write_report(packages, [], "pypi")
    assert "None by pypi." in audit.write_report(packages, [], "pypi")
    advisory = {"package": "a", "version": "1", "advisory": "CVE-1", "fixed in": "1.1"}
    assert "| a | 1 | CVE-1 | 1.1 |" in audit.write_report(packages, [advisory], "osv")
    assert "Not known: no service could be asked (no network)" in audit.write_report(
        packages, None, "no network"
    )
