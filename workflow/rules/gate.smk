# For studies that measure their gate (`run.gate.replicas`): do accepted replicas raise the return?

from rsm import theory
from rsm.analysis import figures
from rsm.theory.figures import module_name


rule gate:
    input:
        [
            f"{RESULTS}/runs/{run}/summary.json"
            for run, settings in runs.items()
            if settings.measures_gate
        ],
        study=rules.resolve.output[0],
    output:
        [
            report(
                f"{RESULTS}/figures/{name}.png",
                caption=str(heading.caption),
                category=heading.category,
                labels={"figure": heading.title},
            )
            for name in theory.FIGURES["gate"]
            for heading in [figures.read_heading(module_name(name))]
        ],
        expand("{results}/{file}", results=RESULTS, file=theory.other_files("gate")),
    log:
        f"{RESULTS}/logs/gate.log",
    benchmark:
        f"{RESULTS}/benchmarks/gate.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    shell:
        "python -m rsm theory gate --study {input.study:q} > {log:q} 2>&1"


MORE += rules.gate.output
