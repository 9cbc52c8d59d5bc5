# `snakemake verify`: recompute a few committed numbers and compare, whatever the study. It has no
# outputs, so it always runs; it fails where a number differs.
rule verify:
    log:
        "results/logs/verify.log",
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        "python -m rsm verify 2>&1 | tee {log:q}"
