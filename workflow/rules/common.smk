# What the rules share: the checked study and its jobs (workflow/jobs.py says what each waits for and reads).
import os
import shlex
from pathlib import Path

from frism.errors import report_errors
from workflow import config as configs
from workflow import jobs as job_facts
from workflow import requests as cluster_requests
from workflow.clock import date_at_present
from workflow.lock import work_alone
from workflow.refusals import explain_refusals

# Nothing is downloaded while a study runs: a library that tries fails at once and says so.
for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

FILES = [Path(path) for path in workflow.overwrite_configfiles or ["config/miniature.yaml"]]

explain_refusals()

# A fault ends the plan with its sentence alone: a traceback through Snakemake says nothing more.
with report_errors():
    STUDY = configs.load(config, " + ".join(map(str, FILES)), FILES[0].parent)
    JOBS = job_facts.Jobs(STUDY)
    job_facts.check_writable(JOBS.layout.root)
    if workflow.is_main_process:  # not again in every job of a cluster
        date_at_present(JOBS.layout.root)

# What jobs ask for where a profile names the kind of machine (profiles/slurm); elsewhere nothing.
REQUESTS = cluster_requests.Requests(JOBS, workflow.resource_settings.default_resources)
VARIANTS = list(STUDY.variants)
# Every job reads the study from this file. It is no job's output, so that its time starts nothing: what a job
# depends on in it is among its params.
RECORD = "results/{study}/study.json"
code = job_facts.digest_modules
TEXT = [
    *multiext("results/{study}/text/{variant}", ".csv", ".cost.csv", ".provenance.json"),
    *multiext("results/{study}/predictions/text/{variant}", ".jsonl", ".provenance.json"),
]
