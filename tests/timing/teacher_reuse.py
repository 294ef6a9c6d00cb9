"""Steps per second of gate learning with the teacher and the vision tower worked out once, and without.

    python tests/timing/teacher_reuse.py [--case miniature 3b] [--steps 5] [--rounds 3] [--clock cpu]
The direct way runs the frozen VLM as teacher in every step, and the whole model, vision tower included, in
every pass; all else is the learner's own step in both (inputs processed and answers written once, vocabulary
multiplied out at answer tokens only). Rounds of both ways take turns in one process; medians are shown, what
asking the teacher once costs, and whether the gates are equal in the end. Cases: the miniature at full rank;
`--layers` text layers of Qwen2.5-VL-3B's width, at rank 64, behind its vision tower, of which the released
model has 32 layers and this one `--tower-layers` (the fewer, the smaller the gain). fp32 on a CPU. Set
OMP_NUM_THREADS to what learning will use.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import few_layers
import torch
from engine_gpu import processor
from PIL import Image
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from benchmarks.calibration import load as calibrations
from benchmarks.study import calibration_settings
from frism.compute import Compute
from frism.distillation import teacher
from frism.distillation.collation import ModelInputs, collate
from frism.distillation.prompts import Question, prepare_questions
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import Example, TeacherSettings, answer_questions
from frism.gates.gated_model import GatedInjection
from frism.gates.learning import Learning
from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import Spectrum
from frism.triples.triple import ROLES, Triple

WEIGHTS = Path(__file__).parents[2] / "benchmarks" / "miniature" / "weights"
ASKING = TeacherSettings(max_new_tokens=4)
SETTINGS = Learning(lr=0.01, alpha=0.1)
WAYS = {"direct": True, "reuse": False}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
RANK, SIDE = 64, 224  # of the wide case: directions, and a picture's edge in pixels
TARGET = 1.5


class Way:
    """One way of stepping, with gates of its own: `direct`, or with everything reused."""

    def __init__(
        self,
        receiver: Receiver,
        spectra: dict[str, Spectrum],
        examples: list[Example],
        inputs: list[ModelInputs],
        direct: bool,
    ) -> None:
        self.receiver, self.examples, self.inputs, self.direct = receiver, examples, inputs, direct
        self.injection = GatedInjection(receiver.modules, spectra, 1.0)
        self.optimizer = torch.optim.AdamW(self.injection.parameters(), lr=SETTINGS.lr, weight_decay=0.0)

    def step(self, number: int) -> None:
        """Forward, backward and update; what differs is where the divergence comes from."""
        place = number % len(self.examples)
        self.optimizer.zero_grad()
        target = self._log_probs(place) if self.direct else None
        with self.injection.apply():
            if target is None:
                divergence = self.examples[place].divergence(self.receiver)
            else:
                student = self._logits(place).log_softmax(-1)
                kl = torch.nn.functional.kl_div(student, target, log_target=True, reduction="none")
                divergence = kl.sum(-1).mean()
            loss = divergence - SETTINGS.alpha * self.injection.injected_energy()
            loss.backward()
        self.optimizer.step()

    @torch.no_grad()
    def _log_probs(self, place: int) -> Tensor:
        return self._logits(place).log_softmax(-1)

    def _logits(self, place: int) -> Tensor:
        hidden = self.receiver.model.model(**self.inputs[place], use_cache=False).last_hidden_state
        return self.receiver.logits(hidden[self.examples[place].answer])


def compare(
    case: str,
    receiver: Receiver,
    spectra: dict[str, Spectrum],
    questions: list[Question],
    options: argparse.Namespace,
) -> None:
    """Time both ways on one model and print a line for each."""
    clock = CLOCKS[options.clock]
    start = clock()
    every, size = prepare_questions(receiver.processor, questions, range(len(questions))), options.batch
    batches = [every[first : first + size] for first in range(0, len(every), size)]
    examples = [answer_questions(receiver, batch, ASKING) for batch in batches]
    asking = clock() - start
    inputs = [answered(receiver, batch, example) for batch, example in zip(batches, examples, strict=True)]
    ways = {name: Way(receiver, spectra, examples, inputs, direct) for name, direct in WAYS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    number = 0
    for turn in range(options.rounds + 1):  # the first one warms up
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            start = clock()
            for step in range(number, number + options.steps):
                ways[name].step(step)
            if turn:
                seconds[name].append((clock() - start) / options.steps)
        number += options.steps
    median = {name: statistics.median(values) for name, values in seconds.items()}
    tokens = examples[0].answer.numel()
    print(f"{case}: {len(questions)} questions in batches of {size}, up to {tokens} tokens a batch")
    for name, value in median.items():
        spread = f"{min(seconds[name]):.3f} to {max(seconds[name]):.3f} s"
        print(f"  {name:<7} {1 / value:8.3f} steps/s ({spread} a step)")
    gates = [way.injection.coefficients() for way in ways.values()]
    apart = max((gates[0][name] - gates[1][name]).abs().max().item() for name in gates[0])
    ratio = median["direct"] / median["reuse"]
    print(f"  ratio {ratio:.2f} (target {TARGET}); asking the teacher once took {asking:.2f} s, "
          f"{asking / (median['direct'] - median['reuse']):.0f} steps' gain; "
          f"gates differ by at most {apart:.1e} after {number} steps")  # fmt: skip


def answered(receiver: Receiver, batch: list[ModelInputs], example: Example) -> ModelInputs:
    """The whole model's inputs for prompts and answers, as the teacher had them."""
    inputs = collate(batch, receiver.processor.tokenizer.pad_token_id)
    marks = example.answer[:, inputs["input_ids"].shape[1] - 1 :]
    answers = torch.zeros(marks.shape, dtype=torch.long)
    answers[marks] = example.tokens
    return teacher.append_answers(inputs, answers, marks, receiver.model.config.model_type)


