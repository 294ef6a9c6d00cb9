"""Write a merged variant as a checkpoint folder: weights, V's other files, model card and provenance.

Its root holds a model and its card alone; what else is written lies in its folder `frism`.
The folder grows beside its final path under a temporary name and gets its final name when it is complete.
The next run reuses what an interrupted one completed, if it is for the same merge.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from frism import __version__
from frism.checkpoints.checkpoint import COMPANIONS
from frism.checkpoints.index import INDEX
from frism.compute import Compute
from frism.errors import UserError
from frism.files import explain_refusal, read_json, synchronise
from frism.merging.model_card import MERGEKIT, Outcome, write_card
from frism.merging.pieces import Merger
from frism.merging.sharding import Plan, make_plan
from frism.merging.streaming import RECEIPTS, Progress, ShardWriter
from frism.merging.warnings import find_warnings
from frism.method.discovery import find
from frism.method.fitted import Fitted
from frism.method.fitting import ABSENT, Fitting
from frism.method.parameters import Value
from frism.method.recipe import RECIPE, RECORDS, Recipe, digest_coefficients
from frism.spectra.settings import SpectrumSettings
from frism.triples.accounting import account
from frism.triples.triple import Triple

if TYPE_CHECKING:
    from frism.spectra.spectra import Spectra

PLAN, LOCK, REPORT = "plan.json", "lock", "merge_report.json"
# What belongs to a model beside its weights: configs, tokenizer, processor, templates, remote code, licences.
_LEGAL_NAMES = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "USE_POLICY")
_FOLDERS = ("additional_chat_templates",)
_GENERATED = {REPORT, RECIPE, MERGEKIT, "README.md"}  # in the root of a V that an earlier version exported
_CARD_BYTES = 1 << 20  # allowed for card, recipe and report when space is checked


@dataclass(frozen=True)
class Job:
    """Describe what to write, and how.

    `recipe` is known when a variant is exported; a merge from the command line gets its recipe at the end,
    since that holds digests that are computed meanwhile.
    """

    triple: Triple
    method: str
    params: Mapping[str, Value]
    scope: str
    out: Path
    seed: int = 0
    fitted: Fitted | None = None
    recipe: Recipe | None = None
    dtype: str | None = None
    shard_size: int | None = None
    device: str | None = None
    threads: int | None = None
    sync: bool = True  # wait for the disk before the folder gets its name
    spectra: Path | None = None  # the folder that keeps spectra, if there is one

    @cached_property
    def warnings(self) -> list[str]:
        """Sentences on what may spoil the merge."""
        return find_warnings(self.triple, self.scope)

    @property
    def spectrum(self) -> SpectrumSettings | None:
        """The settings of the singular directions that the method works on; None if it needs none."""
        if self.recipe is not None:
            return self.recipe.spectrum
        return SpectrumSettings() if "spectrum" in find(self.method).needs else None

    @classmethod
    def from_recipe(cls, triple: Triple, recipe: Recipe, fitted: Fitted, out: Path, **how: object) -> "Job":
        """Make the job of a recipe. Raises UserError when it belongs to other checkpoints or coefficients."""
        if recipe.method is None:
            raise UserError(f"variant {recipe.name} is already a checkpoint: copy its folder.")
        recipe.check(triple, fitted)
        params = find(recipe.method).validate(recipe.params)
        return cls(
            triple, recipe.method, params, recipe.scope, out, recipe.seed, fitted, recipe,
            **how,  # type: ignore[arg-type]
        )  # fmt: skip

    def make_plan(self) -> Plan:
        """Lay out the files and account for every tensor of V.

        Raises UserError for a method that merges nothing.
        """
        find(self.method).refuse_unless_merging()
        entries = account(self.triple, self.scope)
        return make_plan(self.triple, entries, dtype=self.dtype, shard_size=self.shard_size)

    def compute_key(self, plan: Plan) -> str:
        """Hash all that an incomplete folder must agree on to be completed."""
        files = [path for one in self.triple.checkpoints.values() for path in one.shards()]
        content = {
            "version": __version__,
            "method": [self.method, dict(self.params), self.scope, self.seed],
            "coefficients": digest_coefficients(self.fitted),
            "spectrum": self.spectrum.model_dump() if self.spectrum else None,
            "files": [[str(p), (s := p.stat()).st_size, s.st_mtime_ns, s.st_ino] for p in files],
            "layout": [[shard.file, shard.layout.head[8:].decode()] for shard in plan.shards],
            "merged": [entry.stored for entry in plan.entries if entry.fate == "merged"],
            "device": self.device,
            **({"donors": dict(self.triple.donors)} if self.triple.blended else {}),
        }
        return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def list_companions(folder: Path) -> Iterator[Path]:
    """List the files of V, relative to its folder, that a merged checkpoint copies unchanged."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _GENERATED or path.name.endswith(".index.json"):
            continue
        if path.is_file() and (path.suffix in COMPANIONS or path.name.upper().startswith(_LEGAL_NAMES)):
            yield path.relative_to(folder)
        elif path.is_dir() and path.name in _FOLDERS:
            yield from (file.relative_to(folder) for file in sorted(path.iterdir()) if file.is_file())


