# The theory study only: exact checks, estimators of A⁺, and what ζ does in training (docs/theory.md).
from rsm import theory
from rsm.theory.variations import variations

try:
    varied = variations(study)
except ConfigError as error:
    print(error, file=sys.stderr)
    sys.exit(2)


use rule train as train_variation with:
    output:
        expand(
            "{results}/variations/{{run}}/{file}",
            results=RESULTS,
            file=[*RUN_FILES, "policy.safetensors"],
        ),
    log:
        f"{RESULTS}/logs/variations/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/variations/{{run}}.tsv"
    wildcard_constraints:
        run="|".join(map(re.escape, varied)),
    params:
        settings=lambda wildcards: varied[wildcards.run].model_dump_json(),
        folder=subpath(output[0], parent=True),


rule theory_exact:
    input:
        study=rules.resolve.output[0],
    output:
        [
            report(
                f"{RESULTS}/figures/{name}.png",
                caption=f"../report/theory/{name}.rst",
                category="Theory",
                labels={"figure": name.replace("_", " ")},
            )
            for name in theory.FIGURES["exact"]
        ],
        expand(
            "{results}/{file}",
            results=RESULTS,
            file=theory.other_files("exact"),
        ),
    log:
        f"{RESULTS}/logs/theory_exact.log",
    benchmark:
        f"{RESULTS}/benchmarks/theory_exact.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    shell:
        "python -m rsm theory exact --study {input.study:q} > {log:q} 2>&1"


rule theory_estimators:
    input:
        study=rules.resolve.output[0],
    output:
        [
            report(
                f"{RESULTS}/figures/{name}.png",
                caption=f"../report/theory/{name}.rst",
                category="Theory",
                labels={"figure": name.replace("_", " ")},
            )
            for name in theory.FIGURES["estimators"]
        ],
        expand(
            "{results}/{file}",
            results=RESULTS,
            file=theory.other_files("estimators"),
        ),
    log:
        f"{RESULTS}/logs/theory_estimators.log",
    benchmark:
        f"{RESULTS}/benchmarks/theory_estimators.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    shell:
        "python -m rsm theory estimators --study {input.study:q} > {log:q} 2>&1"


rule theory_training:
    input:
        study=rules.resolve.output[0],
        runs=expand("{results}/runs/{run}/summary.json", results=RESULTS, run=runs),
        varied=expand(
            "{results}/variations/{run}/summary.json", results=RESULTS, run=varied
        ),
    output:
        [
            report(
                f"{RESULTS}/figures/{name}.png",
                caption=f"../report/theory/{name}.rst",
                category="Theory",
                labels={"figure": name.replace("_", " ")},
            )
            for name in theory.FIGURES["training"]
        ],
        expand(
            "{results}/{file}",
            results=RESULTS,
            file=theory.other_files("training"),
        ),
    log:
        f"{RESULTS}/logs/theory_training.log",
    benchmark:
        f"{RESULTS}/benchmarks/theory_training.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    shell:
        "python -m rsm theory training --study {input.study:q} > {log:q} 2>&1"


MORE += [
    *rules.theory_exact.output,
    *rules.theory_estimators.output,
    *rules.theory_training.output,
]
