"""The table of the config's keys is the one that its models give."""

from benchmarks.study.config import StudyConfig
from benchmarks.tools import config_reference
from tests.benchmarks.conftest import invoke


def test_the_readme_holds_the_table_of_the_models():
    text = config_reference.FILE.read_text(encoding="utf-8")
    assert config_reference.replace_table(text) == text, "python -m benchmarks.tools.config_reference --write"


def test_every_key_says_what_it_means():
    rows = [line.split(" | ") for line in config_reference.make_table().splitlines()[2:]]
    assert {row[0].strip("| `").partition(".")[0] for row in rows} == set(StudyConfig.model_fields)
    assert not [row[0] for row in rows if not row[1].strip()]
    defaults = {row[0].strip("| `"): row[2].strip(" |") for row in rows}
    assert defaults["engine.name"] == defaults["engine.max_new_tokens"] == "required"
    assert defaults["selection.oracle"] == "`false`" and defaults["judge.model"] == "required"


def test_it_prints_the_table():
    assert invoke(config_reference.main).stdout == config_reference.make_table()
