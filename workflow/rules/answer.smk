# A variant: fit what its method learns, choose its coefficients on dev, write its recipe, and answer the test
# questions and those in words alone. One process does all of it, with one loaded model.
# `flock`: a job that outlived a killed Snakemake finishes before its successor takes over its files.


rule answer:
    input:
        lambda wildcards: f"{JOBS.items(wildcards.variant)}/manifest.json",
        lambda wildcards: JOBS.list_prerequisites(wildcards.variant),
        lambda wildcards: JOBS.spectra(wildcards.variant),
    output:
        # What the stage has under way lies in journal/, points/ and work/, and is no output: Snakemake deletes
        # the outputs of jobs that were cut off.
        *multiext("results/{study}/variants/{variant}/", "recipe.json", "dev.csv", "choice.json"),
        *multiext("results/{study}/predictions/{variant}", ".jsonl", ".provenance.json"),
        *(TEXT if STUDY.text else []),
    log:
        "results/{study}/logs/answer/{variant}.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=JOBS.gpus,
    params:
        study=RECORD,
        points=lambda wildcards: len(STUDY.variants[wildcards.variant].points),
        fit=lambda wildcards: JOBS.describe_fit(wildcards.variant),
        test=lambda wildcards: JOBS.describe_answers(wildcards.variant),
        text=JOBS.text,
        weights=lambda wildcards: JOBS.weights,
        checkpoint=lambda wildcards: JOBS.digest_checkpoint(wildcards.variant),
        # What makes the weights is part of the recipe, and so of the key of every answer.
        merging=lambda wildcards: JOBS.code(
            wildcards.variant, *JOBS.method_code(wildcards.variant), "frism.merging.on_load"
        ),
        code=lambda wildcards: JOBS.code(
            wildcards.variant,
            "benchmarks.stages.answer",
            *JOBS.method_code(wildcards.variant),
            data=("benchmarks/text/*.yaml",),
        ),
    message:
        "Fit {wildcards.variant}, choose its coefficients (grid points: {params.points}), answer all questions"
    shell:
        "flock {log}.lock python -m benchmarks.stages.answer --study {params.study}"
        " --variant {wildcards.variant} --code {params.merging} 2>&1 | tee {log}"


# The triple's own language models have a text column and nothing else.
rule text:
    output:
        *[name.replace("{variant}", "{parent}") for name in TEXT],
    log:
        "results/{study}/logs/text/{parent}.log",
    benchmark:
        "results/{study}/costs/text/{parent}.tsv"
    wildcard_constraints:
        parent="base|lrm",
    conda:
        "../../environment.yml"
    resources:
        gpu=JOBS.gpus,
    params:
        study=RECORD,
        depends_on=JOBS.text,
        weights=lambda wildcards: JOBS.weights,
        code=lambda wildcards: JOBS.code(
            wildcards.parent, "benchmarks.stages.text", data=("benchmarks/text/*.yaml",)
        ),
    message:
        "Answer questions in words alone with {wildcards.parent}"
    shell:
        "flock {log}.lock python -m benchmarks.stages.text --study {params.study}"
        " --variant {wildcards.parent} 2>&1 | tee {log}"
