"""VLMEvalKit's tables made here: the true file names and columns, synthetic questions, pictures and answers.

`make("MMStar", folder, 20)` writes folder/MMStar.tsv; `right_answers(path)` is what a perfect model says;
`registry.find(pinned(path))` is the benchmark with this file.
Columns follow what VLMEvalKit's dataset classes read. Benchmarks whose score needs whole groups (MME's and
HallusionBench's pairs, MMBench's rotations, MathVerse's versions, DynaMath's variations, WeMath's steps) get
whole groups: the smallest number of rows that is at least n.
"""

import ast
import base64
import csv
import hashlib
import io
import json
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

Row = dict[str, Any]
COLOURS = ["red", "green", "blue", "yellow", "purple", "orange", "black", "white"]
THINGS = ["car", "dog", "tree", "clock", "bottle", "chair", "kite", "train"]
LETTERS = "ABCDEFGH"
YES_NO = " Please answer yes or no."
MME = {
    "perception": ["OCR", "artwork", "celebrity", "color", "count", "existence", "landmark", "position",
                   "posters", "scene"],
    "reasoning": ["code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation"],
}  # fmt: skip
OCR = ["Regular Text Recognition", "Irregular Text Recognition", "Artistic Text Recognition",
       "Handwriting Recognition", "Digit String Recognition", "Non-Semantic Text Recognition",
       "Scene Text-centric VQA", "Doc-oriented VQA", "Key Information Extraction",
       "Handwritten Mathematical Expression Recognition"]  # fmt: skip
VERSIONS = ["Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only"]
# Names of WeMath's knowledge concepts (the last part of its "full node").
CONCEPTS = ["Understanding Angles (Using a Protractor)", "Understanding Length (Using a Ruler)",
            "Conversion Rates and Calculations Between Length Units"]  # fmt: skip
HINT_OPTION = (
    "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end."
)
HINT_NUMBER = "Hint: Please answer the question and provide the final value at the end."


def make(name: str, folder: Path, n: int, seed: int = 0, *, odd_options: bool = False) -> Path:
    """Write `folder`/`name`.tsv with at least `n` questions and return its path.

    With `odd_options` a multiple-choice table has options "None" (right), "NA" (wrong) and "null" (right).
    """
    rows = list(MAKERS[name](random.Random(f"{name} {seed}"), n))
    if odd_options:
        for word, row in zip(["None", "NA", "null"], rows, strict=False):
            row[row["answer"] if word != "NA" else "AB"[row["answer"] == "A"]] = word
    columns = list(dict.fromkeys(column for row in rows for column in row))
    path = folder / f"{name}.tsv"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="", delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def pinned(path: Path, **fields: Any) -> Row:
    """The table as a study names it: its content is not the published one, so its sha256 is given."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"name": path.stem, "sha256": {"tsv": digest}, **fields}


def read(path: Path) -> list[Row]:
    """The table's rows, every cell a text."""
    csv.field_size_limit(2**30)
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def right_answers(path: Path) -> list[str]:
    """A right answer to every question, as short as the prompt asks for."""
    return [_right(path.stem, row) for row in read(path)]


def _right(name: str, row: Row) -> str:
    if name == "DynaMath":
        return json.dumps({"solution": "It can be seen.", "short answer": row["answer"]})
    if row.get("answer_option"):
        return row["answer_option"]
    if row["answer"].startswith("["):
        return ast.literal_eval(row["answer"])[0]
    return row["answer"]


# --- pictures -----------------------------------------------------------------------------------


def picture(rng: random.Random, kind: str = "PNG") -> str:
    """A small picture of coloured boxes, base64."""
    size = (rng.choice([56, 70, 84]), rng.choice([56, 70, 84]))
    image = Image.new("RGB", size, rng.choice(COLOURS))
    pen = ImageDraw.Draw(image)
    for _ in range(4):
        x, y = rng.randrange(size[0] - 12), rng.randrange(size[1] - 12)
        fill = tuple(rng.randrange(256) for _ in range(3))
        pen.rectangle((x, y, x + rng.randrange(6, 30), y + rng.randrange(6, 30)), fill=fill)
    stream = io.BytesIO()
    image.save(stream, kind)
    return base64.b64encode(stream.getvalue()).decode()


def _choices(rng: random.Random, number: int) -> tuple[dict[str, str], str]:
    """Different option texts by letter, and the right one's letter."""
    texts = rng.sample([f"the {c} {t}" for c in COLOURS for t in THINGS], number)
    return dict(zip(LETTERS, texts, strict=False)), rng.choice(LETTERS[:number])


# --- multiple choice ----------------------------------------------------------------------------


