"""Say of every job of a study what it reads, what it waits for, and which values make it run again."""

import json
import os
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path

from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import Layout
from benchmarks.study.slices.items_slice import ItemsSlice
from benchmarks.study.slices.predict_slice import PredictSlice
from benchmarks.study.slices.score_slice import ScoreSlice
from benchmarks.study.slices.text_slice import TextSlice
from benchmarks.study.slices.tune_slice import TuneSlice
from frism.errors import UserError, report_errors
from workflow import resolve
from workflow.code_digest import ROOT, digest_code
from workflow.remember import read_states, remember

POPULATION = "results/reference/population/tables/overall.csv"

# What only some variants' jobs go by; a change in it concerns nobody else.
OPTIONAL = {"spectrum": "frism.spectra", "calibration": "benchmarks.calibration"}


@cache
def digest_modules(*modules: str, data: Sequence[str] = (), without: Sequence[str] = ()) -> str:
    """Return a digest of what a job's Python does, and of the project's data files that it goes by."""
    return digest_code(*modules, data=data, without=without)


def check_writable(folder: Path) -> None:
    """Raise UserError unless results can be written below `folder`."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"cannot write below {existing.resolve()}: make it a folder that you may write to.")


class Jobs:
    """Describes the jobs of one study.

    Attributes:
        study: the checked config.
        layout: the files of its results.
        needs: by variant, what its method asks for.
    """

    def __init__(self, study: StudyConfig) -> None:
        self.study = study
        self.layout = Layout(Path("results", study.study))
        self.needs = resolve.find_needs(study)

    def write_record(self) -> None:
        """Write what the study is run with, which every job reads, before any of them starts."""
        from benchmarks.stages.record import write_record

        others = {v.checkpoint for v in self.study.variants.values()} | {
            v.base for v in self.study.variants.values()
        }
        digests = {folder: self._digest_folder(folder) for folder in sorted(filter(None, others))}
        write_record(self.study, self.layout.record, {**self.weights, **digests})

    # --- files that jobs wait for ---

    def items(self, variant: str) -> str:
        """Return the folder of the questions that a variant answers."""
        return str(self.layout.items(variant if self.study.variants[variant].needs_own_items else None))

    def list_prerequisites(self, variant: str) -> list[str]:
        """List dev.csv of the unmodified model, which sets the budget, and of the variant to start from."""
        before = {self.study.reference, self.study.variants[variant].reference} - {variant, None}
        return [f"{self.layout.variant(name)}/dev.csv" for name in sorted(filter(None, before))]

    @cached_property
    def fitted_ahead(self) -> list[str]:
        """List the variants that learn in jobs of their own, as others' answers take turns in one process."""
        needs = self.needs if self.study.engine.runs_vllm else {}
        return [
            name
            for name in needs
            if "calibration" in needs[name]
            and "dev" not in needs[name]
            and self.study.variants[name].search is None
        ]

    @property
    def merged(self) -> list[str]:
        """List the variants other than the unmodified model."""
        return [name for name in self.study.variants if name != self.study.reference]

    def rank(self, variant: str) -> int:
        """Rank a variant's job among those that could run: what others wait for, then what takes longest."""
        learned = self.study.learned
        return (variant in learned) * 1000 + len(self.study.variants[variant].points)

    @cached_property
    def turns(self) -> list[list[str]]:
        """List the variants that take turns in one process, by process; none where each has its own.

        Who learns in a job of its own and from another's choice waits for the first process to end.
        """
        if not (self.study.engine.runs_vllm or self.study.engine.turns):
            return []
        variants = self.study.variants
        late = [name for name in self.fitted_ahead if variants[name].reference]
        first = [name for name in variants if name not in late]
        # The unmodified model sets the budget of all, and a reference goes before what is made from it.
        first.sort(key=lambda name: (name != self.study.reference, variants[name].reference is not None))
        return [names for names in (first, late) if names]

    @property
    def shards(self) -> int:
        """Return how many jobs share a variant's test questions; 1: the job that tunes it has them all."""
        return 1 if self.turns else self.study.questions.shards

    def list_shards(self, variant: str) -> list[str]:
        """List the answers of the jobs that share a variant's test questions."""
        parts = range(1, self.shards + 1)
        return [f"{self.layout.root}/shards/{variant}/{part}of{self.shards}.jsonl" for part in parts]

    def list_waits(self, names: Sequence[str]) -> list[str]:
        """List the files that a process waits for in which variants take turns."""
        awaited = [f"{self.items(name)}/manifest.json" for name in names]
        awaited += [path for name in names for path in self.spectra(name)]
        awaited += [f"{self.layout.variant(name)}/fitted.json" for name in names if name in self.fitted_ahead]
        within = {f"{self.layout.variant(name)}/dev.csv" for name in names}
        awaited += [path for name in names for path in self.list_prerequisites(name) if path not in within]
        return list(dict.fromkeys(awaited))

    def list_reference(self, variant: str) -> list[str]:
        """List the recipe of the variant that one starts from."""
        reference = self.study.variants[variant].reference
        return [f"{self.layout.variant(reference)}/recipe.json"] if reference else []

    def merging_code(self, variant: str) -> str:
        """Digest what makes a variant's weights: part of its recipe, and so of the key of every answer."""
        return self.code(variant, *self.method_code(variant), "frism.merging.on_load")

    def answering_code(self, variant: str) -> str:
        """Digest what the job does that takes a variant from its fit to its answers."""
        data = ("benchmarks/text/*.yaml",)
        return self.code(variant, "benchmarks.stages.answer", *self.method_code(variant), data=data)

    def spectra(self, variant: str) -> list[str]:
        """List the parts of the spectra that a variant's jobs wait for; none where it needs none."""
        return self.all_spectra if "spectrum" in self.needs.get(variant, ()) else []

    @cached_property
    def all_spectra(self) -> list[str]:
        """List the parts of the spectra; none where no variant needs them."""
        wanted = any("spectrum" in needs for needs in self.needs.values())
        parts = self.study.spectrum.parts if wanted else 0
        return [f"{self.layout.spectra}/part{part}of{parts}.json" for part in range(1, parts + 1)]

    @property
    def oracle(self) -> list[str]:
        """List test scores of every grid point, where the study asks for them."""
        variants = self.study.variants if self.study.selection.oracle else {}
        return [
            f"{self.layout.variant(name, point)}/test.csv"
            for name, variant in variants.items()
            for point in range(len(variant.points))
        ]

    @property
    def papers(self) -> tuple[str, ...]:
        """List the published numbers that the study's are put beside."""
        return (f"results/reference/papers/{self.study.published}.yaml",) if self.study.published else ()

    @property
    def population(self) -> tuple[str, ...]:
        """List what the summary tells of the population, where the study asks which kind its triple is of."""
        asks = any(variant.method == "put_back" for variant in self.study.variants.values())
        return (POPULATION,) if asks and (ROOT / POPULATION).is_file() else ()

    # --- resources ---

    @property
    def gpus(self) -> int:
        """Return the GPUs of a job that fits or answers."""
        engine = self.study.engine
        return engine.devices * engine.vllm_settings.tensor_parallel * (engine.device != "cpu")

    # --- values that make a job run again ---

    def describe_questions(self, variant: str | None) -> str:
        """Return what questions depend on; None: those that most variants share."""
        model = self.study.variants[variant].checkpoint if variant else None
        settings = ItemsSlice.of(self.study).of_variant(variant).model_dump_json()
        return (
            f"{settings} {_read_model_type(model or self.study.triple.vlm)} {self.definitions('benchmarks')}"
        )

    def describe_fit(self, variant: str) -> str:
        """Return what a fit and its choice on dev depend on."""
        settings = TuneSlice.of(self.study).describe_fit(variant, self.needs[variant])
        benchmarks = resolve.select_on_dev(self.study.benchmarks)
        learned_from = self.digest_calibration(variant) if "calibration" in self.needs[variant] else ""
        base = self._digest_folder(own) if (own := self.study.variants[variant].base) else ""
        return f"{settings} {json.dumps(benchmarks)} {self.definitions('benchmarks')} {learned_from}{base}"

    def describe_answers(self, variant: str) -> str:
        """Return what a variant's answers depend on, beside its recipe."""
        content = PredictSlice.of(self.study)
        return content.model_copy(update={"variants": {variant: content.variants[variant]}}).model_dump_json()

    def describe_scores(self, variant: str) -> str:
        """Return what a variant's scores depend on, beside its answers."""
        content = ScoreSlice.of(self.study)
        alone = content.model_copy(update={"variants": {variant: content.variants[variant]}})
        return f"{alone.model_dump_json()} {self.definitions('benchmarks')}"

    @cached_property
    def text(self) -> str:
        """Return what the text column depends on, beside a variant's recipe."""
        return f"{TextSlice.of(self.study).model_dump_json()} {self.definitions('text')}"

    @cached_property
    def whole(self) -> str:
        """Return the whole config: tables, figures and the summary may say anything of it."""
        return self.study.model_dump_json()

    @cache  # noqa: B019 (one object, as long as the process)
    def definitions(self, key: str) -> str:
        """Digest what the definitions of the benchmarks under a key say."""
        return resolve.digest_definitions(getattr(self.study, key))

    def method_code(self, variant: str) -> list[str]:
        """List the module of a variant's method; none for a checkpoint."""
        method = self.study.variants[variant].method
        return [resolve.list_method_modules()[method]] if method is not None else []

    def code(self, variant: str, *modules: str, data: Sequence[str] = ()) -> str:
        """Digest what a job that makes or asks this variant does; what only others need is left out."""
        needs = self.needs.get(variant, ())
        unused = tuple(module for need, module in OPTIONAL.items() if need not in needs)
        return digest_modules(*modules, data=tuple(data), without=unused)

    @cached_property
    def weights(self) -> dict[str, str]:
        """Digest the three checkpoints' content.

        The files are no inputs: a clone or a checkout renews their times, which would start everything again.
        Alignment and completeness of the triple are checked on the way.
        """
        triple, scope = self.study.triple, self.study.scope
        folders = triple.folders
        made_by = digest_modules("frism.triples.triple")
        with report_errors():
            digests: dict[str, str] = remember(
                [folders, scope, read_states(folders.values()), made_by],
                lambda: dict(triple.open(scope).digest),
            )
        return digests

    def digest_checkpoint(self, variant: str) -> str:
        """Digest the checkpoint that a variant is; empty for a merge."""
        folder = self.study.variants[variant].checkpoint
        return "" if folder is None else self._digest_folder(folder)

    def _digest_folder(self, folder: str) -> str:
        """Digest a checkpoint's content."""

        def inspect() -> str:
            from frism.checkpoints.checkpoint import Checkpoint

            return Checkpoint.open(folder).digest

        with report_errors():
            made_by = digest_modules("frism.checkpoints.checkpoint")
            digest: str = remember([folder, read_states([folder]), made_by], inspect)
        return digest

    @cache  # noqa: B019 (one object, as long as the process)
    def digest_calibration(self, variant: str | None = None) -> str:
        """Digest the calibration's pictures and questions, or those that a variant has of its own."""
        from benchmarks.calibration import load

        own = self.study.variants[variant].calibration if variant else None
        settings = own or self.study.calibration
        assert settings is not None, "checked with the config"
        with report_errors():
            return load.load_calibration(settings, self.study.seed).digest


def _read_model_type(folder: str) -> str:
    """Read the architecture that a checkpoint's config names: prompts follow it, whatever the weights."""
    try:
        content = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""  # the stage that opens the folder says what is wrong with it
    return str(content.get("model_type", ""))


def list_results(configs: Iterable[str]) -> list[str]:
    """List the results folders of the studies of some configs. Raises UserError for a faulty one."""
    return [str(Path("results", StudyConfig.load(Path(config)).study)) for config in configs]


def get_variant(items: str) -> str | None:
    """Return the variant whose own questions a folder holds; None for those that most variants share."""
    return items.partition("/")[2] or None


def format_variant_option(items: str) -> str:
    """Return the option of the stage `items` that names the variant of a folder of items."""
    variant = get_variant(items)
    return f"--variant {variant}" if variant else ""


def list_spectrum_options(study: StudyConfig) -> Iterable[str]:
    """Yield the words of `frism spectrum` that say how to decompose."""
    for name, value in study.spectrum.settings.model_dump().items():
        if value is not None:
            yield from (f"--{name}", str(value))
