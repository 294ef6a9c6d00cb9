# From three checkpoints to tables, figures and a page to read. One file per stage in workflow/rules.
#   snakemake --cores all                              the study of config/miniature.yaml
#   snakemake --cores all --configfile config/x.yaml   another study
#   snakemake -n                                       what would run, and why
from snakemake.utils import min_version

min_version("9.20")

# Loaded only when no other study is named: Snakemake would merge the two.
if "study" not in config:

    configfile: "config/miniature.yaml"


# Said on the command line alone, of studies that are put side by side: no key of the study that is planned here.
POPULATION = str(config.pop("population", "")).split()


include: "workflow/rules/common.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/population.smk"
include: "workflow/rules/items.smk"
include: "workflow/rules/spectrum.smk"
include: "workflow/rules/answer.smk"
include: "workflow/rules/shards.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/aggregate.smk"


wildcard_constraints:
    study=STUDY.study,
    variant="|".join(VARIANTS),


onstart:
    with report_errors():
        work_alone(STUDY.study)
        JOBS.write_record()


rule all:
    default_target: True
    input:
        FINAL,
    message:
        "The study {STUDY.study} is finished: open results/{STUDY.study}/page/index.html"
        " in a browser, or read results/{STUDY.study}/summary.md"
