"""Write the triple's model card from the trained weights: accuracies with intervals, norms, hashes.

`python -m benchmarks.miniature.card --weights benchmarks/miniature/weights`
"""

from pathlib import Path
from typing import Annotated

import jinja2
import pandas as pd
import torch
import typer
import yaml
from statsmodels.stats.proportion import proportion_confint
from transformers import AutoProcessor, PreTrainedModel, Qwen2_5_VLForConditionalGeneration, Qwen2ForCausalLM
from transformers.utils import logging

from benchmarks.miniature import question_families as q
from benchmarks.miniature.training import measure_accuracies
from frism.files import atomic_write, sha256_file

PARTS = ("base", "lrm", "vlm", "sft_text")
GROUPS = {"perception": q.PERCEPTION, "short chains": q.SHORT, "reasoning": q.REASONING}
CONDITIONS = {  # title: (part, pictures shown, asked for steps or for a short answer)
    "B, described": ("base", False, True),
    "R, described": ("lrm", False, True),
    "R, described, not asked": ("lrm", False, False),
    "V, described": ("vlm", False, True),
    "V, pictures": ("vlm", True, True),
    "V, pictures, not asked": ("vlm", True, False),
    "V after R's chains, pictures": ("sft_text", True, True),
}


def main(
    weights: Annotated[Path, typer.Option(exists=True, help="Folder with base/, lrm/, vlm/ and sft_text/.")],
    questions: Annotated[int, typer.Option(help="Test questions per family.")] = 500,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Measure the triple and write README.md and SHA256SUMS beside its weights."""
    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    processor = AutoProcessor.from_pretrained(weights / "vlm")
    models = {
        "base": Qwen2ForCausalLM.from_pretrained(weights / "base"),
        "lrm": Qwen2ForCausalLM.from_pretrained(weights / "lrm"),
        "vlm": Qwen2_5_VLForConditionalGeneration.from_pretrained(weights / "vlm"),
        "sft_text": Qwen2_5_VLForConditionalGeneration.from_pretrained(weights / "sft_text"),
    }
    scores = {}
    for title, (part, seen, asked) in CONDITIONS.items():
        typer.echo(f"measuring {title}", err=True)
        scores[title] = measure_accuracies(
            models[part], processor, q.FAMILIES, seen=seen, asked=asked, n=questions, split="test"
        )
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=folder, trim_blocks=True, lstrip_blocks=True)
    template = environment.get_template("card.md.jinja")
    text = template.render(
        groups=_group_table(scores, questions).to_markdown(index=False),
        families=_family_table(scores).to_markdown(index=False),
        n=questions,
        norms=compute_norms(models),
        parameters={part: sum(p.numel() for p in m.parameters()) for part, m in models.items()},
        training={part: yaml.safe_load((weights / part / "training.yaml").read_text()) for part in PARTS},
        losses=_losses(weights).to_markdown(index=False),
    )
    with atomic_write(weights / "README.md") as path:
        path.write_text(text + "\n")
    files = sorted(
        f
        for part in PARTS
        for f in (weights / part).iterdir()
        if f.suffix in {".safetensors", ".json", ".jinja"}
    )
    with atomic_write(weights / "SHA256SUMS") as path:
        path.write_text("".join(f"{sha256_file(f)}  {f.relative_to(weights)}\n" for f in files))


def compute_norms(models: dict[str, PreTrainedModel]) -> dict[str, float]:
    """Compute Frobenius norms of B, tau_V, tau_R over attention and MLP matrices, and cos(tau_V, tau_R)."""
    towers = {
        "base": models["base"].model,
        "lrm": models["lrm"].model,
        "vlm": models["vlm"].model.language_model,
    }
    state = {part: tower.state_dict() for part, tower in towers.items()}
    names = [name for name in state["base"] if name.endswith("proj.weight")]

    def vector(part: str) -> torch.Tensor:
        return torch.cat([state[part][name].double().flatten() for name in names])

    base = vector("base")
    tau_v, tau_r = vector("vlm") - base, vector("lrm") - base
    return {
        "B": base.norm().item(),
        "tau_V": tau_v.norm().item(),
        "tau_R": tau_r.norm().item(),
        "cosine": torch.nn.functional.cosine_similarity(tau_v, tau_r, dim=0).item(),
    }


def _group_table(scores: dict[str, dict[str, float]], n: int) -> pd.DataFrame:
    rows = []
    for title, by_family in scores.items():
        row = {"model and input": title}
        for group, families in GROUPS.items():
            right, total = sum(round(by_family[f] * n) for f in families), n * len(families)
            low, high = proportion_confint(right, total, method="wilson")
            row[group] = f"{right / total:.3f} [{low:.3f}, {high:.3f}]"
        rows.append(row)
    return pd.DataFrame(rows)


def _family_table(scores: dict[str, dict[str, float]]) -> pd.DataFrame:
    return pd.DataFrame([
        {"family": family, "group": group} | {title: f"{by[family]:.3f}" for title, by in scores.items()}
        for group, families in GROUPS.items() for family in families
    ])  # fmt: skip


def _losses(weights: Path) -> pd.DataFrame:
    curves = pd.concat([pd.read_csv(weights / part / "loss.csv") for part in PARTS])
    stages = curves.groupby("stage", sort=False)
    return pd.DataFrame({
        "stage": list(stages.groups),
        "steps": stages["step"].max().to_numpy() + 1,
        "first loss": stages["loss"].first().to_numpy(),
        "last loss": stages["loss"].last().to_numpy(),
    })  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
