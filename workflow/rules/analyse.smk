# Why a merge works: each analysis of each variant is a job with one loaded model, which it changes and restores.
from workflow import analyses as analysis_facts

with report_errors():
    ANALYSES = analysis_facts.AnalysisJobs(JOBS)

ANALYSED = ANALYSES.list_scores()


rule analyse:
    input:
        lambda wildcards: f"{JOBS.items(wildcards.variant)}/manifest.json",
        lambda wildcards: JOBS.spectra(wildcards.variant),
        lambda wildcards: ANALYSES.list_waits(wildcards.entry, wildcards.variant),
    output:
        "results/{study}/analyses/{entry}/{variant}.csv",
        "results/{study}/analyses/{entry}/{variant}.provenance.json",
    log:
        "results/{study}/logs/analyse/{entry}/{variant}.log",
    benchmark:
        "results/{study}/costs/analyse/{entry}.{variant}.tsv"
    wildcard_constraints:
        entry="[a-z][a-z0-9_]*",
    conda:
        "../../environment.yml"
    resources:
        **REQUESTS.of("analyse"),
        gpu=JOBS.gpus,
    params:
        study=RECORD,
        depends_on=lambda wildcards: ANALYSES.describe(wildcards.entry, wildcards.variant),
        weights=lambda wildcards: JOBS.weights,
        checkpoint=lambda wildcards: JOBS.digest_checkpoint(wildcards.variant),
        changing=lambda wildcards: ANALYSES.changing_code(wildcards.entry),
        code=lambda wildcards: ANALYSES.code(wildcards.entry, wildcards.variant),
    message:
        "Analyse {wildcards.variant}: {wildcards.entry}"
    shell:
        "flock {log}.lock python -m benchmarks.stages.analyse --study {params.study}"
        " --entry {wildcards.entry} --variant {wildcards.variant} --code {params.changing} 2>&1 | tee {log}"


REPORTED = [
    *expand(
        "results/{study}/tables/{name}.csv",
        study=STUDY.study,
        name=[
            "knock_outs",
            "depth",
            "claims",
            "drift",
            "drift_losses",
            "attention",
            "heads",
            "tiles",
            "attention_use",
            "reflection",
            "same_question",
        ],
    ),
    *expand(
        "results/{study}/figures/analysis_{entry}.png", study=STUDY.study, entry=ANALYSES.names
    ),
]

if ANALYSES.names:

    rule report_analyses:
        input:
            ANALYSED,
        output:
            report(REPORTED, category="Analyses", caption="../report/analyses.rst"),
        log:
            f"results/{STUDY.study}/logs/report_analyses.log",
        benchmark:
            f"results/{STUDY.study}/costs/report_analyses.tsv"
        conda:
            "../../environment.yml"
        resources:
            **REQUESTS.of("report_analyses"),
        params:
            study=RECORD.format(study=STUDY.study),
            config=JOBS.whole,
            code=code("benchmarks.stages.report_analyses"),
        message:
            "Make tables and figures of the analyses"
        shell:
            "python -m benchmarks.stages.report_analyses --study {params.study} &> {log}"

else:
    REPORTED = []
