# The questions of every benchmark, with their pictures and prompts, as VLMEvalKit builds them. Most variants
# share them; one that is another checkpoint, or is prompted otherwise, has its own.


rule items:
    output:
        "results/{study}/{questions}/manifest.json",
        "results/{study}/{questions}/benchmarks.json",
    log:
        "results/{study}/logs/{questions}.log",
    benchmark:
        "results/{study}/costs/{questions}.tsv"
    wildcard_constraints:
        questions=r"items|items_of/[a-z][a-z0-9_]*",
    priority: 20_000
    conda:
        "../../environment.yml"
    resources:
        **REQUESTS.of("items"),
    params:
        study=RECORD,
        number=len(STUDY.benchmarks),
        depends_on=lambda wildcards: JOBS.describe_questions(
            job_facts.get_variant(wildcards.questions)
        ),
        variant=lambda wildcards: job_facts.format_variant_option(wildcards.questions),
        code=code("benchmarks.stages.items"),
    message:
        "Write the questions of {params.number} benchmarks into {wildcards.questions}"
    shell:
        "python -m benchmarks.stages.items --study {params.study} {params.variant} &> {log}"
