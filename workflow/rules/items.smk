# The questions of every benchmark, with their pictures and prompts, as VLMEvalKit builds them.


rule items:
    output:
        "results/{study}/items/manifest.json",
    log:
        "results/{study}/logs/items.log",
    benchmark:
        "results/{study}/costs/items.tsv"
    conda:
        "../../environment.yml"
    params:
        number=len(config["benchmarks"]),
        benchmarks=",".join(config["benchmarks"]),
        splits=json.dumps(config["questions"]),
        seed=config["seed"],
        code=code("benchmarks.items", benchmarks=tuple(config["benchmarks"])),
    message:
        "Write the questions of {params.number} benchmarks"
    shell:
        "python -m benchmarks.items --benchmarks {params.benchmarks} --splits {params.splits:q}"
        " --seed {params.seed} --out results/{wildcards.study}/items &> {log}"
