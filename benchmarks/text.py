"""The text column: questions on described scenes, asked of a language tower or model through lm-eval.

python -m benchmarks.text --triple JSON (--recipe FOLDER | --model base|lrm|vlm) --tasks a,b
    --questions 400 --seed 0 --engine JSON --out text/V.csv
lm-eval makes the prompts (chat template on), batches them and judges; only the decoding loop is ours.
"""

import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer
import yaml

from benchmarks import extraction
from benchmarks.engine import Settings
from benchmarks.greedy import greedy
from benchmarks.predict import triple_of
from benchmarks.registry import Definition, find_all
from benchmarks.tasks import described_scenes
from frism import variants
from frism.errors import UserError, reported
from frism.files import atomic_write
from frism.recipes import Recipe
from frism.triples import Triple

TASK = Path(described_scenes.__file__).with_suffix(".yaml")
COLUMNS = ("variant", "benchmark", "index", "answer", "raw", "extracted", "rule", "correct", "truncated",
           "tokens")  # fmt: skip


def load_model(
    triple: Triple, model: str | None, recipe_folder: Path | None, settings: Settings
) -> tuple[Any, Any]:
    """The model and its tokenizer: a language model of the triple, V, or V with a variant merged in.

    A VLM answers text with its language tower alone. Raises UserError for an unknown `model`.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging

    logging.disable_progress_bar()
    device, dtype = settings.torch_device, settings.torch_dtype
    if model in ("base", "lrm"):
        folder = triple.base_folder if model == "base" else triple.lrm_folder
        loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        return loaded.to(device).eval(), AutoTokenizer.from_pretrained(folder)
    if (model is None) == (recipe_folder is None) or model not in (None, "vlm"):
        raise UserError("give either --recipe FOLDER or --model base, lrm or vlm.")
    recipe, fitted = Recipe.load(recipe_folder) if recipe_folder else (None, {})
    vlm = variants.load(triple, recipe, fitted, dtype=dtype, device=device)
    return vlm, AutoTokenizer.from_pretrained(triple.vlm_folder)


def ask(
    model: Any, tokenizer: Any, definitions: Sequence[Definition], n: int, seed: int, batch_size: int
) -> pd.DataFrame:
    """One row per question: benchmark, index, answer, raw, extracted, rule, correct, truncated, tokens.

    `correct` is lm-eval's own per-question score.
    """
    import lm_eval
    from lm_eval.tasks import TaskManager

    tokenizer.padding_side = "left"
    language_model = _harness_model()(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
    with tempfile.TemporaryDirectory(prefix="tasks-") as folder:
        for definition in definitions:
            _write_task(Path(folder), definition, n, seed)
        result = lm_eval.simple_evaluate(
            model=language_model,
            tasks=[d.name for d in definitions],
            task_manager=TaskManager(include_path=folder, include_defaults=False),
            apply_chat_template=True,
            bootstrap_iters=0,
            use_cache=None,  # it is not keyed by the model
            log_samples=True,
        )
    rows = []
    for definition in definitions:
        for sample in sorted(result["samples"][definition.name], key=lambda s: s["doc_id"]):
            doc, raw = sample["doc"], sample["resps"][0][0]
            extracted, rule = extraction.extract(raw, definition.answers)
            tokens, truncated = language_model.length(sample["arguments"][0][0])
            rows.append((definition.name, doc["index"], doc["answer"], raw, extracted, rule,
                         sample["exact_match"], truncated, tokens))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS[1:]))


def _write_task(folder: Path, definition: Definition, n: int, seed: int) -> None:
    task = {
        "include": str(TASK),
        "task": definition.name,
        "metadata": {
            "version": definition.version,
            "benchmark": definition.name,
            "questions": n,
            "seed": seed,
        },
    }
    (folder / f"{definition.name}.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")


def _harness_model() -> type:
    """lm-eval's Hugging Face model with the engine's greedy loop; made late, since lm-eval loads slowly."""
    from lm_eval.models.huggingface import HFLM

    class Greedy(HFLM):
        """HFLM that drops finished rows and remembers how long each answer was."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.lengths: dict[tuple[int, ...], tuple[int, bool]] = {}

        def length(self, prompt: str) -> tuple[int, bool]:
            """Tokens of the answer to `prompt`, and whether it was cut off."""
            return self.lengths[tuple(self.tok_encode(prompt))]

        def _model_generate(
            self, context: torch.Tensor, max_length: int, stop: list[str], **options: Any
        ) -> torch.Tensor:
            ends = {self.tokenizer.eos_token_id, self.eot_token_id}
            if options.get("do_sample") or set(stop) - {
                self.tok_decode(e, skip_special_tokens=False) for e in ends
            }:
                raise UserError(f"{TASK}: only greedy decoding up to the end token is supported.")
            mask = options["attention_mask"]
            room = max_length - context.shape[1]
            rows = greedy(self.model, context, mask, max_new_tokens=room, ends=frozenset(ends))
            longest = max(map(len, rows))
            for ids, keep, row in zip(context, mask.bool(), rows, strict=True):
                ended = row[-1] in ends
                self.lengths[tuple(ids[keep].tolist())] = (len(row) - ended, not ended)
            padded = [row + [self.tokenizer.eos_token_id] * (longest - len(row)) for row in rows]
            return torch.cat([context, torch.tensor(padded, device=context.device)], dim=1)

    return Greedy


@reported()
def main(
    triple: Annotated[str, typer.Option(help="checkpoint folders as JSON: base, vlm, lrm")],
    tasks: Annotated[str, typer.Option(help="benchmarks, separated by commas")],
    engine: Annotated[str, typer.Option(help="the engine's settings as JSON")],
    out: Annotated[Path, typer.Option(help="CSV, one row per question")],
    recipe: Annotated[Path | None, typer.Option(help="a variant's folder, with recipe.json")] = None,
    model: Annotated[str | None, typer.Option(help="or a model of the triple: base, lrm, vlm")] = None,
    questions: Annotated[int, typer.Option(help="per task")] = 400,
    seed: Annotated[int, typer.Option(help="the items' seed")] = 0,
) -> None:
    """Ask described questions."""
    settings, definitions = Settings.parse(engine), find_all(tasks)
    opened = triple_of(triple, Recipe.load(recipe)[0].scope if recipe else "mat")
    loaded, tokenizer = load_model(opened, model, recipe, settings)
    table = ask(loaded, tokenizer, definitions, questions, seed, settings.batch_size)
    table.insert(0, "variant", model or (recipe.name if recipe else ""))
    with atomic_write(out) as temporary:
        # Texts are quoted: a bare carriage return in an answer would end the line for whoever reads it.
        table.to_csv(temporary, index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)


if __name__ == "__main__":
    typer.run(main)
