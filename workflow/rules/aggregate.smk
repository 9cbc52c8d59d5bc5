# Tables over all runs of the study; the report shows the readable one.

SHOWN = "main.html"
OTHER_TABLES = [name for name in analysis.TABLES if name != SHOWN]


rule tables:
    input:
        study=rules.resolve.output[0],
        runs=expand("{results}/runs/{run}/summary.json", results=RESULTS, run=runs),
    output:
        report(
            f"{RESULTS}/tables/{SHOWN}",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "all cells of the study"},
        ),
        expand("{results}/tables/{table}", results=RESULTS, table=OTHER_TABLES),
    log:
        f"{RESULTS}/logs/tables.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m rsm tables --study {input.study:q} > {log:q} 2>&1"