def _choice(rng: random.Random, n: int, *, sizes: tuple[int, ...] = (4,), start: int = 0, **extra: Any) -> Iterator[Row]:  # fmt: skip  # noqa: E501
    """Questions with options; a value of `extra` that is a list is drawn from, per question."""
    for i in range(start, start + n):
        options, answer = _choices(rng, rng.choice(sizes))
        drawn = {key: rng.choice(value) if isinstance(value, list) else value for key, value in extra.items()}
        yield {"index": i, "question": f"Which object is number {i}?", **options, "answer": answer, **drawn,
               "image": picture(rng)}  # fmt: skip


def _referring(rows: Iterable[Row]) -> Iterator[Row]:
    """Every third question is on the picture of the one before, which it names by index."""
    before: Row = {}
    for i, row in enumerate(rows):
        if i % 3 == 2:
            row["image"] = before["index"]
        before = row
        yield row


def _mmbench(rng: random.Random, n: int, g_index: bool = False) -> Iterator[Row]:
    """Circular evaluation: every question once per rotation of its options, 1,000,000 apart."""
    groups: list[list[Row]] = []
    while sum(map(len, groups)) < n:
        number = 2 if len(groups) % 4 == 3 else 4
        options, answer = _choices(rng, number)
        texts, right, group = list(options.values()), LETTERS.index(answer), len(groups) + 1
        base = {
            "question": f"Which object is number {group}?", "hint": "" if group % 2 else "Look twice.",
            "category": rng.choice(["object_localization", "ocr"]), "l2-category": "coarse_perception",
            "source": "made", "split": "dev",
        }  # fmt: skip
        groups.append([])
        for turn in range(number):
            rolled = dict(zip(LETTERS, texts[turn:] + texts[:turn], strict=False))
            index = group + turn * 1_000_000
            row = {"index": index, **base, **rolled, "answer": LETTERS[(right - turn) % number],
                   "image": group if turn else picture(rng)}  # fmt: skip
            groups[-1].append(row | {"g_index": group} if g_index else row)
    yield from sorted((row for group in groups for row in group), key=lambda row: row["index"])


def _mmmu(rng: random.Random, n: int) -> Iterator[Row]:
    """Marks in the text, one to three pictures, and some questions without options."""
    for i in range(1, n + 1):
        options, answer = _choices(rng, 4)
        pictures = [picture(rng) for _ in range(1 + i % 3)]
        marks = " ".join(f"<image {k}>" for k in range(1, len(pictures) + 1))
        if i % 5 == 0:
            options, answer = {}, str(rng.randrange(10, 99))
        yield {"index": i, "id": f"validation_Art_{i}", "question": f"See {marks} and say what it is.",
               **options, "answer": answer, "split": "validation" if i % 7 else "dev",
               "category": rng.choice(["Art", "Accounting"]), "l2-category": "Art & Design",
               "image": pictures[0] if len(pictures) == 1 else str(pictures)}  # fmt: skip


def _wemath(rng: random.Random, n: int) -> Iterator[Row]:
    """Chains of two or three steps and the whole problem; the real table has 360 and 165 of them."""
    index = 0
    for group in count():
        if index >= n and group > 1:
            return
        steps = (2, 2, 3)[group % 3] if n < 1740 else 2 if group < 360 else 3
        shown = picture(rng)
        for part in [*map(str, range(1, steps + 1)), "multi"]:
            options, answer = _choices(rng, 5)
            yield {"index": index, "ID": f"{steps}steps_{group}", "key": f"{steps}steps_{part}",
                   "split": "testmini", "knowledge concept": CONCEPTS[index % len(CONCEPTS)],
                   "question": f"What is step {part}?", **options, "answer": answer,
                   "requirement": "Answer as <Answer>: B.", "image": shown}  # fmt: skip
            index += 1


# --- yes or no ----------------------------------------------------------------------------------


def _pope(rng: random.Random, n: int) -> Iterator[Row]:
    groups = ["random", "popular", "adversarial", "random,popular", "random,popular,adversarial"]
    for i in range(n):
        shown = i // 6  # six questions on one picture
        yield {"index": i, "category": rng.choice(groups), "image_path": f"COCO_val2014_{shown:012d}.jpg",
               "question": f"Is there a {rng.choice(THINGS)} in the image?{YES_NO}",
               "answer": rng.choice(["Yes", "No"]),
               "image": shown * 6 if i % 6 else picture(rng, "JPEG")}  # fmt: skip


