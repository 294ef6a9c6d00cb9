# A variant: fit what its method learns, choose its coefficients on dev, write its recipe.
# `flock`: a job that outlived a killed Snakemake finishes before its successor takes over its files.


rule tune:
    input:
        "results/{study}/items/manifest.json",
        made_before,
        lambda wildcards: spectra_of(wildcards.variant),
    output:
        "results/{study}/variants/{variant}/recipe.json",
        "results/{study}/variants/{variant}/dev.csv",
        "results/{study}/variants/{variant}/choice.json",
    log:
        "results/{study}/logs/tune/{variant}.log",
    benchmark:
        "results/{study}/costs/tune/{variant}.tsv"
    conda:
        "../../environment.yml"
    resources:
        gpu=GPU,
    params:
        method=lambda wildcards: config["variants"][wildcards.variant]["method"],
        params=lambda wildcards: json.dumps(config["variants"][wildcards.variant]["params"]),
        grid=lambda wildcards: json.dumps(config["variants"][wildcards.variant]["grid"]),
        points=lambda wildcards: len(variant_list.points(config["variants"][wildcards.variant])),
        reference=reference_option,
        # What makes the weights is part of the recipe, and so of the key of every answer.
        merging=lambda wildcards: code_for(
            wildcards.variant, method_of(wildcards.variant), "frism.merging.on_load"
        ),
        decomposed=spectrum_options,
        calibration=calibration_option,
        calibrated_on=calibrated_on,
        unmodified=unmodified_option,
        scope=config["scope"],
        seed=config["seed"],
        triple=json.dumps(config["triple"]),
        weights=lambda wildcards: weights(),
        engine=json.dumps(config["engine"]),
        benchmarks=DEV_BENCHMARKS,
        definitions=definitions("benchmarks"),
        selection=json.dumps({"perception_budget": config["selection"]["perception_budget"]}),
        code=lambda wildcards: code_for(
            wildcards.variant, "benchmarks.stages.tune", method_of(wildcards.variant)
        ),
    message:
        "Fit {wildcards.variant} and choose its coefficients on dev (grid points: {params.points})"
    shell:
        "flock {log}.lock python -m benchmarks.stages.tune --variant {wildcards.variant}"
        " --method {params.method} --params {params.params:q} --grid {params.grid:q} {params.reference}"
        " {params.unmodified} --scope {params.scope} --seed {params.seed} --triple {params.triple:q}"
        " {params.decomposed} {params.calibration} --engine {params.engine:q}"
        " --items results/{wildcards.study}/items --benchmarks {params.benchmarks:q}"
        " --selection {params.selection:q} --code {params.merging}"
        " --out results/{wildcards.study}/variants/{wildcards.variant} 2>&1 | tee {log}"
