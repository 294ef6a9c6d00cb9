# From scores to what a reader opens: tables, figures and the summary in words.
TABLES = ["benchmarks", "axes", "contrasts", "text", "selection", "style", "costs"]
FIGURES = ["trade_off", "gates", "learning"]
FINAL = [
    *expand("results/{study}/tables/{name}.csv", study=config["study"], name=TABLES),
    *expand("results/{study}/figures/{name}.png", study=config["study"], name=FIGURES),
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
)


rule tables:
    input:
        expand("results/{{study}}/scores/{variant}.csv", variant=VARIANTS),
        expand("results/{{study}}/variants/{variant}/dev.csv", variant=VARIANTS),
        expand("results/{{study}}/text/{owner}.csv", owner=OWNERS),
    output:
        report(
            expand("results/{{study}}/tables/{name}.csv", name=TABLES),
            category="Tables",
            caption="../report/tables.rst",
        ),
        expand("results/{{study}}/tables/{name}.md", name=TABLES),
    log:
        "results/{study}/logs/tables.log",
    conda:
        "../../environment.yml"
    params:
        config=SETTINGS,
        code=code("benchmarks.tables"),
    message:
        "Write the tables"
    shell:
        "python -m benchmarks.tables --results results/{wildcards.study} --config {params.config:q}"
        " &> {log}"


rule figures:
    input:
        expand("results/{{study}}/tables/{name}.csv", name=TABLES),
    output:
        report(
            expand("results/{{study}}/figures/{name}.png", name=FIGURES),
            category="Figures",
            caption="../report/figures.rst",
        ),
        expand("results/{{study}}/figures/{name}.svg", name=FIGURES),
    log:
        "results/{study}/logs/figures.log",
    conda:
        "../../environment.yml"
    params:
        config=SETTINGS,
        code=code("benchmarks.figures"),
    message:
        "Draw the figures"
    shell:
        "python -m benchmarks.figures --results results/{wildcards.study} --config {params.config:q}"
        " &> {log}"


rule summary:
    input:
        expand("results/{{study}}/tables/{name}.csv", name=TABLES),
        expand("results/{{study}}/figures/{name}.png", name=FIGURES),
    output:
        "results/{study}/summary.md",
    log:
        "results/{study}/logs/summary.log",
    conda:
        "../../environment.yml"
    params:
        config=SETTINGS,
        code=code("benchmarks.summary", data=("benchmarks/summary.md.jinja",)),
    message:
        "Say in words what the study shows"
    shell:
        "python -m benchmarks.summary --results results/{wildcards.study} --config {params.config:q}"
        " &> {log}"
