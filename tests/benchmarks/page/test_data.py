"""The data of a page without a browser: columns, spans, pairs, tables, words, and what is refused."""

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.page import pairs, site
from benchmarks.page.columns import pack_numbers
from benchmarks.page.markdown import parse_inline, parse_markdown
from benchmarks.page.shards import FORMAT, parse_shard
from benchmarks.page.spans import find_span
from benchmarks.page.table_files import read_table_file, read_tables
from benchmarks.page.variant_files import sum_norms
from benchmarks.stages import page as stage
from benchmarks.tools import page as command
from benchmarks.tools import view
from frism.errors import UserError
from tests.benchmarks.conftest import invoke, refused
from tests.support.page_study import HOSTILE, make_finished


def load(made, name: str):
    return parse_shard((made.page / f"data/made_up/{name}.js").read_bytes())[1]


def unpack(column) -> np.ndarray:
    if "values" in column:
        codes = np.frombuffer(base64.b64decode(column["codes"]), "u1")
        return np.array([*column["values"], *[np.nan] * (256 - len(column["values"]))])[codes]
    return np.frombuffer(base64.b64decode(column["data"]), f"<{column['type']}").astype(float)


@given(
    st.lists(
        st.one_of(st.floats(0, 1), st.integers(0, 10**6).map(float), st.just(float("nan"))), max_size=400
    )
)
def test_numbers_come_back_as_they_were(values):
    expected = np.array(values, float)
    np.testing.assert_array_equal(unpack(pack_numbers(expected)), expected)


def test_columns_hold_every_answer(made):
    study = load(made, "study")
    for number, owner in enumerate(study["owners"]):
        columns = load(made, f"columns/{number}")
        if owner not in made.study.variants:
            continue
        scores = pd.read_csv(made.results / f"scores/{owner}.csv", keep_default_na=False)
        for name, column in (("correct", "correct"), ("raw", "correct_raw"), ("tokens", "tokens")):
            np.testing.assert_array_equal(unpack(columns[name])[: len(scores)], scores[column])
        form = unpack(columns["form"])[: len(scores)].astype(int)
        np.testing.assert_array_equal((form & 2) > 0, scores["extracted"] == "")
        np.testing.assert_array_equal((form & 8) > 0, scores["repeated"])


def test_the_first_view_needs_little(made):
    names = ["study.js"]
    size = sum((made.page / "data/made_up" / name).stat().st_size for name in names)
    front = sum(p.stat().st_size for folder in ("front", "vendor") for p in (made.page / folder).iterdir())
    assert size + front < 1_000_000


def test_a_study_of_samples_shows_their_mean_and_each_of_them(made, tmp_path):
    from benchmarks.page.asked import list_asked
    from benchmarks.page.columns import pack_owner

    copy = shutil.copytree(made.results, tmp_path / "copy")
    table = pd.read_parquet(copy / "questions.parquet")
    second = table.assign(sample=1, correct=1 - table["correct"], raw=table["raw"] + " again", vote=1)
    both = pd.concat([table.assign(sample=0, vote=0), second], ignore_index=True)
    both.to_parquet(copy / "questions.parquet", index=False)
    asked = list_asked(copy, made.study)
    columns = pack_owner(copy, "frism", asked, [])
    assert set(unpack(columns["correct"])) == {0.5}
    site.write_page([copy], tmp_path / "page")
    name, chunk = parse_shard((tmp_path / "page/data/made_up/texts/0.js").read_bytes())
    assert name == "made_up/texts/0" and {len(own) for own in chunk[0]["of"][:-2]} == {2}


def test_a_study_that_asks_the_parents_alone_in_words(tmp_path):
    """Their answers are shown, variants have none there, and pairs are compared on pictures alone."""
    results, study = make_finished(tmp_path, n=6, hostile=False, resamples=100, text_of="parents")
    site.write_page([results], tmp_path / "page")
    read = {
        name: parse_shard((tmp_path / f"page/data/made_up/{name}.js").read_bytes())[1]
        for name in ("study", "columns/0", "pairs/0")
    }
    benchmark = next(b for b in read["study"]["benchmarks"] if b["key"] == "text:mini_total")
    own = slice(benchmark["start"], benchmark["start"] + benchmark["n"])
    for number, owner in enumerate(read["study"]["owners"]):
        columns = parse_shard((tmp_path / f"page/data/made_up/columns/{number}.js").read_bytes())[1]
        assert np.isnan(unpack(columns["correct"])[own]).all() == (owner in study.variants)
    other = next(iter(read["pairs/0"].values()))
    assert other and not [key for key in other if "text" in key]


