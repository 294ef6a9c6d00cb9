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
    "tokens",
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
FIGURES = [
    "trade_off",
    "tokens",
    "gates",
    "learning",
    "sweep",
    "rank_blocks",
    "bimodality",
    "overlap",
]
FINAL = [
    *expand("results/{study}/tables/{name}.csv", study=STUDY.study, name=TABLES + EXPLANATIONS),
    *expand("results/{study}/figures/{name}.png", study=STUDY.study, name=FIGURES),
    *multiext(f"results/{STUDY.study}/questions", ".parquet", ".csv"),
    *ANALYSED,
    *REPORTED,
    f"results/{STUDY.study}/summary.md",
    f"results/{STUDY.study}/page/index.html",
]


rule questions:
    input:
        expand("results/{{study}}/scores/{variant}.csv", variant=VARIANTS),
        expand("results/{{study}}/text/{owner}.csv", owner=STUDY.owners),
    output:
        "results/{study}/questions.parquet",
        "results/{study}/questions.csv",
    log:
        "results/{study}/logs/questions.log",
    benchmark:
        "results/{study}/costs/questions.tsv"
    conda:
        "../../environment.yml"
    resources:
        **REQUESTS.of("questions"),
    params:
        study=RECORD,
        config=JOBS.whole,
        code=code("benchmarks.stages.answers_table"),
    message:
        "Put all answers into one table"
    shell:
        "python -m benchmarks.stages.answers_table --study {params.study} &> {log}"


rule tables:
    input:
        expand("results/{{study}}/scores/{variant}.csv", variant=VARIANTS),
        expand("results/{{study}}/variants/{variant}/dev.csv", variant=VARIANTS),
        expand("results/{{study}}/text/{owner}.csv", owner=STUDY.owners),
        JOBS.oracle,
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
    resources:
        **REQUESTS.of("tables"),
    params:
        study=RECORD,
        config=JOBS.whole,
        code=code("benchmarks.stages.tables", data=JOBS.papers),
    message:
        "Write the tables"
    shell:
        "python -m benchmarks.stages.tables --study {params.study} &> {log}"


rule explain:
    input:
        expand("results/{{study}}/scores/{variant}.csv", variant=VARIANTS),
        expand("results/{{study}}/variants/{variant}/dev.csv", variant=VARIANTS),
        expand("results/{{study}}/text/{owner}.csv", owner=STUDY.owners),
        JOBS.all_spectra,
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
        **REQUESTS.of("explain"),
        gpu=int(STUDY.engine.device == "cuda"),
    params:
        study=RECORD,
        config=JOBS.whole,
        weights=lambda wildcards: JOBS.weights,
        code=code("benchmarks.stages.explain"),
    message:
        "Take apart what was learned: gates, energy, overlap, ranks"
    shell:
        "python -m benchmarks.stages.explain --study {params.study} &> {log}"


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
    threads: 4
    resources:
        **REQUESTS.of("figures"),
    params:
        study=RECORD,
        config=JOBS.whole,
        code=code("benchmarks.stages.figures"),
    message:
        "Draw the figures"
    shell:
        "python -m benchmarks.stages.figures --study {params.study} --workers {threads} &> {log}"


rule summary:
    input:
        expand("results/{{study}}/tables/{name}.csv", name=TABLES + EXPLANATIONS),
        expand("results/{{study}}/figures/{name}.png", name=FIGURES),
        REPORTED,
    output:
        "results/{study}/summary.md",
    log:
        "results/{study}/logs/summary.log",
    benchmark:
        "results/{study}/costs/summary.tsv"
    conda:
        "../../environment.yml"
    resources:
        **REQUESTS.of("summary"),
    params:
        study=RECORD,
        config=JOBS.whole,
        code=code(
            "benchmarks.stages.summary",
            data=("benchmarks/stages/summary.md.jinja", *JOBS.population),
        ),
    message:
        "Say in words what the study shows"
    shell:
        "python -m benchmarks.stages.summary --study {params.study} &> {log}"


rule page:
    input:
        expand("results/{{study}}/tables/{name}.csv", name=TABLES + EXPLANATIONS),
        expand("results/{{study}}/figures/{name}.png", name=FIGURES),
        expand("results/{{study}}/scores/{variant}.csv", variant=VARIANTS),
        "results/{study}/questions.parquet",
        "results/{study}/summary.md",
        REPORTED,
    output:
        "results/{study}/page/index.html",
    log:
        "results/{study}/logs/page.log",
    benchmark:
        "results/{study}/costs/page.tsv"
    conda:
        "../../environment.yml"
    resources:
        **REQUESTS.of("page"),
    params:
        study=RECORD,
        config=JOBS.whole,
        code=code(
            "benchmarks.stages.page", data=("benchmarks/page/front/*", "benchmarks/page/vendor/*")
        ),
    message:
        "Make the audit page"
    shell:
        "python -m benchmarks.stages.page --study {params.study} &> {log}"
