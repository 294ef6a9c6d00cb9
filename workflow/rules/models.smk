# The miniature triple, trained anew: `snakemake --cores 2 miniature_models`, about 50 minutes.
# The study never does this: the trained weights are part of the repository. What is trained here
# replaces them at the end; `git status` then tells whether the bytes came out the same.


rule miniature_models:
    input:
        expand(
            "results/miniature_models/{part}/model.safetensors",
            part=["base", "lrm", "vlm", "sft_text"],
        ),
    log:
        "results/miniature_models/card.log",
    conda:
        "../../environment.yml"
    message:
        "Measure the trained triple, write its card, and put it into benchmarks/miniature/weights"
    shell:
        "(python -m benchmarks.miniature.card --weights results/miniature_models"
        " && mkdir -p benchmarks/miniature/weights"
        " && cd results/miniature_models"
        " && cp -r base lrm vlm sft_text README.md SHA256SUMS ../../benchmarks/miniature/weights/) 2>&1 | tee {log}"


rule train_base:
    output:
        "results/miniature_models/base/model.safetensors",
    log:
        "results/miniature_models/base.log",
    conda:
        "../../environment.yml"
    # The number of threads is part of the recipe: sums come out in another order with another number.
    threads: 2
    params:
        code=code("benchmarks.miniature.base", "benchmarks.miniature.train"),
    message:
        "Train the base language model (about 25 minutes)"
    shell:
        "python -m benchmarks.miniature.train base --threads 2"
        " --out results/miniature_models/base 2>&1 | tee {log}"


rule train_child:
    input:
        "results/miniature_models/base/model.safetensors",
    output:
        "results/miniature_models/{part}/model.safetensors",
    log:
        "results/miniature_models/{part}.log",
    wildcard_constraints:
        part="lrm|vlm",
    conda:
        "../../environment.yml"
    threads: 2
    params:
        code=lambda wildcards: code(
            f"benchmarks.miniature.{wildcards.part}", "benchmarks.miniature.train"
        ),
    message:
        "Train {wildcards.part} from the base model (lrm about 2 minutes, vlm about 20)"
    shell:
        "python -m benchmarks.miniature.train {wildcards.part} --base results/miniature_models/base"
        " --threads 2 --out results/miniature_models/{wildcards.part} 2>&1 | tee {log}"


rule train_sft_text:
    input:
        expand("results/miniature_models/{part}/model.safetensors", part=["vlm", "lrm"]),
    output:
        "results/miniature_models/sft_text/model.safetensors",
    log:
        "results/miniature_models/sft_text.log",
    conda:
        "../../environment.yml"
    threads: 2
    params:
        code=code("benchmarks.miniature.sft_text", "benchmarks.miniature.train"),
    message:
        "Fine-tune the VLM on the reasoning model's answers in words (about 2 minutes)"
    shell:
        "python -m benchmarks.miniature.train sft-text --vlm results/miniature_models/vlm"
        " --lrm results/miniature_models/lrm --threads 2"
        " --out results/miniature_models/sft_text 2>&1 | tee {log}"
