"""Check the analyses of a study before anything runs, and say what their jobs are and depend on."""

from typing import Any

from benchmarks.study.analysis_settings import AnalysisSettings
from benchmarks.study.config import StudyConfig
from benchmarks.study.slices.analyse_slice import AnalyseSlice
from frism.errors import UserError
from workflow.code_digest import ROOT, digest_code
from workflow.jobs import Jobs, digest_modules
from workflow.remember import remember
from workflow.resolve import list_method_modules

FOLDER = ROOT / "benchmarks" / "analyses"
SHARED = "benchmarks.analyses.measuring.ground"  # what every analysis gets, by a name known at run time only


def resolve_analyses(study: StudyConfig) -> dict[str, dict[str, Any]]:
    """Return of every entry its `module`, its `variants` and whether it is `calibrated` (asks
    calibration questions) or `traced` (reads V's answers).

    Raises UserError, one sentence, for an engine that cannot be changed in place, an unknown analysis or
    parameter, a value of the wrong type or range, and a variant that it is not made for.
    """
    if not study.analyses:
        return {}
    modules = [f"benchmarks.analyses.{path.stem}" for path in sorted(FOLDER.glob("[!_]*.py"))]
    code = digest_code("benchmarks.analyses.measuring.discovery", *modules, *list_method_modules().values())
    answer: dict[str, dict[str, Any]] = remember(
        [
            "analyses",
            code,
            study.engine.name,
            study.model_dump(mode="json", include={"variants", "analyses", "calibration", "benchmarks"}),
        ],
        lambda: {name: _resolve(name, entry, study) for name, entry in study.analyses.items()},
    )
    return answer


def _resolve(name: str, entry: AnalysisSettings, study: StudyConfig) -> dict[str, Any]:
    from benchmarks.analyses.measuring import discovery

    try:
        analysis = discovery.find(entry.analysis or name)
        combinations = analysis.expand(entry.params)
    except UserError as error:
        raise UserError(f"analyses.{name}: {error}") from None
    if analysis.runs_a_model and study.engine.name != "transformers":
        raise UserError(
            f"analyses.{name} changes a loaded model in place, which engine {study.engine.name} cannot:"
            " choose engine transformers, or drop it."
        )
    calibrated = analysis.asks_calibration(combinations)
    if calibrated and study.calibration is None:
        raise UserError(
            f"analyses.{name} asks unlabelled calibration questions: say which under `calibration`"
            " (config/README.md)."
        )
    if analysis.scenes:
        _check_scenes(name, entry, study)
    faults = dict.fromkeys(study.variants, "")
    if analysis.runs_a_model:
        faults = {variant: _find_fault(variant, analysis.merges, study) for variant in study.variants}
    for variant in entry.variants:
        if faults[variant]:
            raise UserError(f"analyses.{name}: variant {variant} {faults[variant]}: drop it there.")
    variants = entry.variants or tuple(variant for variant, fault in faults.items() if not fault)
    return {
        "module": analysis.module, "variants": list(variants), "calibrated": calibrated,
        "traced": analysis.trace is not None,
    }  # fmt: skip


def _check_scenes(name: str, entry: AnalysisSettings, study: StudyConfig) -> None:
    """Raise UserError where a benchmark's pictures are not of the miniature world."""
    from benchmarks.registry.lookup import find

    for definition in map(find, study.benchmarks):
        asked = not entry.benchmarks or definition.name in entry.benchmarks
        if asked and definition.source.miniature is None:
            raise UserError(
                f"analyses.{name} asks which parts of a picture matter, which nobody knows of"
                f" {definition.name}: name benchmarks of the miniature world under its `benchmarks`."
            )


def _find_fault(name: str, merges: bool, study: StudyConfig) -> str:
    """Say why a variant cannot be analysed; nothing where it can."""
    from frism.method import discovery as methods

    variant = study.variants[name]
    if variant.method is not None and methods.find(variant.method).mix is not None:
        return "lets two models answer together, and this analysis changes one"
    if merges and variant.method in (None, "vlm"):
        return "is no merge, so it has no change to take apart"
    return ""


class AnalysisJobs:
    """Describes the jobs of a study's analyses."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs, self.study = jobs, jobs.study
        self.entries = resolve_analyses(jobs.study)

    @property
    def names(self) -> list[str]:
        """List the entries."""
        return list(self.entries)

    def list_scores(self) -> list[str]:
        """List the tables of scores that the jobs write."""
        return [
            f"{self.jobs.layout.root}/analyses/{name}/{variant}.csv"
            for name, entry in self.entries.items()
            for variant in entry["variants"]
        ]

    def list_waits(self, entry: str, variant: str) -> list[str]:
        """List the recipes that a job waits for: the variant's, and V's where its answers are read."""
        names = [variant, self.study.reference] if self.entries[entry]["traced"] else [variant]
        return [f"{self.jobs.layout.variant(name)}/recipe.json" for name in dict.fromkeys(names)]

    def changing_code(self, entry: str) -> str:
        """Digest what changes the model: part of the key of every answer."""
        return digest_modules(self.entries[entry]["module"], SHARED)

    def code(self, entry: str, variant: str) -> str:
        """Digest what the job does."""
        modules = ("benchmarks.stages.analyse", self.entries[entry]["module"])
        data = ("benchmarks/analyses/measuring/*.yaml",)
        return digest_modules(*modules, *self.jobs.method_code(variant), data=data)

    def describe(self, entry: str, variant: str) -> str:
        """Return what a job depends on, beside the variant's recipe and its questions."""
        calibrated = self.entries[entry]["calibrated"]
        settings = AnalyseSlice.of(self.study).describe(entry, calibrated)
        served = self.study.variants[variant].served
        digest = self.jobs.digest_calibration() if calibrated else ""
        return f"{settings} {served} {self.jobs.definitions('benchmarks')} {digest}"
