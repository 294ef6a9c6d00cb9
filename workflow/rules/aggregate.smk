# From scores to what a reader opens: tables, figures and the summary in words.
TABLES = [
    "benchmarks",
    "axes",
    "tied",
    "pareto",
    "contrasts",
    "flips",
    "text",
    "selection",
    "oracle",
    "style",
    "official",
    "judges",
    "costs",
    "published",
]
# What was learned, taken apart: made of recipes, spectra and dev scores besides the tables above.
EXPLANATIONS = [
    "gates_by_layer",
    "gates_by_rank",
    "energy_by_layer",
    "overlap",
    "rank_blocks",
    "bimodality",
    "ablations",
]
# The published numbers that the study's are put beside.
PAPERS = (f"results/reference/papers/{config['published']}.yaml",) if "published" in config else ()
STAGES = [
    f"benchmarks.stages.{name}"
    for name in ("items", "tune", "predict", "score", "text", "answers_table")
]
FIGURES = ["trade_off", "gates", "learning", "sweep", "rank_blocks", "bimodality", "overlap"]
FINAL = [
    f"results/{config['study']}/study.json",
    *expand("results/{study}/tables/{name}.csv", study=config["study"], name=TABLES + EXPLANATIONS),
    *expand("results/{study}/figures/{name}.png", study=config["study"], name=FIGURES),
    *multiext(f"results/{config['study']}/questions", ".parquet", ".csv"),
    f"results/{config['study']}/summary.md",
]
SETTINGS = slice_of(
    "study",
    "seed",
    "triple",
    "calibration",
    "benchmarks",
    "text",
    "variants",
    "selection",
    "statistics",
    "judge",
    "explain",
    "published",
)


# What the results were made of and with; `frism verify` begins here.
rule record:
    output:
        "results/{study}/study.json",
    log:
        "results/{study}/logs/record.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=json.dumps(config),
        # A change in any code that results come from is a change of what they were made with.
        code=code(
            "benchmarks.stages.record", "frism.spectra.spectra", *STAGES, *map(method_of, VARIANTS)
        ),
    message:
        "Record what the study is run with"
    shell:
        "python -m benchmarks.stages.record --config {params.config:q} --out {output} &> {log}"


rule questions:
    input:
        expand("results/{{study}}/scores/{variant}.csv", variant=VARIANTS),
        expand("results/{{study}}/text/{owner}.csv", owner=OWNERS),
    output:
        "results/{study}/questions.parquet",
        "results/{study}/questions.csv",
    log:
        "results/{study}/logs/questions.log",
    benchmark:
        "results/{study}/costs/questions.tsv"
    conda:
        "../../environment.yml"
    params:
        config=SETTINGS,
        code=code("benchmarks.stages.answers_table"),
    message:
        "Put all answers into one table"
    shell:
        "python -m benchmarks.stages.answers_table --results results/{wildcards.study} --config {params.config:q}"
        " --out results/{wildcards.study} &> {log}"


rule tables:
    input:
        expand("results/{{study}}/scores/{variant}.csv", variant=VARIANTS),
        expand("results/{{study}}/variants/{variant}/dev.csv", variant=VARIANTS),
        expand("results/{{study}}/text/{owner}.csv", owner=OWNERS),
        [
            f"{folder_of(variant)}/points/{point}/test.csv"
            for variant in VARIANTS
            for point in points_of(variant)
        ],
    output:
        report(
            expand("results/{{study}}/tables/{name}.csv", name=TABLES),
            category="Tables",
            caption="../report/tables.rst",
        ),
        expand("results/{{study}}/tables/{name}.md", name=TABLES),
    log:
        "results/{study}/logs/tables.log",
    benchmark:
        "results/{study}/costs/tables.tsv"
    conda:
        "../../environment.yml"
    params:
        config=SETTINGS,
        code=code("benchmarks.stages.tables", data=PAPERS),
    message:
        "Write the tables"
    shell:
        "python -m benchmarks.stages.tables --results results/{wildcards.study} --config {params.config:q}"
        " &> {log}"


rule explain:
    input:
        expand("results/{{study}}/scores/{variant}.csv", variant=VARIANTS),
        expand("results/{{study}}/variants/{variant}/dev.csv", variant=VARIANTS),
        expand("results/{{study}}/text/{owner}.csv", owner=OWNERS),
        SPECTRA,
    output:
        report(
            expand("results/{{study}}/tables/{name}.csv", name=EXPLANATIONS),
            category="Explanations",
            caption="../report/explanations.rst",
        ),
        expand("results/{{study}}/tables/{name}.md", name=EXPLANATIONS),
    log:
        "results/{study}/logs/explain.log",
    benchmark:
        "results/{study}/costs/explain.tsv"
    conda:
        "../../environment.yml"
    resources:
        gpu=int(ENGINE["device"] == "cuda"),
    params:
        config=SETTINGS,
        device="cuda" if ENGINE["device"] == "cuda" else "cpu",
        weights=lambda wildcards: weights(),
        code=code("benchmarks.stages.explain"),
    message:
        "Take apart what was learned: gates, energy, overlap, ranks"
    shell:
        "python -m benchmarks.stages.explain --results results/{wildcards.study} --config {params.config:q}"
        " --spectra results/{wildcards.study}/spectra --device {params.device}"
        " --out results/{wildcards.study}/tables &> {log}"


rule figures:
    input:
        expand("results/{{study}}/tables/{name}.csv", name=TABLES + EXPLANATIONS),
    output:
        report(
            expand("results/{{study}}/figures/{name}.png", name=FIGURES),
            category="Figures",
            caption="../report/figures.rst",
        ),
        expand("results/{{study}}/figures/{name}.svg", name=FIGURES),
    log:
        "results/{study}/logs/figures.log",
    benchmark:
        "results/{study}/costs/figures.tsv"
    conda:
        "../../environment.yml"
    params:
        config=SETTINGS,
        code=code("benchmarks.stages.figures"),
    message:
        "Draw the figures"
    shell:
        "python -m benchmarks.stages.figures --results results/{wildcards.study} --config {params.config:q}"
        " &> {log}"


rule summary:
    input:
        expand("results/{{study}}/tables/{name}.csv", name=TABLES + EXPLANATIONS),
        expand("results/{{study}}/figures/{name}.png", name=FIGURES),
    output:
        "results/{study}/summary.md",
    log:
        "results/{study}/logs/summary.log",
    benchmark:
        "results/{study}/costs/summary.tsv"
    conda:
        "../../environment.yml"
    params:
        config=SETTINGS,
        code=code("benchmarks.stages.summary", data=("benchmarks/stages/summary.md.jinja",)),
    message:
        "Say in words what the study shows"
    shell:
        "python -m benchmarks.stages.summary --results results/{wildcards.study} --config {params.config:q}"
        " &> {log}"
