"""`frism check`: a file that breaks one rule is told which, in a sentence; a good one passes, anywhere."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from frism.__main__ import app

GOOD = '''"""Half way: V + `half` * tau_R.

A method file as a user would write it; no deviation.
"""

from frism.method import Array, Fraction, Site

ELEMENTWISE = True


def merge(site: Site, *, half: Fraction = 0.5) -> Array:
    """One tensor."""
    return site.vlm + half * site.tau_r
'''
RETURN = "    return site.vlm + half * site.tau_r\n"

# What is changed in the good file, and what is then said of it.
BROKEN = {
    "no docstring": ((GOOD[: GOOD.index("from")], ""), "has no docstring"),
    "no source": (("\n\nA method file as a user would write it; no deviation.\n", ""), "no more than the"),
    "long label": (("Half way:", "Half way " * 10 + ":"), "its label, the first line up to ':' or '.', has"),
    "undocumented": (("`half` *", "a half of"), "parameter 'half' is not documented"),
    "no return type": ((" -> Array", ""), "merge has no return type"),
    "no type": (("half: Fraction", "half"), "'half' of merge needs a type"),
    "no default": (("Fraction = 0.5", "Fraction"), "'half' of merge has no default"),
    "default out of range": (("= 0.5", "= 1.5"), "'half' must be a number of at least 0 and at most 1"),
    "not finite": ((RETURN, "    return site.vlm / 0 * half\n"), "returned NaN or infinite values"),
    "not fp32": ((RETURN, "    return site.vlm.double() * half\n"), "not [5] torch.float32"),
    "other shape": ((RETURN, "    return site.vlm[:1]\n"), "returned [1]"),
    "not repeatable": (
        (RETURN, "    import torch\n    return site.vlm + half * torch.rand(site.vlm.shape)\n"),
        "another result when it is run again",
    ),
    "changes inputs": ((RETURN, "    return site.vlm.mul_(half)\n"), "merge changes its inputs"),
    "not elementwise": ((RETURN, "    return site.vlm * half / site.vlm.norm()\n"), "drop ELEMENTWISE"),
    "no identity": (("ELEMENTWISE = True", 'IDENTITY = {"half": 1.0}'), "at IDENTITY {'half': 1.0} is not V"),
    "undeclared seed": ((RETURN, "    site.rng\n" + RETURN), "reads site.rng: add 'seed' to its NEEDS"),
    "undeclared spectrum": ((RETURN, "    site.spectrum\n" + RETURN), "add 'spectrum' to its NEEDS"),
    "undeclared base": (("ELEMENTWISE = True", 'READS = {"vlm", "lrm"}'), "add 'base' to its READS"),
    "unknown need": (("ELEMENTWISE = True", 'NEEDS = {"labels"}'), "NEEDS is 'labels': choose from"),
    "dishonest range": ((RETURN, "    return site.vlm + site.tau_r / half\n"), "at half = 0.0, which its"),
    "random fit": (
        (RETURN, RETURN + "\n\ndef fit(fitting) -> Fitted:\n    import torch\n"
                 '    return Fitted(model={"a": torch.rand(1)})\n'),
        "fit gives another result when it is run again",
    ),
    "no Fitted": ((RETURN, RETURN + "\n\ndef fit(fitting) -> dict:\n    return {}\n"), "fit returned dict"),
    "fails": ((RETURN, "    return site.vlm + undefined\n"), "fails with NameError"),
}  # fmt: skip


def run(path: Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check", str(path)])
    return done.exit_code, done.output


def test_a_good_file_anywhere_passes(tmp_path: Path) -> None:
    (tmp_path / "half_way.py").write_text(GOOD)
    code, said = run(tmp_path / "half_way.py")
    assert code == 0, said
    assert "Half way keeps the contract" in said


@pytest.mark.parametrize("rule", BROKEN)
def test_a_file_that_breaks_one_rule_is_told_which(rule: str, tmp_path: Path) -> None:
    (old, new), expected = BROKEN[rule]
    assert old in GOOD
    source = GOOD.replace(old, new).replace("import Array,", "import Array, Fitted,")
    path = tmp_path / f"broken_{rule.replace(' ', '_')}.py"
    path.write_text(source)
    code, said = run(path)
    assert code == 1
    assert str(path) in said
    assert expected in said


def test_arithmetic_that_numpy_does_not_know_is_told(tmp_path: Path) -> None:
    source = GOOD.replace("ELEMENTWISE", "ARITHMETIC").replace("site.tau_r\n", "site.tau_r.relu()\n")
    (tmp_path / "broken_numpy.py").write_text(source)
    code, said = run(tmp_path / "broken_numpy.py")
    assert code == 1
    assert "fails with AttributeError" in said


def test_a_method_that_learns_is_read_but_not_run(tmp_path: Path) -> None:
    (tmp_path / "learns.py").write_text(
        GOOD.replace("ELEMENTWISE = True", 'NEEDS = {"calibration"}').replace("Array,", "Array, Fitted,")
        + "\n\ndef fit(fitting) -> Fitted:\n    raise AssertionError\n"
    )
    code, said = run(tmp_path / "learns.py")
    assert code == 0, said
    assert "not run: it is fitted with calibration questions" in said


def test_no_such_file(tmp_path: Path) -> None:
    code, said = run(tmp_path / "absent.py")
    assert code == 1
    assert "is not a file" in said
