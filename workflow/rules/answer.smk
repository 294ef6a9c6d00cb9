# A variant: fit what its method learns, choose its coefficients on dev, write its recipe, and answer the test
# questions and those in words alone. One process does all of it, with one loaded model; vLLM, which is dear to
# start and quick to turn into another variant, answers for all variants in one process.
# What a stage has under way lies in journal/, points/ and work/, and is no output: Snakemake deletes the outputs
# of jobs that were cut off. `flock`: a job that outlived a killed Snakemake finishes before its successor takes
# over its files.
TUNED = multiext("results/{study}/variants/{variant}/", "recipe.json", "dev.csv", "choice.json")
TEXTS = TEXT if STUDY.text and STUDY.text_of == "all" else []
TESTED = multiext("results/{study}/predictions/{variant}", ".jsonl", ".provenance.json")
ANSWERED = [*(TESTED if JOBS.shards == 1 else []), *TEXTS]

if not JOBS.turns:

    rule answer:
        input:
            lambda wildcards: f"{JOBS.items(wildcards.variant)}/manifest.json",
            lambda wildcards: JOBS.list_prerequisites(wildcards.variant),
            lambda wildcards: JOBS.spectra(wildcards.variant),
        output:
            *TUNED,
            *ANSWERED,
        log:
            "results/{study}/logs/answer/{variant}.log",
        wildcard_constraints:
            variant="|".join(JOBS.merged) or "none",
        priority: lambda wildcards: JOBS.rank(wildcards.variant)
        conda:
            "../../environment.yml"
        resources:
            **REQUESTS.of("answer"),
            gpu=JOBS.gpus,
        params:
            study=RECORD,
            points=lambda wildcards: len(STUDY.variants[wildcards.variant].points),
            stages="" if JOBS.shards == 1 else "--stage tune --stage text",
            fit=lambda wildcards: JOBS.describe_fit(wildcards.variant),
            test=lambda wildcards: (
                JOBS.describe_answers(wildcards.variant) if JOBS.shards == 1 else ""
            ),
            text=JOBS.text,
            weights=lambda wildcards: JOBS.weights,
            checkpoint=lambda wildcards: JOBS.digest_checkpoint(wildcards.variant),
            merging=lambda wildcards: JOBS.merging_code(wildcards.variant),
            code=lambda wildcards: JOBS.answering_code(wildcards.variant),
        message:
            "Fit {wildcards.variant}, choose its coefficients (grid points: {params.points}), answer all questions"
        shell:
            "flock {log}.lock python -m benchmarks.stages.answer --study {params.study}"
            " --variant {wildcards.variant} --code {params.merging} {params.stages} 2>&1 | tee {log}"

    # Everybody's budget waits for what the unmodified model answers on dev, and for nothing else of it.
    use rule answer as tune_unmodified with:
        output:
            *TUNED,
        log:
            "results/{study}/logs/tune/{variant}.log",
        wildcard_constraints:
            variant=STUDY.reference,
        priority: 10_000
        params:
            stages="--stage tune",
            test="",
            text="",
        message:
            "Answer the dev questions with {wildcards.variant}"

    if ANSWERED:

        use rule answer as answer_unmodified with:
            input:
                lambda wildcards: f"{JOBS.items(wildcards.variant)}/manifest.json",
                TUNED,
            output:
                *ANSWERED,
            wildcard_constraints:
                variant=STUDY.reference,
            priority: 1
            params:
                stages="--stage predict --stage text" if JOBS.shards == 1 else "--stage text",
            message:
                "Answer all questions with {wildcards.variant}"

else:

    rule fit:
        input:
            lambda wildcards: f"{JOBS.items(wildcards.variant)}/manifest.json",
            lambda wildcards: JOBS.list_reference(wildcards.variant),
            lambda wildcards: JOBS.spectra(wildcards.variant),
        output:
            "results/{study}/variants/{variant}/fitted.json",
        log:
            "results/{study}/logs/fit/{variant}.log",
        benchmark:
            "results/{study}/costs/fit/{variant}.tsv"
        conda:
            "../../environment.yml"
        resources:
            **REQUESTS.of("fit"),
            gpu=int(STUDY.engine.device != "cpu"),
        params:
            study=RECORD,
            fit=lambda wildcards: JOBS.describe_fit(wildcards.variant),
            weights=lambda wildcards: JOBS.weights,
            merging=lambda wildcards: JOBS.merging_code(wildcards.variant),
            code=lambda wildcards: JOBS.code(
                wildcards.variant, "benchmarks.stages.fit", *JOBS.method_code(wildcards.variant)
            ),
        message:
            "Fit {wildcards.variant}"
        shell:
            "flock {log}.lock python -m benchmarks.stages.fit --study {params.study}"
            " --variant {wildcards.variant} --code {params.merging} --out {output} 2>&1 | tee {log}"

    for number, names in enumerate(JOBS.turns):

        rule:
            name:
                f"answer_in_turns_{number + 1}"
            input:
                JOBS.list_waits(names),
            output:
                expand(list(map(str, [*TUNED, *ANSWERED])), study=STUDY.study, variant=names),
            log:
                f"results/{STUDY.study}/logs/answer/turns{number + 1}.log",
            conda:
                "../../environment.yml"
            resources:
                **REQUESTS.of("answer_in_turns", names),
                gpu=JOBS.gpus,
            params:
                study=RECORD.format(study=STUDY.study),
                number=len(names),
                fit=[JOBS.describe_fit(name) for name in names],
                test=[JOBS.describe_answers(name) for name in names],
                text=JOBS.text,
                weights=lambda wildcards: JOBS.weights,
                checkpoint=lambda wildcards, names=names: [
                    JOBS.digest_checkpoint(name) for name in names
                ],
                variants=" ".join(
                    f"--variant {name} --code {JOBS.merging_code(name)}" for name in names
                ),
                # Its rule then finds all answers there.
                oracle="--oracle" if STUDY.selection.oracle else "",
                code=[JOBS.answering_code(name) for name in names],
            message:
                "Choose the coefficients of {params.number} variants and answer all questions with them"
            shell:
                "flock {log}.lock python -m benchmarks.stages.answer --study {params.study}"
                " {params.variants} {params.oracle} 2>&1 | tee {log}"


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
        **REQUESTS.of("text"),
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
