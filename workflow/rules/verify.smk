# `snakemake verify`: recompute a few committed numbers and compare, whatever the study. It has no
# outputs, so that it always runs; what differs fails it.
rule verify:
    log:
        "results/logs/verify.log",
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        "python -m rsm verify 2>&1 | tee {log:q}"
