# Two HTML files: the page, which is for reading, and Snakemake's report, which is for keeping.


report: "../report/workflow.rst"


rule page:
    input:
        study=rules.resolve.output[0],
        figures=rules.draw.output,
        tables=rules.tables.output,
        more=MORE,
    output:
        f"{RESULTS}/index.html",
    log:
        f"{RESULTS}/logs/page.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        source=lambda wildcards: str(study_file(configured)),
    shell:
        "python -m rsm page --study {input.study:q} --source {params.source:q} > {log:q} 2>&1"


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
