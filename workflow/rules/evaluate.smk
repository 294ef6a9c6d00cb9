# A variant's answers to the test questions, and their scores; the text column of the language towers.


rule predict:
    input:
        "results/{study}/items/manifest.json",
        "results/{study}/variants/{variant}/recipe.json",
        lambda wildcards: spectra_of(wildcards.variant),
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
        gpu=GPU,
    params:
        # Grows line by line and is no output: Snakemake deletes the outputs of jobs that were cut off.
        journal="results/{study}/journal/{variant}",
        triple=json.dumps(config["triple"]),
        engine=json.dumps(ENGINE),
        benchmarks=BENCHMARKS,
        spectra=lambda wildcards: spectra_option(wildcards.variant),
        code=lambda wildcards: code_for(wildcards.variant, "benchmarks.stages.predict"),
    message:
        "Answer the test questions with {wildcards.variant}"
    shell:
        "mkdir -p $(dirname {params.journal});"
        " flock {log}.lock python -m benchmarks.stages.predict --triple {params.triple:q}"
        " --recipe results/{wildcards.study}/variants/{wildcards.variant}"
        " --items results/{wildcards.study}/items --split test --benchmarks {params.benchmarks:q}"
        " --engine {params.engine:q} {params.spectra} --out {params.journal}.jsonl 2>&1 | tee {log};"
        " cp {params.journal}.provenance.json {output.origins};"
        " cp {params.journal}.jsonl {output.answers}.$$; mv {output.answers}.$$ {output.answers}"


rule score:
    input:
        "results/{study}/items/manifest.json",
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
        benchmarks=BENCHMARKS,
        definitions=definitions("benchmarks"),
        judge=JUDGE,
        code=code("benchmarks.stages.score"),
    message:
        "Score the answers of {wildcards.variant}"
    shell:
        "python -m benchmarks.stages.score --predictions {input.predictions}"
        " --items results/{wildcards.study}/items --split test --benchmarks {params.benchmarks:q}"
        " --variant {wildcards.variant} {params.judge} --out {output.scores} &> {log}"


# Every grid point on test: an upper bound that looks at the test questions, shown apart from the choice.
rule oracle:
    input:
        "results/{study}/items/manifest.json",
        "results/{study}/variants/{variant}/recipe.json",
        lambda wildcards: spectra_of(wildcards.variant),
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
        gpu=GPU,
    params:
        journal="results/{study}/journal/points/{variant}/{point}.jsonl",
        triple=json.dumps(config["triple"]),
        engine=json.dumps(ENGINE),
        benchmarks=BENCHMARKS,
        definitions=definitions("benchmarks"),
        spectra=lambda wildcards: spectra_option(wildcards.variant),
        code=lambda wildcards: code_for(
            wildcards.variant, "benchmarks.stages.predict", "benchmarks.stages.score"
        ),
    message:
        "Answer the test questions with grid point {wildcards.point} of {wildcards.variant} (for the oracle)"
    shell:
        "mkdir -p $(dirname {params.journal});"
        " (flock {log}.lock python -m benchmarks.stages.predict --triple {params.triple:q}"
        " --recipe $(dirname {output}) --items results/{wildcards.study}/items --split test"
        " --benchmarks {params.benchmarks:q} --engine {params.engine:q} {params.spectra}"
        " --out {params.journal}"
        " && python -m benchmarks.stages.score --predictions {params.journal}"
        " --items results/{wildcards.study}/items --split test --benchmarks {params.benchmarks:q}"
        " --variant {wildcards.variant} --out {output}) 2>&1 | tee {log}"


rule text:
    input:
        lambda wildcards: (
            f"{folder_of(wildcards.owner)}/recipe.json" if wildcards.owner in VARIANTS else []
        ),
        lambda wildcards: spectra_of(wildcards.owner),
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
        gpu=GPU,
    params:
        journal="results/{study}/journal/text/{owner}",
        model=text_model,
        tasks=TEXTS,
        definitions=definitions("text"),
        questions=TEXT_QUESTIONS,
        seed=config["seed"],
        triple=json.dumps(config["triple"]),
        weights=lambda wildcards: weights(),
        data=option("data", config["data"]["folder"]),
        engine=json.dumps(ENGINE),
        spectra=lambda wildcards: spectra_option(wildcards.owner),
        code=lambda wildcards: code_for(
            wildcards.owner, "benchmarks.stages.text", data=("benchmarks/text/*.yaml",)
        ),
    message:
        "Answer questions in words alone with {wildcards.owner}"
    shell:
        "mkdir -p $(dirname {params.journal});"
        " flock {log}.lock python -m benchmarks.stages.text --triple {params.triple:q} {params.model}"
        " --tasks {params.tasks:q} --questions {params.questions} --seed {params.seed} {params.data}"
        " {params.spectra} --engine {params.engine:q} --journal {params.journal}.jsonl --out {output.scores}"
        " 2>&1 | tee {log};"
        " cp {params.journal}.provenance.json {output.origins};"
        " cp {params.journal}.jsonl {output.answers}.$$; mv {output.answers}.$$ {output.answers}"