def miniature(options: argparse.Namespace) -> None:
    """The miniature triple as released with this project."""
    triple = Triple.open(*(WEIGHTS / role for role in ROLES))
    receiver, spectra = Receiver.load(triple, Compute()), Spectra(triple)
    questions = calibrations.load_calibration(
        calibration_settings.CalibrationSettings(questions=4 * options.batch), seed=0
    ).questions
    found = {name: spectra.load(name) for name in receiver.modules}
    compare("miniature", receiver, found, list(questions), options)


def wide(options: argparse.Namespace) -> None:
    """A few layers of Qwen2.5-VL-3B's width with random weights and directions."""
    ready = processor()
    ready.image_processor.max_pixels = ready.image_processor.min_pixels = SIDE * SIDE
    text = few_layers.SHAPES["3b"] | {
        "num_hidden_layers": options.layers, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
        "bos_token_id": None, "eos_token_id": ready.tokenizer.eos_token_id,
        "pad_token_id": ready.tokenizer.pad_token_id, "vocab_size": options.vocabulary,
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 1e6}
    config = few_layers._vlm_config(ready.tokenizer, text, rope, {"depth": options.tower_layers})
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(config).eval().requires_grad_(False)
    tower = model.model.language_model
    modules = {f"{place}.weight": part for place, part in tower.named_modules()
               if isinstance(part, torch.nn.Linear)}  # fmt: skip
    spectra = {name: directions(part) for name, part in modules.items()}
    pictures = [
        Image.effect_noise((SIDE, SIDE), 60 + 10 * place).convert("RGB") for place in range(options.batch)
    ]
    questions: list[Any] = [(picture, "What is to be seen here?") for picture in pictures]
    case = f"Qwen2.5-VL-3B's width, {options.layers} text layers, {options.tower_layers} tower layers"
    compare(case, Receiver(model, ready, tower, modules), spectra, questions, options)


def directions(module: torch.nn.Linear) -> Spectrum:
    """Random orthonormal directions of a falling spectrum, a tenth of the weight's size."""
    u, _ = torch.linalg.qr(torch.randn(module.out_features, RANK))
    v, _ = torch.linalg.qr(torch.randn(module.in_features, RANK))
    s = torch.linspace(1.0, 0.1, RANK)
    return Spectrum(u, s * (0.1 * module.weight.norm() / s.norm()), v.T.contiguous())


CASES = {"miniature": miniature, "3b": wide}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu on a machine that others use")
    parser.add_argument("--steps", type=int, default=5, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--tower-layers", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=151936)
    chosen = parser.parse_args()
    for name in chosen.case:
        CASES[name](chosen)