def export(job: Job, progress: Progress = lambda _: None) -> Outcome:
    """Write the merged checkpoint to `job.out`; return what was done.

    Raises UserError, with nothing under the final name, when `out` exists, a source is bad or the disk is
    full.
    """
    refuse_inside(job.triple, job.out)
    _refuse_existing(job.out)
    spectra = None
    if job.spectrum is not None:
        from frism.spectra.spectra import Spectra

        spectra = Spectra(job.triple, job.spectrum, job.spectra)
    job = _fit(job, spectra)
    plan, method = job.make_plan(), find(job.method)
    scratch = job.out.with_name(f".{job.out.name}.partial")
    with _hash_in_background(job) as digests, _lock_scratch(scratch, job.compute_key(plan)):
        with Merger(
            job.triple,
            method,
            job.params,
            scope=job.scope,
            seed=job.seed,
            fitted=job.fitted,
            spectra=spectra,
            device=job.device,
        ) as merger:
            writer = ShardWriter(plan, merger, scratch, threads=job.threads, sync=job.sync, progress=progress)
            other_files = list(list_companions(job.triple.vlm_folder))
            _check_space(scratch, writer.count_remaining() + _CARD_BYTES, job)
            changes = writer.run()
        recipe = job.recipe or Recipe(
            method=job.method,
            params=dict(job.params),
            scope=job.scope,
            seed=job.seed,
            spectrum=job.spectrum,
            triple=digests.result(),
            coefficients=digest_coefficients(job.fitted),
        )
        outcome = Outcome(job.triple, recipe, plan, changes, job.dtype, job.fitted or Fitted(), job.warnings)
        try:
            _write_other_files(job, plan, outcome, scratch, other_files)
        except OSError as error:
            raise explain_refusal(scratch, error) from error
        _publish(scratch, job, plan)
    return outcome


def _fit(job: Job, spectra: "Spectra | None") -> Job:
    """Fit the method of a job that has no coefficients. Raises UserError if that needs more than weights."""
    method = find(job.method)
    if method.fit is None or job.fitted:
        return job
    fitting = Fitting(job.triple, job.scope, job.seed, Compute(job.device or "cpu"), spectra or ABSENT)
    return replace(job, fitted=method.fit_from_weights(fitting, job.params))


def refuse_inside(triple: Triple, out: Path) -> None:
    """Refuse to write into a checkpoint that is merged: loaders of it would find a second model there."""
    for role, checkpoint in triple.checkpoints.items():
        if out.resolve().is_relative_to(checkpoint.folder.resolve()):
            raise UserError(
                f"{out} lies inside {checkpoint.folder} ({role}), which is merged: choose "
                "an --out outside of it."
            )


def _refuse_existing(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists already: remove it or choose another --out.")


@contextmanager
def _hash_in_background(job: Job) -> Iterator[Future[dict[str, str]]]:
    """Hash the three checkpoints while the merge runs, unless a recipe was checked against them."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        digests = pool.submit(lambda: {} if job.recipe else job.triple.digest)
        try:
            yield digests
        finally:
            digests.cancel()


@contextmanager
def _lock_scratch(scratch: Path, key: str) -> Iterator[None]:
    """Create and lock the scratch folder; empty it first unless it was begun for the same job."""
    try:
        (scratch / RECEIPTS).mkdir(parents=True, exist_ok=True)
        lock = os.open(scratch / LOCK, os.O_CREAT | os.O_RDWR, 0o666)
    except OSError as error:
        raise explain_refusal(scratch, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another process is writing {scratch}: wait for it or choose another --out."
            ) from None
        except OSError:
            pass  # a file system without locks
        if not _was_begun_for(scratch, key):
            _clear(scratch)
            (scratch / PLAN).write_text(json.dumps({"key": key}), encoding="utf-8")
        for partial_file in scratch.glob("*.part"):  # of a run that was killed
            partial_file.unlink()
        yield
    finally:
        os.close(lock)


def _was_begun_for(scratch: Path, key: str) -> bool:
    try:
        return read_json(scratch / PLAN).get("key") == key
    except UserError:
        return False


def _clear(scratch: Path) -> None:
    for path in scratch.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
    (scratch / RECEIPTS).mkdir()


def _check_space(scratch: Path, needed: int, job: Job) -> None:
    free = shutil.disk_usage(scratch).free
    if free < needed:
        raise UserError(
            f"{job.out} needs {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are free there: free some space "
            "or choose another --out."
        )


def _write_other_files(
    job: Job, plan: Plan, outcome: Outcome, scratch: Path, other_files: list[Path]
) -> None:
    for path in other_files:
        (scratch / path).parent.mkdir(exist_ok=True)
        (scratch / path).write_bytes((job.triple.vlm_folder / path).read_bytes())
    if plan.index is not None:
        (scratch / INDEX).write_text(json.dumps(plan.index, indent=2) + "\n", encoding="utf-8")
    outcome.recipe.save(scratch / RECORDS, job.fitted)
    report = json.dumps(outcome.make_report(), indent=1) + "\n"
    (scratch / RECORDS / REPORT).write_text(report, encoding="utf-8")
    write_card(outcome, scratch, job.out.name)


def _publish(scratch: Path, job: Job, plan: Plan) -> None:
    """Give the folder its final name once everything in it is on the disk."""
    shutil.rmtree(scratch / RECEIPTS)
    for name in (PLAN, LOCK):
        (scratch / name).unlink()
    try:
        weights = {shard.file for shard in plan.shards}  # synchronised when they were complete
        small_files = [path for path in scratch.rglob("*") if path.name not in weights]
        for path in [*small_files, scratch] if job.sync else []:
            synchronise(path)
        scratch.rename(job.out)
        if job.sync:
            synchronise(job.out.parent)
    except OSError as error:
        raise explain_refusal(job.out, error) from error
