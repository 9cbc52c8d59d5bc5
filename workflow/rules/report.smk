# One HTML file with every figure and table, captioned.


report: "../report/workflow.rst"


rule report:
    input:
        study=rules.resolve.output[0],
        figures=rules.draw.output,
        tables=rules.tables.output,
        more=MORE,
    output:
        f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/report.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        snakefile=SNAKEFILE,
        study=configured,
    shell:
        "python -m snakemake --snakefile {params.snakefile:q} --report {output:q}"
        " --configfile {input.study:q} --config study={params.study:q} rebuild=true > {log:q} 2>&1"
