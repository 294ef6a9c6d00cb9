"""Published tables: what VLMEvalKit's reader gives, one row's pictures at a time, faults named."""

import csv
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.questions import tsv
from frism.errors import UserError
from tests.support import tsvs


@pytest.mark.parametrize("name", sorted(tsvs.MAKERS))
def test_texts_and_pictures_are_those_of_the_file(tmp_path: Path, name: str) -> None:
    path = tsvs.make(name, tmp_path, 13, seed=1)
    table, rows = tsv.read_table(path), tsvs.read(path)
    by_index = {row["index"]: row for row in rows}
    assert [str(index) for index in table.frame["index"]] == [row["index"] for row in rows]
    assert [str(answer) for answer in table.frame["answer"]] == [row["answer"] for row in rows]
    for row, stand_in, mark in zip(rows, table.frame["image"], table.picture_digests, strict=True):
        cell = row["image"] if len(row["image"]) > tsv.REFERENCE else by_index[row["image"]]["image"]
        found = table.pictures(stand_in)
        assert (str(found) if isinstance(found, list) else found) == cell
        assert (mark == table.picture_digests[0]) == (cell == by_index[rows[0]["index"]]["image"])
    plain = pd.read_csv(path, sep="\t").drop(columns="image")
    texts = table.frame.drop(columns=["image", "answer"])
    pd.testing.assert_frame_equal(texts, plain.drop(columns="answer"), check_dtype=False)


def test_words_that_pandas_takes_for_nothing_stay(tmp_path: Path) -> None:
    frame = tsv.read_table(tsvs.make("MMStar", tmp_path, 4, odd_options=True)).frame
    options = [[row[letter] for letter in "ABCD"] for _, row in frame.iterrows()]
    assert [sum(word in cells for cells in options) for word in ("None", "NA", "null")] == [1, 1, 1]


def test_quotes_tabs_and_line_breaks_are_text(tmp_path: Path) -> None:
    path = tmp_path / "odd.tsv"
    odd = 'He said "no"\n\tthen left, à la carte'
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter="\t")
        writer.writerows([["index", "question", "image", "answer"], ["a", odd, "x" * 100, "007"]])
        writer.writerow(["b", "?", "a", ""])
    table = tsv.read_table(path)
    assert list(table.frame["question"]) == [odd, "?"]
    assert table.frame["answer"][0] == "007" and pd.isna(table.frame["answer"][1])
    assert [table.pictures(cell) for cell in table.frame["image"]] == ["x" * 100] * 2


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "no column 'index'"),
        ("index\timage\n1\tx\n", "no column 'question'"),
        ("index\tquestion\n1\ta\tb\n", "row 1 has 3 columns, not 2"),
        ("index\tquestion\n1\ta\n1\tb\n", "'1' occurs twice"),
        ("index\tquestion\timage\n1\ta\t7\n", "row 1 has the pictures of '7', which has none"),
        (b"index\tquestion\n1\t\xff\n", "not UTF-8"),
    ],
)
def test_faults_are_named(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    path = tmp_path / "faulty.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=rf"faulty\.tsv.*({complaint})"):
        tsv.read_table(path)
    with pytest.raises(UserError, match=r"cannot read .*absent\.tsv"):
        tsv.read_table(tmp_path / "absent.tsv")


def test_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    """120 MB of pictures: less than a third of that on top of what importing pandas takes."""
    path, row = tmp_path / "large.tsv", "x" * 2_000_000
    with path.open("w") as stream:
        stream.write("index\tquestion\timage\n")
        stream.writelines(f"{i}\tWhat is {i}?\t{row}\n" for i in range(60))
    code = (
        "import sys, resource, pandas, benchmarks.vlmevalkit; from benchmarks.questions import tsv\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "table = tsv.read_table(sys.argv[1])\n"
        "assert all(len(table.pictures(cell)) == 2_000_000 for cell in table.frame['image'])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
    assert int(done.stdout) * 1024 < 40_000_000


@pytest.mark.parametrize("other", ["01", "1.0", " 1"])
def test_two_indices_that_are_one_number_are_refused(tmp_path: Path, other: str) -> None:
    """Both would become 1: the question of one would be asked about the picture of the other."""
    path = tmp_path / "twice.tsv"
    path.write_text(f"index\tquestion\n1\ta\n{other}\tb\n")
    with pytest.raises(UserError, match=rf"twice\.tsv: the indices '1' and '{other}' are the same number"):
        tsv.read_table(path)
    path.write_text(f"index\tquestion\n1\ta\n{other}\tb\nx\tc\n")  # texts to VLMEvalKit, too
    assert list(tsv.read_table(path).frame["index"]) == ["1", other, "x"]


def test_numeric_options_stay_as_they_are_written(tmp_path: Path) -> None:
    """An empty cell makes a column of numbers one of fractions: "6" was asked as "6.0"."""
    path = tmp_path / "numbers.tsv"
    path.write_text("index\tquestion\thint\tC\tD\n1\t2\t10\t007\t6\n2\t3\t\t1.50\t\n")
    frame = tsv.read_table(path).frame
    assert list(frame["C"]) == ["007", "1.50"] and frame["D"][0] == "6" and pd.isna(frame["D"][1])
    assert frame["hint"][0] == "10" and list(frame["question"]) == ["2", "3"]


@pytest.mark.parametrize("header", ["index\tquestion\timage", '"index"\t"question"\t"image"'])
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path, header: str) -> None:
    path = tmp_path / "marked.tsv"
    path.write_text(f"{header}\n1\ta\t{'x' * 100}\n2\tb\t{'y' * 100}\n", encoding="utf-8-sig")
    table = tsv.read_table(path)
    assert list(table.frame["index"]) == [1, 2]
    assert [table.pictures(cell) for cell in table.frame["image"]] == ["x" * 100, "y" * 100]


def test_an_empty_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("index\tquestion\n1\ta\n\tb\n")
    with pytest.raises(UserError, match=r"t\.tsv: row 2 has no index"):
        tsv.read_table(tmp_path / "t.tsv")


@pytest.mark.parametrize("end", ["', ", "]", "', 'y'", "', y]", "'] + ['y']"])
def test_a_broken_list_of_pictures_is_one_sentence(tmp_path: Path, end: str) -> None:
    complaint = r"row 2 has a broken list of pictures \(\['.*\): write it as \['\.\.\.', '\.\.\.'\]"
    path = tmp_path / "list.tsv"
    path.write_text(f"index\tquestion\timage\n1\ta\t['{'x' * 100}', 'y']\n2\tb\t['{'x' * 100}{end}\n")
    table = tsv.read_table(path)
    assert table.pictures(table.frame["image"][0]) == ["x" * 100, "y"]
    with pytest.raises(UserError, match=complaint):
        table.pictures(table.frame["image"][1])
    path.write_text(f"index\tquestion\timage_path\n1\ta\tx.png\n2\tb\t['x.png{end}\n")
    with pytest.raises(UserError, match=complaint):
        tsv.read_table(path)