@pytest.mark.parametrize(
    ("raw", "extracted", "marked"),
    [
        ("red three . Answer three", "three", "three"),
        ("three tiles, so Three.", "three", "Three"),
        ("The answer is B. Because", "B", "B"),
        ("ABBA says so: B", "B", "B"),
        ("So \\boxed{1,200} it is", "1200", "1,200"),
        ("\U0001f600 it is seven", "seven", "seven"),
        ("<think>no, 4</think> it is 5", "5", "5"),
        ("nothing here", "seven", None),
        ("", "x", None),
        ("text", None, None),
    ],
)
def test_the_part_that_was_read_is_marked(raw, extracted, marked):
    span = find_span(raw, extracted)
    units = raw.encode("utf-16-le")
    found = None if span is None else units[2 * span[0] : 2 * span[1]].decode("utf-16-le")
    assert found == marked


@given(st.text(max_size=60), st.text(min_size=1, max_size=5))
def test_marks_lie_within_any_text(raw, extracted):
    span = find_span(raw, extracted)
    if span is not None:
        assert 0 <= span[0] < span[1] <= len(raw.encode("utf-16-le", "surrogatepass")) // 2


def test_pairs_agree_with_the_tables_and_mirror_each_other(made):
    matrices = pairs.compare_all(made.results, made.study)
    tables = read_tables(made.results / "tables")
    found = dict(pairs.list_pairs(matrices, made.study, tables))
    assert set(found) == set(made.study.variants)
    for name, kind, key in (("benchmarks", "benchmark", "{}"), ("axes", "group", "group:{}")):
        table = pd.read_csv(made.results / f"tables/{name}.csv", dtype=str, keep_default_na=False)
        for row in table[(table["p"] != "") & (table["variant"] == "frism")].to_dict("records"):
            shown = found["frism"]["vlm"][key.format(row[kind])]
            assert shown == [row[field] for field in pairs.FIELDS]
            computed = matrices[key.format(row[kind])]
            i, j = (list(made.study.variants).index(v) for v in ("frism", "vlm"))
            assert computed.p[i, j] == pytest.approx(float(row["p"]), rel=1e-3)
            assert computed.difference[i, j] == pytest.approx(float(row["difference"]), abs=6e-5)
            assert computed.low[i, j] == pytest.approx(float(row["difference_low"]), abs=0.06)
            assert str(int(computed.gained[i, j])) == row["gained"]
    one, other = found["inject"]["inject_late"], found["inject_late"]["inject"]
    for key in one:
        assert float(one[key][0]) == -float(other[key][0])
        assert one[key][3:5] == other[key][3:5] and one[key][5:] == other[key][5:][::-1]


def test_tables_are_read_as_they_stand(tmp_path: Path):
    (tmp_path / "t.csv").write_text('variant,score,low,high,n\n"a, b",0.1000,0.0500,0.1500,7\nc,,,,3\n')
    (tmp_path / "t.md").write_text("# A title\n\nA legend with `code`.\n\n| variant |\n")
    table = read_table_file(tmp_path / "t.csv")
    assert table.rows == [["a, b", "0.1000", "0.0500", "0.1500", "7"], ["c", "", "", "", "3"]]
    assert table.intervals == {1: (2, 3)} and table.numeric == [False, True, True, True, True]
    assert (table.title, table.legend) == ("A title", ["A legend with ", ["code", {}, "code"], "."])
    (tmp_path / "t.csv").write_text("a,b\n1\n")
    with pytest.raises(UserError, match="other lengths than its header"):
        read_table_file(tmp_path / "t.csv")


def test_words_become_a_tree_of_known_elements():
    text = "## A `b`\n\n- *c* <b>d</b>\n\n| e | f |\n|:--|--:|\n| 1 | 2 |\n\n"
    text += "![g](figures/g.png) [h](tables/h.md) [i](x:y)\n"
    tree = parse_markdown(text)
    assert tree[0] == ["h2", {}, "A ", ["code", {}, "b"]]
    assert "<b>" in json.dumps(tree[1]) and ["em", {}, "c"] in tree[1][2][2]
    assert ["th", {"align": "right"}, "f"] in tree[2][2][2]
    figure, link = ["figure", {"name": "g", "alt": "g"}], ["table-link", {"name": "h"}, "h"]
    assert tree[3][2:] == [figure, " ", link, " ", ["span", {}, "i"]]
    for hostile in HOSTILE:
        assert "href" not in json.dumps(parse_inline(hostile)) or "<a href" in hostile


