"""Splits of published benchmarks: whole clusters, disjoint, repeatable; and what a cluster is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.questions import clusters, tsv
from benchmarks.questions.drawing import Size, draw
from benchmarks.registry.lookup import find
from frism.errors import UserError
from tests.support import tsvs

PLAIN = find("MMStar")
LABELS = st.lists(st.integers(0, 30).map(lambda n: "" if n > 20 else f"c{n}"), min_size=1, max_size=200)


def indices(labels: list[str]) -> list[str]:
    return [str(i) for i in range(len(labels))]


@given(LABELS, st.integers(1, 40), st.one_of(st.just("all"), st.integers(1, 250)), st.integers(0, 3))
def test_dev_and_test_share_no_cluster(labels: list[str], dev: int, test: Size, seed: int) -> None:
    splits: dict[str, Size] = {"dev": dev, "test": test}
    try:
        found = draw(PLAIN, "t", indices(labels), labels, splits, seed)
    except UserError:
        assert len({label or i for i, label in enumerate(labels)}) <= dev
        return
    of_dev, of_test = set(found["dev"]), set(found["test"])
    assert not of_dev & of_test and of_dev | of_test <= set(range(len(labels)))
    assert not ({labels[i] for i in of_dev} & {labels[i] for i in of_test}) - {""}
    largest = max(labels.count(label) for label in set(labels) - {""}) if any(labels) else 1
    assert dev <= len(of_dev) < dev + largest
    if test == "all":
        assert len(of_dev | of_test) == len(labels)
    else:
        rest = len(labels) - len(of_dev)
        assert min(test, rest) <= len(of_test) < test + largest
    assert found == draw(PLAIN, "t", indices(labels), labels, dict(reversed(splits.items())), seed)
    for rows in found.values():
        assert rows == sorted(rows)


def test_a_longer_test_split_begins_with_the_shorter_one() -> None:
    labels = [""] * 50
    short = draw(PLAIN, "t", indices(labels), labels, {"dev": 10, "test": 12}, 0)
    long = draw(PLAIN, "t", indices(labels), labels, {"dev": 10, "test": 30}, 0)
    assert short["dev"] == long["dev"] and set(short["test"]) < set(long["test"])
    assert draw(PLAIN, "t", indices(labels), labels, {"dev": 10, "test": 12}, 1) != short


def test_what_cannot_be_cut_is_on_test_alone_and_complete() -> None:
    labels = ["a", "a", "b", "b"]
    assert draw(find("MME"), "t", indices(labels), labels, {"dev": 1, "test": 2}, 0) == {"test": [0, 1, 2, 3]}
    assert draw(find("MME"), "t", indices(labels), labels, {"dev": 1}, 0) == {}


def test_no_question_is_spent_on_a_dev_split_that_chooses_nothing() -> None:
    other = find({"name": "MMStar", "axis": "other"})
    labels = [""] * 6
    assert draw(other, "t", indices(labels), labels, {"dev": 4, "test": "all"}, 0) == {
        "test": [0, 1, 2, 3, 4, 5]
    }


def test_a_benchmark_that_is_used_up_is_named() -> None:
    with pytest.raises(UserError, match="MMStar has 3 questions: none are left for split 'test'"):
        draw(PLAIN, "t", ["0", "1", "2"], [""] * 3, {"dev": 5, "test": "all"}, 0)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("MMStar", {1}), ("MathVerse_MINI", {5}), ("DynaMath", {10}), ("WeMath", {3, 4}), ("MME", {2}),
        ("HallusionBench", {4}), ("MMBench_DEV_EN", {2, 4}), ("MMBench_DEV_EN_V11", {2, 4}), ("POPE", {6}),
        ("AI2D_TEST", {1, 2}),
    ],
)  # fmt: skip
def test_what_belongs_together(tmp_path: Path, name: str, sizes: set[int]) -> None:
    table = tsv.read(tsvs.make(name, tmp_path, 24))
    labels = clusters.of(find(name), table.frame, table.picture_digests)
    assert {labels.count(label) for label in labels if label} | ({1} if "" in labels else set()) == sizes


def test_versions_without_a_column_follow_the_numbering(tmp_path: Path) -> None:
    table = tsv.read(tsvs.make("MathVerse_MINI", tmp_path, 20))
    labels = clusters.of(find("MathVerse_MINI"), table.frame, table.picture_digests)
    without = table.frame.drop(columns="problem_index")
    assert clusters.of(find("MathVerse_MINI"), without, table.picture_digests) == labels


def test_clusters_that_do_not_fit_are_named(tmp_path: Path) -> None:
    table = tsv.read(tsvs.make("POPE", tmp_path, 6))
    for rule, complaint in (
        ("catgory", "no column 'catgory' for clusters. Did you mean 'category'"),
        ("hallusion_set", "clusters by hallusion_set do not fit"),
    ):
        with pytest.raises(UserError, match=f"benchmark POPE: .*{complaint}"):
            clusters.of(find({"name": "POPE", "clusters": rule}), table.frame, table.picture_digests)
