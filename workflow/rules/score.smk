# The scores of a variant's answers to the test questions.


rule score:
    input:
        lambda wildcards: f"{JOBS.items(wildcards.variant)}/manifest.json",
        predictions="results/{study}/predictions/{variant}.jsonl",
    output:
        scores="results/{study}/scores/{variant}.csv",
        costs="results/{study}/scores/{variant}.cost.csv",
        official="results/{study}/scores/{variant}.official.json",
        provenance="results/{study}/scores/{variant}.provenance.json",
    log:
        "results/{study}/logs/score/{variant}.log",
    benchmark:
        "results/{study}/costs/score/{variant}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **REQUESTS.of("score"),
    params:
        study=RECORD,
        depends_on=lambda wildcards: JOBS.describe_scores(wildcards.variant),
        code=code("benchmarks.stages.score"),
    message:
        "Score the answers of {wildcards.variant}"
    shell:
        "python -m benchmarks.stages.score --study {params.study} --variant {wildcards.variant}"
        " --split test --predictions {input.predictions} --out {output.scores} &> {log}"


# Every grid point on test: an upper bound that looks at the test questions, shown apart from the choice.
rule oracle:
    input:
        lambda wildcards: f"{JOBS.items(wildcards.variant)}/manifest.json",
        "results/{study}/variants/{variant}/recipe.json",
        lambda wildcards: JOBS.spectra(wildcards.variant),
    output:
        "results/{study}/variants/{variant}/points/{point}/test.csv",
    log:
        "results/{study}/logs/oracle/{variant}/{point}.log",
    benchmark:
        "results/{study}/costs/oracle/{variant}.{point}.tsv"
    wildcard_constraints:
        point=r"\d+",
    conda:
        "../../environment.yml"
    resources:
        **REQUESTS.of("oracle"),
        gpu=JOBS.gpus,
    params:
        study=RECORD,
        journal="results/{study}/journal/points/{variant}/{point}.jsonl",
        depends_on=lambda wildcards: JOBS.describe_answers(wildcards.variant),
        definitions=JOBS.definitions("benchmarks"),
        code=lambda wildcards: JOBS.code(
            wildcards.variant, "benchmarks.stages.predict", "benchmarks.stages.score"
        ),
    message:
        "Answer the test questions with grid point {wildcards.point} of {wildcards.variant} (for the oracle)"
    shell:
        "mkdir -p $(dirname {params.journal});"
        " (flock {log}.lock python -m benchmarks.stages.predict --study {params.study}"
        " --variant {wildcards.variant} --point {wildcards.point} --split test --out {params.journal}"
        " && python -m benchmarks.stages.score --study {params.study} --variant {wildcards.variant}"
        " --split test --predictions {params.journal} --rules-alone --out {output}) 2>&1 | tee {log}"
