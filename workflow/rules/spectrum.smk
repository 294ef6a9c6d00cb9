# The singular directions of the reasoning task vector, for the methods that work on them; a job per part.
# The spectra themselves are no outputs: they lie in a folder named after what they were computed from, so
# that a job that runs again computes only what is missing, and Snakemake deletes nothing when one is cut off.


rule spectrum:
    output:
        "results/{study}/spectra/part{part}of{parts}.json",
    log:
        "results/{study}/logs/spectrum/part{part}of{parts}.log",
    benchmark:
        "results/{study}/costs/spectrum/part{part}of{parts}.tsv"
    wildcard_constraints:
        part=r"\d+",
        parts=r"\d+",
    priority: 10_000
    conda:
        "../../environment.yml"
    resources:
        **REQUESTS.of("spectrum"),
        gpu=int(STUDY.engine.device != "cpu"),
    params:
        models=shlex.join(STUDY.triple.sources),
        scope=STUDY.scope,
        how=shlex.join(job_facts.list_spectrum_options(STUDY)),
        device=STUDY.engine.device,
        weights=lambda wildcards: JOBS.weights,
        # What decomposes; how checkpoints are read is none of its business.
        code=code("frism.spectra.spectra", without=("frism.triples", "frism.checkpoints")),
    message:
        "Decompose the reasoning task vector (part {wildcards.part} of {wildcards.parts})"
    shell:
        "flock {log}.lock python -m frism spectrum {params.models} --out results/{wildcards.study}/spectra"
        " --scope {params.scope} {params.how} --device {params.device}"
        " --part {wildcards.part}/{wildcards.parts} --json > {output}.$$ 2> >(tee {log} >&2);"
        " mv {output}.$$ {output}"
