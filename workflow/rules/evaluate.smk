# A variant's answers to the test questions, and their scores; the text column of the language towers.


rule predict:
    input:
        lambda wildcards: f"{JOBS.items(wildcards.variant)}/manifest.json",
        "results/{study}/variants/{variant}/recipe.json",
        lambda wildcards: JOBS.spectra(wildcards.variant),
    output:
        answers="results/{study}/predictions/{variant}.jsonl",
        origins="results/{study}/predictions/{variant}.provenance.json",
    log:
        "results/{study}/logs/predict/{variant}.log",
    benchmark:
        "results/{study}/costs/predict/{variant}.tsv"
    conda:
        "../../environment.yml"
    resources:
        gpu=JOBS.gpus,
    params:
        study=RECORD,
        # Grows line by line and is no output: Snakemake deletes the outputs of jobs that were cut off.
        journal="results/{study}/journal/{variant}",
        depends_on=lambda wildcards: JOBS.describe_answers(wildcards.variant),
        code=lambda wildcards: JOBS.code(wildcards.variant, "benchmarks.stages.predict"),
    message:
        "Answer the test questions with {wildcards.variant}"
    shell:
        "mkdir -p $(dirname {params.journal});"
        " flock {log}.lock python -m benchmarks.stages.predict --study {params.study}"
        " --variant {wildcards.variant} --split test --out {params.journal}.jsonl 2>&1 | tee {log};"
        " cp {params.journal}.provenance.json {output.origins};"
        " cp {params.journal}.jsonl {output.answers}.$$; mv {output.answers}.$$ {output.answers}"


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


rule text:
    input:
        lambda wildcards: JOBS.recipe(wildcards.owner),
        lambda wildcards: JOBS.spectra(wildcards.owner),
    output:
        scores="results/{study}/text/{owner}.csv",
        costs="results/{study}/text/{owner}.cost.csv",
        provenance="results/{study}/text/{owner}.provenance.json",
        answers="results/{study}/predictions/text/{owner}.jsonl",
        origins="results/{study}/predictions/text/{owner}.provenance.json",
    log:
        "results/{study}/logs/text/{owner}.log",
    benchmark:
        "results/{study}/costs/text/{owner}.tsv"
    wildcard_constraints:
        owner="|".join(["base", "lrm", *VARIANTS]),
    conda:
        "../../environment.yml"
    resources:
        gpu=JOBS.gpus,
    params:
        study=RECORD,
        journal="results/{study}/journal/text/{owner}",
        depends_on=JOBS.text,
        weights=lambda wildcards: JOBS.weights,
        code=lambda wildcards: JOBS.code(
            wildcards.owner, "benchmarks.stages.text", data=("benchmarks/text/*.yaml",)
        ),
    message:
        "Answer questions in words alone with {wildcards.owner}"
    shell:
        "mkdir -p $(dirname {params.journal});"
        " flock {log}.lock python -m benchmarks.stages.text --study {params.study}"
        " --variant {wildcards.owner} --journal {params.journal}.jsonl --out {output.scores}"
        " 2>&1 | tee {log};"
        " cp {params.journal}.provenance.json {output.origins};"
        " cp {params.journal}.jsonl {output.answers}.$$; mv {output.answers}.$$ {output.answers}"
