# A variant's test questions, shared by several jobs (`questions.shards`): each loads the model and answers every n-th
# batch, and one gathers them. Batches do not depend on the number of jobs, so neither do the answers.
if JOBS.shards > 1:

    rule answer_shard:
        input:
            lambda wildcards: f"{JOBS.items(wildcards.variant)}/manifest.json",
            "results/{study}/variants/{variant}/recipe.json",
            lambda wildcards: JOBS.spectra(wildcards.variant),
        output:
            "results/{study}/shards/{variant}/{part}of{parts}.jsonl",
            "results/{study}/shards/{variant}/{part}of{parts}.provenance.json",
        log:
            "results/{study}/logs/answer/{variant}.{part}of{parts}.log",
        benchmark:
            "results/{study}/costs/predict/{variant}/{part}of{parts}.tsv"
        wildcard_constraints:
            part=r"\d+",
            parts=r"\d+",
        conda:
            "../../environment.yml"
        resources:
            **REQUESTS.of("answer_shard"),
            gpu=JOBS.gpus,
        params:
            study=RECORD,
            journal="results/{study}/journal/shards/{variant}/{part}of{parts}.jsonl",
            share=lambda wildcards: f"{int(wildcards.part) - 1}/{wildcards.parts}",
            test=lambda wildcards: JOBS.describe_answers(wildcards.variant),
            weights=lambda wildcards: JOBS.weights,
            checkpoint=lambda wildcards: JOBS.digest_checkpoint(wildcards.variant),
            code=lambda wildcards: JOBS.code(
                wildcards.variant,
                "benchmarks.stages.predict",
                *JOBS.method_code(wildcards.variant),
            ),
        message:
            "Answer part {wildcards.part} of {wildcards.parts} of the test questions with {wildcards.variant}"
        shell:
            "mkdir -p $(dirname {params.journal});"
            " flock {log}.lock python -m benchmarks.stages.predict --study {params.study}"
            " --variant {wildcards.variant} --part {params.share} --out {params.journal}"
            " --publish-as {output[0]} 2>&1 | tee {log}"

    rule gather:
        input:
            "results/{study}/variants/{variant}/recipe.json",
            lambda wildcards: f"{JOBS.items(wildcards.variant)}/manifest.json",
            shards=lambda wildcards: JOBS.list_shards(wildcards.variant),
        output:
            *TESTED,
        log:
            "results/{study}/logs/gather/{variant}.log",
        benchmark:
            "results/{study}/costs/gather/{variant}.tsv"
        conda:
            "../../environment.yml"
        resources:
            **REQUESTS.of("gather"),
        params:
            study=RECORD,
            test=lambda wildcards: JOBS.describe_answers(wildcards.variant),
            code=code("benchmarks.stages.gather"),
        message:
            "Gather the answers of {wildcards.variant}"
        shell:
            "python -m benchmarks.stages.gather --study {params.study} --variant {wildcards.variant}"
            " --out {output[0]} {input.shards} &> {log}"
