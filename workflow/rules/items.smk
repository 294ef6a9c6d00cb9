# The questions of every benchmark, with their pictures and prompts, as VLMEvalKit builds them.


rule items:
    output:
        "results/{study}/items/manifest.json",
        "results/{study}/items/benchmarks.json",
    log:
        "results/{study}/logs/items.log",
    benchmark:
        "results/{study}/costs/items.tsv"
    conda:
        "../../environment.yml"
    params:
        number=len(config["benchmarks"]),
        benchmarks=BENCHMARKS,
        definitions=definitions("benchmarks"),
        splits=json.dumps(SPLITS),
        seed=config["seed"],
        # Who is asked decides how: prompts and pixel limits belong to a family of models.
        vlm=config["triple"]["vlm"],
        model_type=model_type(),
        data=option("data", config["data"]["folder"]),
        prompting=json.dumps(config["prompting"]),
        code=code("benchmarks.stages.items"),
    message:
        "Write the questions of {params.number} benchmarks"
    shell:
        "python -m benchmarks.stages.items --benchmarks {params.benchmarks:q} --splits {params.splits:q}"
        " --seed {params.seed} --model {params.vlm:q} {params.data} --prompting {params.prompting:q}"
        " --out results/{wildcards.study}/items &> {log}"
