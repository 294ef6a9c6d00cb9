# What the rules share: the checked config, and the values that decide whether a job runs again.
import fcntl
import json
import os
import shlex
import sys
from functools import cache
from pathlib import Path

from frism.errors import UserError
from workflow import benchmark_list, schema, settings, variant_list
from workflow.code_digest import code_digest
from workflow.remember import remembered, states

# Nothing is downloaded while a study runs: a library that tries fails at once and says so.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

CONFIG_FILE = " + ".join(
    str(path) for path in workflow.overwrite_configfiles or ["config/miniature.yaml"]
)
RESULTS = Path("results", str(config.get("study", "")))


def fail(error):
    """End with the sentence alone: a traceback through Snakemake says nothing more."""
    sys.exit(f"error: {error}")


def check_everything():
    """The whole config and the results folder, before any job is planned."""
    try:
        settings.check(config, CONFIG_FILE)
    except UserError as error:
        fail(error)
    folder = next(path for path in (RESULTS, *RESULTS.parents) if path.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        fail(f"cannot write below {folder.resolve()}: make it a folder that you may write to.")


check_everything()
schema.fill(config)

VARIANTS = list(config["variants"])
REFERENCE = next(name for name, v in config["variants"].items() if v["method"] == "vlm")
OWNERS = ["base", "lrm", *VARIANTS] if config["text"] else []
BENCHMARKS = benchmark_list.listed(config["benchmarks"])
# Coefficients are chosen by the perception and reasoning benchmarks that can be split; the others are asked
# on test alone.
ON_DEV = [d["name"] for d in benchmark_list.resolved(config["benchmarks"]) if d["on_dev"]]
DEV_BENCHMARKS = benchmark_list.listed(config["benchmarks"], ON_DEV)
SPLITS = {split: n for split, n in config["questions"].items() if split in ("dev", "test")}
TEXTS = benchmark_list.listed(config["text"])
TEXT_QUESTIONS = config["questions"][settings.text_number(config["questions"])]
JUDGE = f"--judge {shlex.quote(json.dumps(config['judge']))}" if "judge" in config else ""
# Who works on singular directions, and who learns from unlabelled questions; a change in either concerns
# nobody else.
NEEDS = variant_list.needs(config["variants"])
SPECTRUM = {
    name: value
    for name, value in config["spectrum"].items()
    if name not in schema.extra_keys("spectrum")
}
PARTS = config["spectrum"]["parts"] if any("spectrum" in parts for parts in NEEDS.values()) else 0
SPECTRA = [f"{RESULTS}/spectra/part{part}of{PARTS}.json" for part in range(1, PARTS + 1)]
ENGINE = config["engine"]
# vLLM always runs on GPUs, a server elsewhere.
GPU = {"vllm": ENGINE["devices"], "openai": 0}.get(
    ENGINE["name"], ENGINE["devices"] * (ENGINE["device"] != "cpu")
)

held = []  # the open lock file: the operating system releases it however this process ends


def work_alone():
    """One Snakemake at a time in a folder; unlike Snakemake's own lock, this one cannot outlive a kill."""
    held.append(open(".snakemake/running", "a"))
    try:
        fcntl.flock(held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        fail(f"another snakemake is running in {Path.cwd()}: wait for it or end it.")


@cache
def weights():
    """Digests of the three checkpoints' content, as parameters of the jobs that read them.

    The files are not inputs: a clone or a checkout renews their times, which would start
    everything again. Alignment and completeness of the triple are checked on the way.
    """

    def inspect():
        from frism.triples.triple import Triple

        return Triple.open(**config["triple"], scope=config["scope"]).digest

    triple = config["triple"]
    try:
        return remembered(
            [triple, config["scope"], states(triple.values()), code("frism.triples.triple")],
            inspect,
        )
    except UserError as error:
        fail(error)


@cache
def code(*modules, data=(), without=()):
    """What a job's Python does, and the data files of the project that it goes by."""
    return code_digest(*modules, data=data, without=without)


@cache
def definitions(key):
    """What the definitions of the config's benchmarks say: under `benchmarks` or `text`."""
    return benchmark_list.digest(config[key])


def model_type():
    """The architecture that V's config names: prompts follow it, whatever the weights."""
    try:
        said = json.loads(Path(config["triple"]["vlm"], "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""  # what is wrong with the folder is said by whoever opens it
    return said.get("model_type", "")


def option(name, value):
    """An option of a command line, or nothing."""
    return f"--{name} {shlex.quote(str(value))}" if value else ""


def method_of(variant):
    """The module of a variant's method."""
    return variant_list.method_modules()[config["variants"][variant]["method"]]


def code_for(variant, *modules, data=(), without=()):
    """What a job that makes or asks this variant does; what others need alone does not count."""
    unused = {"spectrum": "frism.spectra", "calibration": "benchmarks.calibration"}
    own = NEEDS.get(variant, ())
    return code(
        *modules,
        data=data,
        without=(*without, *(m for part, m in unused.items() if part not in own)),
    )


def spectra_of(variant):
    """What a job reads the spectra after: their parts, for a variant that needs any."""
    return SPECTRA if "spectrum" in NEEDS.get(variant, ()) else []


def spectra_option(variant):
    """The option that names the folder of the spectra, for a variant that needs any."""
    return f"--spectra {RESULTS}/spectra" if spectra_of(variant) else ""


def spectrum_options(wildcards):
    """The tuning command's options for a variant that works on singular directions."""
    if not spectra_of(wildcards.variant):
        return ""
    settings = shlex.quote(json.dumps(SPECTRUM))
    return f"--spectrum {settings} {spectra_option(wildcards.variant)} --factors {config['spectrum']['factors']}"


def calibration_option(wildcards):
    """The tuning command's option for a variant that learns from unlabelled questions."""
    if "calibration" not in NEEDS[wildcards.variant]:
        return ""
    return option("calibration", json.dumps(config["calibration"]))


def calibrated_on(wildcards):
    """A digest of the pictures and questions that a variant learns from; its own memory makes it cheap."""
    return calibration_digest() if "calibration" in NEEDS[wildcards.variant] else ""


@cache
def calibration_digest():
    """A digest of the calibration's pictures and questions. What is wrong with them is said on the way."""
    from benchmarks.calibration.load import load
    from benchmarks.study.calibration_settings import CalibrationSettings

    try:
        return load(CalibrationSettings(**config["calibration"]), config["seed"]).digest
    except UserError as error:
        fail(error)


def slice_of(*keys):
    """Some keys of the config as JSON: a job sees, and depends on, these alone."""
    return json.dumps({key: config[key] for key in keys if key in config})


def folder_of(variant):
    """Where a variant's recipe lies."""
    return f"results/{config['study']}/variants/{variant}"


def made_before(wildcards):
    """The unmodified model, whose perception sets the budget, and the variant to start from, if any."""
    names = {REFERENCE, config["variants"][wildcards.variant].get("reference", REFERENCE)}
    return [f"{folder_of(name)}/dev.csv" for name in sorted(names - {wildcards.variant})]


def reference_option(wildcards):
    """The tuning command's option for the variant to start from."""
    name = config["variants"][wildcards.variant].get("reference")
    return f"--reference {folder_of(name)}" if name else ""


def unmodified_option(wildcards):
    """The tuning command's option for the unmodified model, whose perception sets the budget."""
    return "" if wildcards.variant == REFERENCE else f"--compare-with {folder_of(REFERENCE)}"


def text_model(wildcards):
    """The text command's option: a model of the triple, or a variant's language tower."""
    if wildcards.owner in VARIANTS:
        return f"--recipe {folder_of(wildcards.owner)}"
    return f"--model {wildcards.owner}"


def points_of(variant):
    """Numbers of a variant's grid points, where the study asks for all of them on test."""
    if not config["selection"]["oracle"]:
        return []
    return range(len(variant_list.points(config["variants"][variant])))
