# A variant: fit what its method learns, choose its coefficients on dev, write its recipe.
# `flock`: a job that outlived a killed Snakemake finishes before its successor takes over its files.


rule tune:
    input:
        lambda wildcards: f"{JOBS.items(wildcards.variant)}/manifest.json",
        lambda wildcards: JOBS.list_prerequisites(wildcards.variant),
        lambda wildcards: JOBS.spectra(wildcards.variant),
    output:
        "results/{study}/variants/{variant}/recipe.json",
        "results/{study}/variants/{variant}/dev.csv",
        "results/{study}/variants/{variant}/choice.json",
    log:
        "results/{study}/logs/tune/{variant}.log",
    benchmark:
        "results/{study}/costs/tune/{variant}.tsv"
    conda:
        "../../environment.yml"
    resources:
        gpu=JOBS.gpus,
    params:
        study=RECORD,
        points=lambda wildcards: len(STUDY.variants[wildcards.variant].points),
        depends_on=lambda wildcards: JOBS.describe_fit(wildcards.variant),
        weights=lambda wildcards: JOBS.weights,
        checkpoint=lambda wildcards: JOBS.digest_checkpoint(wildcards.variant),
        # What makes the weights is part of the recipe, and so of the key of every answer.
        merging=lambda wildcards: JOBS.code(
            wildcards.variant, *JOBS.method_code(wildcards.variant), "frism.merging.on_load"
        ),
        code=lambda wildcards: JOBS.code(
            wildcards.variant, "benchmarks.stages.tune", *JOBS.method_code(wildcards.variant)
        ),
    message:
        "Fit {wildcards.variant} and choose its coefficients on dev (grid points: {params.points})"
    shell:
        "flock {log}.lock python -m benchmarks.stages.tune --study {params.study}"
        " --variant {wildcards.variant} --code {params.merging} 2>&1 | tee {log}"