def _mme(rng: random.Random, n: int) -> Iterator[Row]:
    """Two questions per picture, one with "Yes" and one with "No"; all 14 categories from 28 rows on."""
    categories = [*MME["reasoning"], *MME["perception"]]
    for pair in range((n + 1) // 2):
        category, shown = categories[pair % len(categories)], picture(rng, "JPEG")
        for k, answer in enumerate(["Yes", "No"]):
            yield {"index": 2 * pair + k, "category": category, "image_path": f"{category}/{pair:04d}.jpg",
                   "question": f"Is it a {rng.choice(THINGS)}?{YES_NO}", "answer": answer,
                   "image": shown}  # fmt: skip


def _hallusion(rng: random.Random, n: int) -> Iterator[Row]:
    """index = category_subcategory_visual_set_figure_question; two figures and two questions per set."""
    sets = [("VD", "illusion"), ("VD", "math"), ("VS", "chart"), ("VS", "table")]
    for number in range((n + 3) // 4):
        kind, sub = sets[number % len(sets)]
        for figure in (1, 2):
            shown = picture(rng)
            for question in (0, 1):
                yield {"index": f"{kind}_{sub}_1_{number}_{figure}_{question}", "category": kind,
                       "l2-category": sub, "question": f"Is circle {question} larger?", "image": shown,
                       "answer": rng.choice(["Yes", "No"])}  # fmt: skip


# --- free text and numbers ----------------------------------------------------------------------


def _words(rng: random.Random, n: int, kind: str) -> Iterator[Row]:
    """TextVQA, DocVQA (lists of accepted answers), ChartQA (one answer), OCRBench and CountBenchQA."""
    for i in range(n):
        word, number = f"{rng.choice(COLOURS)} {rng.choice(THINGS)}", str(rng.randrange(3, 2000))
        row: Row = {"index": i, "question": f"What is written on sign {i}?", "image": picture(rng)}
        match kind:
            case "TextVQA":
                row["answer"] = str([word] * rng.choice([8, 9, 10]) + ["a sign"])
            case "DocVQA":
                row["answer"] = str([word, word.title()])
            case "ChartQA":
                row |= {
                    "answer": rng.choice([word, number]),
                    "split": f"test_{('human', 'augmented')[i % 2]}",
                }
            case "OCRBench":
                row |= {"answer": str([word]), "category": OCR[i % len(OCR)]}
            case "CountBenchQA":
                row |= {"answer": str(rng.randrange(2, 11)), "question": "How many kites are there?"}
        yield row


def _mathvista(rng: random.Random, n: int) -> Iterator[Row]:
    for i in range(1, n + 1):
        options, letter = _choices(rng, 4)
        tasks, skills = ["geometry problem solving", "figure question answering"], ["algebraic reasoning"]
        row: Row = {"index": i, "question_type": "free_form", "choices": "", "answer_option": "", "unit": "",
                    "precision": "", "task": rng.choice(tasks), "category": "math-targeted-vqa",
                    "skills": str(skills * (1 + i % 2)), "split": "testmini",
                    "image": picture(rng)}  # fmt: skip
        match i % 3:
            case 0:
                listed = "\n".join(f"({k}) {text}" for k, text in options.items())
                row |= {"question_type": "multi_choice", "answer_type": "text", "answer": options[letter],
                        "choices": str(list(options.values())), "answer_option": letter,
                        "question": f"{HINT_OPTION}\nQuestion: Which one?\nChoices:\n{listed}"}  # fmt: skip
            case 1:
                row |= {"answer_type": "integer", "answer": rng.randrange(1, 3000),
                        "question": f"{HINT_NUMBER}\nQuestion: How many?"}  # fmt: skip
            case _:
                row |= {"answer_type": "float", "precision": 2.0, "answer": f"{rng.uniform(0.1, 40):.2f}",
                        "question": f"{HINT_NUMBER}\nQuestion: How long? (Unit: cm)"}  # fmt: skip
        yield row


def _mathverse(rng: random.Random, n: int, versions: list[str]) -> Iterator[Row]:
    """index counts problem by problem, version by version, as in the original's sample_index."""
    for problem in range((n + len(versions) - 1) // len(versions)):
        options, letter = _choices(rng, 4)
        listed = "\n".join(f"{k}:{text}" for k, text in options.items())
        free = problem % 3 == 2
        asked = "As shown, find the angle." + ("" if free else f"\nChoices:\n{listed}")
        answer = rng.choice(["14", "2.5", "\\frac{3}{4}", "2\\sqrt{3}"]) if free else letter
        about = {"split": "testmini", "source": "GeoQA",
                 "subject": rng.choice(["Plane Geometry", "Functions"]),
                 "subfield": rng.choice(["Angle", "Area"])}  # fmt: skip
        for k, version in enumerate(versions):
            yield {"index": problem * len(versions) + k + 1, "problem_index": problem + 1,
                   "problem_version": version, "question": f"Please directly answer.\nQuestion: {asked}",
                   "answer": answer, "question_for_eval": asked,
                   "question_type": "free-form" if free else "multi-choice",
                   "metadata": str(about), "query_cot": f"Please first conduct reasoning.\nQuestion: {asked}",
                   "image": picture(rng)}  # fmt: skip


def _mathvision(rng: random.Random, n: int) -> Iterator[Row]:
    for i in range(1, n + 1):
        options, letter = _choices(rng, 5)
        free = rng.choice(["7", "2.5", "\\frac{3}{4}", "2\\sqrt{3}", "12\\pi"])
        row: Row = {"index": i, "category": rng.choice(["counting", "metric geometry - area"]),
                    "question": f"{HINT_NUMBER}\nQuestion: How large is it?", "answer": free,
                    "choices": "[]", "image": picture(rng)}  # fmt: skip
        if i % 3:
            texts = list(options) if i % 3 == 2 else list(options.values())  # letters: drawn in the picture
            listed = " ".join(f"({k}) {text}" for k, text in zip(LETTERS, texts, strict=False))
            row |= {"choices": str(texts), "answer": letter,
                    "question": f"{HINT_OPTION}\nQuestion: Which one?\nChoices: {listed}"}  # fmt: skip
        yield row


def _logicvista(rng: random.Random, n: int) -> Iterator[Row]:
    skills = ["inductive", "deductive", "numerical", "spatial", "mechanical"]
    for i in range(n):
        letters = sorted(rng.sample("ABCDE", 1 if i % 4 else 2))
        yield {"index": i, "skill": skills[i % 5],
               "question": "Which of the boxes come next? Select from A-E.",
               "answer": ", ".join(letters), "image": picture(rng)}  # fmt: skip


def _dynamath(rng: random.Random, n: int) -> Iterator[Row]:
    """Ten variations of every question; qid is the index of the first one."""
    questions = (n + 9) // 10
    about = [(rng.choice(["algebra", "plane geometry"]), rng.choice(["elementary school", "high school"]))
             for _ in range(questions)]  # fmt: skip
    for variation in range(10):
        for q in range(questions):
            kind = ("float", "multiple choice", "text")[q % 3]
            answer = {"float": f"{rng.uniform(-9, 90):.3f}", "multiple choice": rng.choice("ABCD"),
                      "text": f"{rng.choice(COLOURS)} line"}[kind]  # fmt: skip
            yield {"index": variation * questions + q + 1, "qid": q + 1, "varid": variation + 1,
                   "answer_type": kind, "subject": about[q][0], "knowledge_level": about[q][1],
                   "answer": answer, "question": f"What is the value of {q} here?",
                   "image": picture(rng)}  # fmt: skip


def _blink(rng: random.Random, n: int) -> Iterator[Row]:
    """Two pictures per question."""
    for row in _choice(rng, n, sizes=(2, 4), category=["Counting", "Jigsaw"]):
        yield row | {"image": str([picture(rng), picture(rng)])}


_ABILITIES: dict[str, Any] = {
    "category": ["instance counting", "coarse perception"],
    "l2-category": ["math", "perception"],
}
MAKERS: dict[str, Callable[[random.Random, int], Iterable[Row]]] = {
    "MMStar": lambda rng, n: _choice(rng, n, **_ABILITIES),
    "SEEDBench_IMG": lambda rng, n: _choice(rng, n, **_ABILITIES),
    "ScienceQA_TEST": lambda rng, n: _choice(
        rng, n, sizes=(2, 3, 4, 5), hint=["", "Ice melts."], category=["physics"]
    ),
    "AI2D_TEST": lambda rng, n: _referring(_choice(rng, n)),
    "RealWorldQA": lambda rng, n: _choice(rng, n, sizes=(2, 3, 4)),
    "BLINK": _blink,
    "MMBench_DEV_EN": _mmbench,
    "MMBench_DEV_EN_V11": lambda rng, n: _mmbench(rng, n, g_index=True),
    "MMMU_DEV_VAL": _mmmu,
    "WeMath": lambda rng, n: islice(_wemath(rng, n), 1740 if n >= 1740 else None),
    "POPE": _pope,
    "MME": _mme,
    "HallusionBench": _hallusion,
    "TextVQA_VAL": lambda rng, n: _words(rng, n, "TextVQA"),
    "DocVQA_VAL": lambda rng, n: _words(rng, n, "DocVQA"),
    "ChartQA_TEST": lambda rng, n: _words(rng, n, "ChartQA"),
    "OCRBench": lambda rng, n: _words(rng, n, "OCRBench"),
    "CountBenchQA": lambda rng, n: _words(rng, n, "CountBenchQA"),
    "MathVista_MINI": _mathvista,
    "MathVerse_MINI": lambda rng, n: _mathverse(rng, n, VERSIONS),
    "MathVerse_MINI_Vision_Only": lambda rng, n: _mathverse(rng, n, VERSIONS[-1:]),
    "MathVision_MINI": _mathvision,
    "LogicVista": _logicvista,
    "DynaMath": _dynamath,
}
