# Figures of all runs of the study, in every format, with their data.
OTHER_FORMATS = [kind for kind in analysis.FORMATS if kind != "png"]


# One held-out episode of the runs that the figure `space_time` shows.
rule trajectory:
    input:
        f"{RESULTS}/runs/{{run}}/summary.json",
    output:
        f"{RESULTS}/space_time/{{run}}.parquet",
    log:
        f"{RESULTS}/logs/trajectory/{{run}}.log",
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    params:
        folder=subpath(input[0], parent=True),
    shell:
        "python -m rsm trajectory {params.folder:q} --out {output:q} > {log:q} 2>&1"


rule draw:
    input:
        SUMMARIES,
        expand(
            "{results}/space_time/{run}.parquet",
            results=RESULTS,
            run=trajectory_runs(study),
        ),
        study=rules.resolve.output[0],
    output:
        [
            report(
                f"{RESULTS}/figures/{name}.png",
                caption=str(heading.caption),
                category=heading.category,
                labels={"figure": heading.title},
            )
            for name, heading in HEADINGS.items()
        ],
        expand(
            "{results}/figures/{figure}.{kind}",
            results=RESULTS,
            figure=analysis.FIGURES,
            kind=OTHER_FORMATS,
        ),
    log:
        f"{RESULTS}/logs/figures.log",
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        "python -m rsm figures --study {input.study:q} > {log:q} 2>&1"


# `snakemake figures`: draw again from the runs that exist. It has no inputs, so it never trains anything.
rule figures:
    log:
        f"{RESULTS}/logs/redraw.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        study=rules.resolve.output[0],
    shell:
        "python -m rsm figures --study {params.study:q} 2>&1 | tee {log:q}"
