"""Files of predictions as other harnesses write them: by their own writers where these are installed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.answering.vlmevalkit_loop import VlmevalkitLoop
from benchmarks.prompting import vlmevalkit_models
from benchmarks.questions.item import Item
from benchmarks.vlmevalkit.loading import set_environment

REQUEST = "Answer with the option's letter from the given choices directly."


def run_vlmevalkit(loop: VlmevalkitLoop, items: Sequence[Item], folder: Path, form: str) -> Path:
    """Let VLMEvalKit's own inference answer, and return the result file that it writes."""
    folder.mkdir(parents=True, exist_ok=True)
    loop.wrapper.begin(items, [loop.settings.max_new_tokens] * len(items))
    with set_environment(PRED_FORMAT=form):
        job = vlmevalkit_models.import_package("inference").infer_data_job
        job(loop.wrapper.model, str(folder), "Model", loop._dataset(items, folder / "shown"))
    (path,) = folder.rglob(f"*.{form}")
    return path


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_plain(path: Path, texts: Mapping[Any, str]) -> Path:
    """Write plain lines of index and prediction."""
    return write_lines(path, [{"index": index, "prediction": text} for index, text in texts.items()])


def sample_of_lmms_eval(position: int, doc: Mapping[str, Any], text: str, version: str) -> dict[str, Any]:
    """One line of lmms-eval's file: with its doc and nested lists, as until 0.2; without the doc and with
    `filtered_resps` alone, as from 0.3; with flat texts, as from 2026 on."""
    common = {"doc_id": position, "target": "", "doc_hash": f"{position:064x}", "gpt_eval": {"acc": 0}}
    prompt = f"{doc['question']}\n{REQUEST}"
    if version == "0.2":
        return common | {
            "doc": dict(doc), "arguments": [prompt, {"max_new_tokens": 16}], "resps": [[text]],
            "filtered_resps": [text], "prompt_hash": "0",
        }  # fmt: skip
    if version == "0.3":
        return common | {"filtered_resps": [text], "input": prompt}
    return common | {"resps": [f"<think>hm</think>{text}"], "filtered_resps": text, "input": prompt,
                     "token_counts": [{"input_tokens": 90, "output_tokens": 7}]}  # fmt: skip
