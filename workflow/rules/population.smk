# The population: more bases, and of each several kinds of V and R (benchmarks/miniature/population/members.py), trained
# and studied. `snakemake --cores 2 population_models` trains what the repository does not ship, two models at a
# time with one thread each: about 40 minutes a base, 25 an aligned V, 5 a turned V, 3 an R, so about two hours for
# three bases with two V and three R each. A run that was cut off is taken up within a model, too.
from benchmarks.miniature.population import members
from workflow import population


rule train_population_model:
    input:
        lambda wildcards: population.list_parents(wildcards.base, wildcards.part),
    output:
        "results/population_models/{base}/{part}/model.safetensors",
    log:
        "results/population_models/logs/{base}_{part}.log",
    wildcard_constraints:
        base="|".join(members.BASES),
        part=r"base|vlm_\w+|lrm_\w+",
    # All else grows from the bases.
    priority: lambda wildcards: 10 if wildcards.part == "base" else 0
    conda:
        "../../environment.yml"
    # The number of threads is part of the recipe: sums come out in another order with another number.
    threads: 1
    resources:
        **REQUESTS.of("train"),
    params:
        code=code("benchmarks.miniature.population.train"),
    message:
        "Train {wildcards.base}/{wildcards.part} (base 40 minutes, aligned V 25, turned V 5, R 3)"
    shell:
        "flock {log}.lock python -m benchmarks.miniature.population.train"
        " {wildcards.base}/{wildcards.part} 2>&1 | tee {log}"


rule measure_population_model:
    input:
        lambda wildcards: population.list_own(wildcards.base, wildcards.part),
    output:
        "results/population_models/cards/{base}/{part}.json",
    log:
        "results/population_models/logs/card_{base}_{part}.log",
    wildcard_constraints:
        base="|".join(members.BASES),
        part=r"base|vlm_\w+|lrm_\w+",
    conda:
        "../../environment.yml"
    resources:
        **REQUESTS.of("card"),
    params:
        code=code("benchmarks.miniature.population.card"),
    message:
        "Measure {wildcards.base}/{wildcards.part}"
    shell:
        "python -m benchmarks.miniature.population.card measure"
        " {wildcards.base}/{wildcards.part} --out {output} &> {log}"


rule compare_population_models:
    input:
        lambda wildcards: population.list_children(wildcards.base),
    output:
        "results/population_models/cards/{base}/pairs.json",
    log:
        "results/population_models/logs/card_{base}_pairs.log",
    wildcard_constraints:
        base="|".join(members.BASES),
    conda:
        "../../environment.yml"
    resources:
        **REQUESTS.of("card"),
    params:
        code=code("benchmarks.miniature.population.card"),
    message:
        "Measure the task vectors of {wildcards.base}"
    shell:
        "python -m benchmarks.miniature.population.card compare {wildcards.base} --out {output} &> {log}"


# Two of them are part of the repository, so that the four cells of b0 can be studied from a clone.
rule population_models:
    input:
        expand("results/population_models/{name}/model.safetensors", name=population.list_trained()),
        population.list_cards(),
    output:
        multiext(
            "results/population_models/card/", "README.md", "models.csv", "pairs.csv", "SHA256SUMS"
        ),
    log:
        "results/population_models/logs/card.log",
    conda:
        "../../environment.yml"
    resources:
        **REQUESTS.of("card"),
    params:
        code=code("benchmarks.miniature.population.card"),
        kept=" ".join(f"{name}:{folder}" for name, folder in members.KEPT.items()),
    message:
        "Write the population's card, and put two models of b0 into benchmarks/miniature/weights"
    shell:
        "(python -m benchmarks.miniature.population.card collect"
        " --out results/population_models/card"
        " && for pair in {params.kept}; do"
        " mkdir -p benchmarks/miniature/weights/${{pair#*:}}"
        " && cp results/population_models/${{pair%:*}}/* benchmarks/miniature/weights/${{pair#*:}}/"
        " || exit 1; done) 2>&1 | tee {log}"


# The studies of the population, as many side by side as there are cores, and what they show together. Others than
# these: `snakemake --cores 2 population --config population="config/a.yaml config/b.yaml"`. It has no output of its own,
# so that every call asks each study whether anything is missing.
POPULATION = POPULATION or population.list_configs()


rule population:
    log:
        "results/population/population.log",
    conda:
        "../../environment.yml"
    threads: workflow.cores
    resources:
        **REQUESTS.of("population"),
    params:
        configs=shlex.join(POPULATION),
        results=lambda wildcards: shlex.join(job_facts.list_results(POPULATION)),
    message:
        "Run the studies of the population, {threads} side by side, and put them side by side"
    shell:
        "(python -m workflow.studies {params.configs} --at-a-time {threads}"
        " && python -m benchmarks.tools.across.command {params.results} --out results/population"
        " --archive results/population/studies)"
        " 2>&1 | tee {log}"
