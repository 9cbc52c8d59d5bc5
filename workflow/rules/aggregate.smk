# Tables of all runs of the study; the report shows those in SHOWN.

SHOWN = {
    "main.html": ("Tables", "table", "every configuration of the study"),
    "runs.csv": ("Tables", "runs", "every run"),
    "settings.html": ("Configuration", "configuration", "every setting of the study"),
}
OTHER_TABLES = [name for name in analysis.TABLES if name not in SHOWN]


rule tables:
    input:
        SUMMARIES,
        study=rules.resolve.output[0],
    output:
        [
            report(
                f"{RESULTS}/tables/{name}",
                caption=f"../report/{caption}.rst",
                category=category,
                labels={"table": label},
            )
            for name, (category, caption, label) in SHOWN.items()
        ],
        expand("{results}/tables/{table}", results=RESULTS, table=OTHER_TABLES),
    log:
        f"{RESULTS}/logs/tables.log",
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        "python -m rsm tables --study {input.study:q} > {log:q} 2>&1"