def test_norms_are_summed_by_layer_and_module():
    names = [f"layers.{k}.{m}.weight" for k in (0, 1) for m in ("self_attn.q_proj", "mlp.up_proj")]
    summed = sum_norms(
        pd.DataFrame({"tensor": [*names, "other"], "injected_norm": [3.0, 4.0, 6.0, 8.0, 1.0]})
    )
    assert summed["layers"] == [0, 1] and summed["norm"] == [5.0, 10.0]
    assert summed["modules"] == {"q_proj": [3.0, 6.0], "up_proj": [4.0, 8.0]}


def test_a_sample_of_the_questions_is_drawn_evenly(made, tmp_path: Path):
    done = invoke(command.main, made.results, "--out", tmp_path / "page", "--questions", "35")
    assert done.exit_code == 0, done.stderr
    study = parse_shard((tmp_path / "page/data/made_up/study.js").read_bytes())[1]
    assert [one["n"] for one in study["benchmarks"]] == [5] * 7 and study["sampled"] and not study["parquet"]
    assert {one["of"] for one in study["benchmarks"]} == {20}


def test_data_alone_make_a_page_where_the_rest_is_added(made, tmp_path: Path):
    done = invoke(command.main, made.results, "--data-only", "--out", tmp_path / "data", "--questions", "35")
    assert done.exit_code == 0, done.stderr
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"data", "files"}
    site.finish_page(tmp_path / "data", ["made_up"])
    assert (tmp_path / "data/index.html").exists()
    tables = parse_shard((tmp_path / "data/data/made_up/study.js").read_bytes())[1]["tables"]
    assert "flips" not in [table["name"] for table in tables]


def test_the_page_is_the_same_bytes_again(made, tmp_path: Path):
    site.write_page([made.results], tmp_path / "page")
    files = sorted(path.relative_to(made.page) for path in made.page.rglob("*") if path.is_file())
    assert files == sorted(
        p.relative_to(tmp_path / "page") for p in (tmp_path / "page").rglob("*") if p.is_file()
    )
    for name in files:
        assert (tmp_path / "page" / name).read_bytes() == (made.page / name).read_bytes(), name


def test_an_earlier_page_is_replaced_and_stays_when_it_cannot_be(made, tmp_path: Path, monkeypatch):
    page = shutil.copytree(made.page, tmp_path / "page")
    (page / "data/made_up/old.js").write_text("")
    (tmp_path / ".page.999999999.0000.part").mkdir()
    site.write_page([made.results], page)
    assert not (page / "data/made_up/old.js").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["page"]
    monkeypatch.setattr(site, "finish_page", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(UserError, match="the disk is full"):
        site.write_page([made.results], page)
    assert (page / "index.html").exists() and [path.name for path in tmp_path.iterdir()] == ["page"]


def test_faults_are_one_sentence(made, tmp_path: Path):
    assert refused(invoke(command.main, tmp_path), "study.json is missing")
    assert refused(invoke(command.main, made.results, made.results), "name it with --out")
    twice = invoke(command.main, made.results, made.results, "--out", tmp_path / "page")
    assert refused(twice, "is called made_up like another one")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    other = invoke(command.main, made.results, "--out", tmp_path / "mine")
    assert refused(other, "holds other things than an audit page") and (tmp_path / "mine/thesis.txt").exists()
    copy = shutil.copytree(made.results, tmp_path / "copy")
    (copy / "questions.parquet").write_bytes((copy / "questions.parquet").read_bytes()[:900])
    assert refused(invoke(command.main, copy), "questions.parquet cannot be read")
    (copy / "questions.parquet").unlink()
    assert refused(invoke(command.main, copy), "the study is not finished")
    assert not (copy / "page").exists()
    copy = shutil.copytree(made.results, tmp_path / "again")
    shutil.rmtree(copy / "items/test/images")
    assert refused(invoke(command.main, copy), "0.png is missing: run snakemake again")
    assert refused(invoke(view.main, tmp_path / "absent", "--no-browser"), "is no folder")
    assert refused(invoke(view.main, tmp_path / "mine", "--no-browser"), "make the page first")


def test_the_stage_writes_beside_the_record(made, tmp_path: Path):
    copy = shutil.copytree(made.results, tmp_path / "copy")
    (copy / "page").mkdir()  # as Snakemake leaves it
    done = invoke(stage.main, "--study", copy / "study.json")
    assert done.exit_code == 0, done.stderr
    assert parse_shard((copy / "page/data/studies.js").read_bytes()) == ("studies", ["made_up"])
    assert parse_shard((copy / "page/data/made_up/study.js").read_bytes())[1]["format"] == FORMAT
