# A variant's answers to the test questions, and their scores; the text column of the language towers.


rule predict:
    input:
        "results/{study}/items/manifest.json",
        "results/{study}/variants/{variant}/recipe.json",
    output:
        "results/{study}/predictions/{variant}.jsonl",
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
        journal="results/{study}/journal/{variant}.jsonl",
        triple=json.dumps(config["triple"]),
        engine=json.dumps(config["engine"]),
        benchmarks=",".join(config["benchmarks"]),
        code=code("benchmarks.predict"),
    message:
        "Answer the test questions with {wildcards.variant}"
    shell:
        "mkdir -p $(dirname {params.journal});"
        " flock {log}.lock python -m benchmarks.predict --triple {params.triple:q}"
        " --recipe results/{wildcards.study}/variants/{wildcards.variant}"
        " --items results/{wildcards.study}/items --split test --benchmarks {params.benchmarks}"
        " --engine {params.engine:q} --out {params.journal} 2>&1 | tee {log};"
        " cp {params.journal} {output}.$$; mv {output}.$$ {output}"


rule score:
    input:
        "results/{study}/items/manifest.json",
        predictions="results/{study}/predictions/{variant}.jsonl",
    output:
        scores="results/{study}/scores/{variant}.csv",
        costs="results/{study}/scores/{variant}.cost.csv",
    log:
        "results/{study}/logs/score/{variant}.log",
    benchmark:
        "results/{study}/costs/score/{variant}.tsv"
    conda:
        "../../environment.yml"
    params:
        benchmarks=",".join(config["benchmarks"]),
        code=code("benchmarks.score", benchmarks=tuple(config["benchmarks"])),
    message:
        "Score the answers of {wildcards.variant}"
    shell:
        "python -m benchmarks.score --predictions {input.predictions}"
        " --items results/{wildcards.study}/items --split test --benchmarks {params.benchmarks}"
        " --variant {wildcards.variant} --out {output.scores} &> {log}"


rule text:
    input:
        lambda wildcards: (
            f"{folder_of(wildcards.owner)}/recipe.json" if wildcards.owner in VARIANTS else []
        ),
    output:
        "results/{study}/text/{owner}.csv",
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
        model=text_model,
        tasks=",".join(config["text"]),
        questions=config["questions"]["test"],
        seed=config["seed"],
        triple=json.dumps(config["triple"]),
        weights=lambda wildcards: weights(),
        engine=json.dumps(config["engine"]),
        code=code(
            "benchmarks.text",
            benchmarks=tuple(config["text"]),
            data=("benchmarks/tasks/described_scenes.yaml",),
        ),
    message:
        "Answer questions on described scenes with {wildcards.owner}"
    shell:
        "python -m benchmarks.text --triple {params.triple:q} {params.model}"
        " --tasks {params.tasks} --questions {params.questions} --seed {params.seed}"
        " --engine {params.engine:q} --out {output} 2>&1 | tee {log}"
