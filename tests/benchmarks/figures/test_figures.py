"""Figures: they carry the tables' numbers, their labels do not collide, their bytes repeat."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.path import Path
from PIL import Image

from benchmarks.figures import bimodality, gate_maps, learning_curves, rank_blocks, sweep, trade_off
from benchmarks.figures.labels import place_labels
from benchmarks.figures.style import BACKGROUND, choose_marks
from benchmarks.stages import explain
from benchmarks.stages.figures import main
from benchmarks.stages.tables import build
from benchmarks.study.results import read_table
from benchmarks.study.triple_settings import TripleSettings
from tests.support.studies import record, study_of
from tests.support.synthetic_study import EXPLAINED, config, make

NAMES = ["trade_off", "tokens", "sweep", "gates", "overlap", "rank_blocks", "bimodality", "learning"]
SUITES = ["mini_number", "mini_count", "mini_total", "mini_net"]


@pytest.fixture(scope="module")
def settings():
    whole = config(benchmarks=SUITES, text=[], statistics={"confidence": 0.95, "resamples": 100})
    return whole | {"variants": whole["variants"] | EXPLAINED}


@pytest.fixture(scope="module")
def study(settings):
    return study_of(settings)


@pytest.fixture(scope="module")
def results(tmp_path_factory, settings, study):
    folder = make(tmp_path_factory.mktemp("study"), settings, n=40, n_dev=30)
    build(folder, study, folder / "tables")
    explain.build(folder, study, folder / "tables")
    main(record(folder, settings))
    return folder


def test_every_figure_in_both_forms(results):
    for name in NAMES:
        with Image.open(results / "figures" / f"{name}.png") as picture:
            assert picture.width == pytest.approx(3.4 * 300, abs=1) and "Software" not in picture.info
        svg = (results / "figures" / f"{name}.svg").read_text()
        assert svg.startswith("<?xml") and "<dc:date>" not in svg


@pytest.mark.slow  # draws all of them again
def test_the_same_tables_the_same_bytes(results, settings, tmp_path):
    main(results / "study.json", tmp_path)
    for name in NAMES:
        for end in ("png", "svg"):
            assert (tmp_path / f"{name}.{end}").read_bytes() == (
                results / "figures" / f"{name}.{end}"
            ).read_bytes()


def test_clip_paths_are_numbered_and_found(results):
    for name in NAMES:
        svg = (results / "figures" / f"{name}.svg").read_text()
        used, defined = (set(re.findall(p, svg)) for p in (r"url\(#(\w+)\)", r'<clipPath id="(\w+)"'))
        assert used == defined == {f"clip{i}" for i in range(len(used))}


def test_every_variant_is_told_apart_without_colour(study):
    looks = [(m.marker, m.face) for m in choose_marks(study).values()]
    assert len(set(looks)) == len(looks) == len(study.variants)


def test_the_points_are_the_tables(results, study):
    axes, pareto = (read_table(results / "tables" / f"{n}.csv") for n in ("axes", "pareto"))
    points = trade_off._read_points(study, pareto)
    assert list(points.index) == list(study.variants)
    row = axes[(axes["variant"] == "inject") & (axes["group"] == "reasoning")].iloc[0]
    assert points.loc["inject", "y"] == row["score"]
    stairs = trade_off._compute_staircase(points)
    front = points[points["front"]]
    assert list(front.index) == pareto.loc[pareto["front"] == "yes", "variant"].tolist() and len(front) > 0
    built = trade_off._read_points(study, pareto.assign(front=pareto["front"] == "yes"))
    pd.testing.assert_frame_equal(built, points)
    assert len(stairs) == 2 * len(front) - 1
    assert stairs["x"].is_monotonic_increasing and stairs["y"].is_monotonic_decreasing


def test_an_ellipse_holds_its_share():
    point = pd.Series({"x": 0.9, "y": 0.5, "sx": 0.02, "sy": 0.01, "correlation": 0.6})
    outline = trade_off._compute_ellipse(point, 0.95)
    covariance = np.array([[4e-4, 1.2e-4], [1.2e-4, 1e-4]])
    draws = np.random.default_rng(0).multivariate_normal([0.9, 0.5], covariance, 20000)
    assert Path(outline).contains_points(draws).mean() == pytest.approx(0.95, abs=0.01)
    flat = trade_off._compute_ellipse(point.replace(0.01, 0.0), 0.95)
    assert np.ptp(flat[:, 1]) == pytest.approx(0, abs=1e-9)


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_one_axis_alone_is_said(study, results, tmp_path):
    pareto, selection = (read_table(results / "tables" / f"{n}.csv") for n in ("pareto", "selection"))
    figure = trade_off.draw(study, pareto.iloc[:0], selection.iloc[:0], tmp_path)
    assert texts(figure) == ["This study asks for one axis alone."]


def test_a_grid_of_two_parameters_is_several_lines(results):
    selection = read_table(results / "tables" / "selection.csv")
    lines = trade_off.split_into_lines(selection, "frism")
    assert [len(line) for line in lines] == [3, 3]
    assert [len(line) for line in trade_off.split_into_lines(selection, "inject")] == [7]


def blank_axes():
    figure = Figure(figsize=(3.4, 2.5))
    FigureCanvasAgg(figure)
    return figure.subplots()


def label(ax, points, names):
    """Place one label for each point; return where they are, in pixels."""
    limits = ax.get_xlim(), ax.get_ylim()
    labels = [ax.text(x, y, name, fontsize=6.5) for name, (x, y) in zip(names, points, strict=True)]
    place_labels(ax, labels)
    assert (ax.get_xlim(), ax.get_ylim()) == limits
    return [text.get_window_extent() for text in labels]


def covered(a, b):
    both = type(a).intersection(a, b)
    return 0 if both is None else both.width * both.height


@pytest.mark.parametrize("seed", range(3))
def test_labels_do_not_collide(seed):
    rng = np.random.default_rng(seed)
    points = np.vstack([rng.random((8, 2)), 0.9 + 0.03 * rng.random((6, 2))])  # some spread, some crowded
    ax = blank_axes()
    ax.plot(*points.T, "o", markersize=4)
    ax.margins(0.14)
    boxes = label(ax, points, map(str, range(1, 15)))
    frame = ax.get_window_extent()
    for i, a in enumerate(boxes):
        assert frame.x0 <= a.x0 and a.x1 <= frame.x1 and frame.y0 <= a.y0 and a.y1 <= frame.y1
        assert not any(a.contains(*pixel) for pixel in ax.transData.transform(points))
        assert all(covered(a, b) < 4 for b in boxes[i + 1 :])


def test_labels_keep_off_lines_and_other_texts():
    ax = blank_axes()
    x, y = [0.0, 0.5, 1.0], [0.4, 0.6, 0.5]
    ax.plot(x, y)
    other = ax.text(0.5, 0.61, "another", ha="center", va="bottom", fontsize=6.5)
    along = np.linspace(0, 1, 400)
    pixels = ax.transData.transform(np.column_stack([along, np.interp(along, x, y)]))
    for box in label(ax, [(0, 0.4), (0.5, 0.6)], ["first", "2"]):
        assert not any(box.contains(*pixel) for pixel in pixels)
        assert covered(box, other.get_window_extent()) == 0


def test_a_far_label_has_a_leader_of_its_colour():
    ax = blank_axes()
    ax.plot([0.5] * 6, [0.5] * 6, "o")
    labels = [ax.text(0.5, 0.5, str(i), color=color) for i, color in enumerate(["red", "green", "blue"] * 2)]
    place_labels(ax, labels)
    colors = {text.get_color(): to_rgba(text.get_color()) for text in labels}
    leaders = [patch for patch in ax.patches if patch.get_gid() == "label"]
    assert leaders and all(leader.get_edgecolor() == colors[leader.patchA.get_color()] for leader in leaders)


def test_few_variants_are_named_in_place(results, study, tmp_path):
    pareto, selection = (read_table(results / "tables" / f"{n}.csv") for n in ("pareto", "selection"))
    few = ["vlm", "inject", "frism"]
    small = study.model_copy(update={"variants": {v: study.variants[v] for v in few}})
    trade_off.draw(small, pareto, selection[selection["variant"].isin(few)], tmp_path)
    with (
        Image.open(tmp_path / "trade_off.png") as small_one,
        Image.open(results / "figures" / "trade_off.png") as whole,
    ):
        assert small_one.height < whole.height


def test_of_many_variants_the_front_rivals_and_controls_are_named(results, study, tmp_path):
    pareto, selection = (read_table(results / "tables" / f"{n}.csv") for n in ("pareto", "selection"))
    row, points = pareto[pareto["variant"] == "ties"], selection[selection["variant"] == "ties"]
    added = [f"more_{number}" for number in range(20)]
    pareto = pd.concat([pareto, *(row.assign(variant=name, front="no") for name in added)])
    selection = pd.concat([selection, *(points.assign(variant=name) for name in added)])
    statistics = study.statistics.model_copy(update={"rivals": ("more_3",)})
    variants = study.variants | dict.fromkeys(added, study.variants["ties"])
    large = study.model_copy(update={"variants": variants, "statistics": statistics})
    figure = trade_off.draw(large, pareto, selection, tmp_path)
    front = set(pareto.loc[pareto["front"] == "yes", "variant"])
    named = [v for v in variants if v in front or v == "more_3" or large.role(v) != "baseline"]
    assert "more_4" not in named and "frism_uniform" in named
    (key,) = figure.legends
    listed = [text.get_text() for text in key.get_texts()]
    assert listed == [*(f"{i} {v}" for i, v in enumerate(named, 1)), f"{len(variants) - len(named)} others"]
    upper = figure.axes[0]
    assert sorted(text.get_text() for text in upper.texts) == sorted(str(i) for i in range(1, len(named) + 1))
    shown = [line for line in upper.get_lines() if line.get_gid() == BACKGROUND]
    assert len(shown) == len(variants) - len(named)  # every other variant has its dot all the same


def test_no_sweep_no_second_panel(results, study, tmp_path):
    pareto, selection = (read_table(results / "tables" / f"{n}.csv") for n in ("pareto", "selection"))
    trade_off.draw(study, pareto, selection[selection["point"] == 0], tmp_path)
    with Image.open(tmp_path / "trade_off.png") as picture:
        assert picture.height < 1300


def test_the_heat_map_is_the_table(results):
    rows = read_table(results / "tables" / "gates_by_layer.csv").query("variant == 'frism'")
    found = gate_maps.make_heat_map(rows)
    assert list(found.columns) == ["q", "k", "v", "o", "gate", "up", "down"] and list(found.index) == [
        *range(6)
    ]
    row = rows.query("layer == '2' and module == 'down'").iloc[0]
    assert found.loc[2, "down"] == row["mean"]
    some = gate_maps.make_heat_map(rows[~((rows["layer"] == "1") & (rows["module"] == "q"))])
    assert np.isnan(some.loc[1, "q"]) and len(some) == 6


def test_a_sweep_names_its_range(results, study):
    selection = read_table(results / "tables" / "selection.csv")
    rows = selection[selection["variant"] == "inject"]
    assert sweep.describe_range(study, rows, "inject") == "strength 0.1 to 1"
    frism = selection[selection["variant"] == "frism"]
    assert sweep.describe_range(study, frism, "frism") == "strength 0.5 to 1, alpha 0.05 to 0.3"


def test_histograms_show_every_alpha_of_the_chosen_strength(results, study):
    table = read_table(results / "tables" / "bimodality.csv")
    assert bimodality.list_swept(study, table) == "frism"
    shown = bimodality.count_histograms(table, "frism")
    assert list(shown["variant"]) == ["frism"] * 3 + ["frism_layer", "frism_random"]
    own = shown[shown["variant"] == "frism"]
    assert list(own["alpha"]) == [0.05, 0.1, 0.3] and own["strength"].nunique() == 1
    assert (own["chosen"] == "yes").sum() == 1


def test_two_ways_to_split_are_two_pairs_of_panels(results, study, tmp_path):
    table = read_table(results / "tables" / "rank_blocks.csv")
    again = table[table["variant"] == "rank_block"].assign(variant="by_energy", split="energy")
    rank_blocks.draw(study, pd.concat([table, again]), tmp_path)
    with (
        Image.open(tmp_path / "rank_blocks.png") as two,
        Image.open(results / "figures" / "rank_blocks.png") as one,
    ):
        assert two.height == pytest.approx(2 * one.height, abs=2) and two.width == one.width


def test_wide_strengths_are_logarithmic(results, study, tmp_path):
    table = read_table(results / "tables" / "rank_blocks.csv")
    for power, scale in ((1, "linear"), (3, "log")):
        figure = rank_blocks.draw(study, table.assign(strength=table["strength"] ** power), tmp_path)
        assert [ax.get_xscale() for ax in figure.axes] == [scale, scale]


def test_many_layers_many_variants(results, study, tmp_path):
    by_layer, by_rank, energy = (
        read_table(results / "tables" / f"{n}.csv")
        for n in ("gates_by_layer", "gates_by_rank", "energy_by_layer")
    )
    deep = [by_layer] + [
        by_layer[by_layer["layer"] != "all"].assign(
            layer=lambda f, k=k: (f["layer"].astype(int) + k).astype(str)
        )
        for k in (6, 12, 18)
    ]
    figure = gate_maps.draw(study, pd.concat(deep), by_rank, energy, tmp_path)
    maps = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title(loc="left") for ax in maps] == list(dict.fromkeys(by_layer["variant"]))
    assert all(ax.images[0].get_array().shape == (24, 7) and not ax.texts for ax in maps)
    assert {text.get_text() for text in maps[0].get_yticklabels()} == {str(i) for i in range(0, 24, 4)}
    alone = by_layer[by_layer["variant"] == "frism"]
    figure = gate_maps.draw(study, alone, by_rank, energy, tmp_path / "alone")
    (only,) = [ax for ax in figure.axes if ax.images]
    assert only.get_title(loc="left") == "frism: mean gate" and len(only.texts) == 6 * 7


def test_the_marks_of_gates_are_inside_their_panels(results, study, tmp_path):
    by_layer, by_rank, energy = (
        read_table(results / "tables" / f"{n}.csv")
        for n in ("gates_by_layer", "gates_by_rank", "energy_by_layer")
    )
    figure = gate_maps.draw(study, by_layer, by_rank.assign(mean=1.0), energy, tmp_path)
    panels = [ax for ax in figure.axes if len(ax.lines) > 1]
    assert [ax.get_title(loc="left") for ax in panels] == ["mean gate by rank", "injected / tau_R's energy"]
    for ax in panels:
        frame = ax.get_window_extent()
        assert frame.y0 <= ax.transData.transform((0, 0))[1]
        shown = [line for line in ax.lines if len(line.get_xydata())]
        assert shown
        for line in shown:
            heights = ax.transData.transform(line.get_xydata())[:, 1]
            reach = line.get_markersize() / 2 * figure.dpi / 72
            assert frame.y0 <= heights.min() - reach and heights.max() + reach <= frame.y1


def test_a_study_that_learned_nothing(results, study, tmp_path):
    bare = shutil.copytree(results, tmp_path / "bare")
    for path in bare.glob("variants/*/learning.csv"):
        path.unlink()
    titles = [ax.get_title(loc="left") for ax in learning_curves.draw(bare, study, tmp_path).axes]
    assert sorted(titles) == ["LRM", "VLM", "base"]  # the miniature's weights come with their own curves
    elsewhere = TripleSettings(**dict.fromkeys(study.triple.folders, str(tmp_path / "none")))
    downloaded = study.model_copy(update={"triple": elsewhere})
    figure = learning_curves.draw(bare, downloaded, tmp_path)
    assert texts(figure) == ["No variant of this study learned anything."]


def test_loss_curves_lie_beside_the_weights(study, tmp_path):
    curve = pd.DataFrame({"stage": ["a", "a", "b"], "step": [0, 25, 0], "loss": [3.0, 2.0, 1.0]})
    for role in ("base", "vlm"):
        (tmp_path / role).mkdir()
        curve.to_csv(tmp_path / role / "curve.csv", index=False)
    (tmp_path / "vlm" / "other.csv").write_text("x,y\n1,2\n")
    triple = TripleSettings(**{role: str(tmp_path / role) for role in ("base", "lrm", "vlm")})
    own = study.model_copy(update={"triple": triple})
    assert set(learning_curves._read_loss_curves(own)) == {"base", "vlm"}
    learning_curves.draw(tmp_path, own, tmp_path)
    assert re.match(rb"\x89PNG", (tmp_path / "learning.png").read_bytes())
