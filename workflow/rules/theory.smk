# The theory study only: exact checks, estimators of A⁺, and what ζ does in training (docs/concepts/theory.md).
from rsm import theory
from rsm.analysis import figures
from rsm.theory.figures import module_name
from rsm.theory.variations import variations

try:
    varied = variations(study)
    plan(study.name, varied, Path(f"{RESULTS}/variations"), rebuild, device)
except ConfigError as error:
    print(error, file=sys.stderr)
    sys.exit(2)


use rule train as train_variation with:
    output:
        update(
            expand(
                "{results}/variations/{{run}}/{file}",
                results=RESULTS,
                file=[*RUN_FILES, "policy.safetensors"],
            )
        ),
    log:
        f"{RESULTS}/logs/variations/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/variations/{{run}}.tsv"
    wildcard_constraints:
        run="|".join(map(re.escape, varied)),
    priority: 0
    params:
        settings=lambda wildcards: own_settings(varied[wildcards.run]),
        folder=subpath(output[0], parent=True),
        force=lambda wildcards, output: "--force" if rebuild else "",
        device=lambda wildcards, output: device_of_run(varied[wildcards.run]),


# Inputs of a part beside the study itself.
THEORY_NEEDS = {
    "training": [
        *SUMMARIES,
        *expand("{results}/variations/{run}/summary.json", results=RESULTS, run=varied),
    ],
}


# One rule per part: their outputs have no common pattern that a wildcard could match.
for part in theory.OF_THEORY:

    rule:
        name:
            f"theory_{part}"
        input:
            THEORY_NEEDS.get(part, []),
            study=rules.resolve.output[0],
        output:
            [
                report(
                    f"{RESULTS}/figures/{name}.png",
                    caption=str(heading.caption),
                    category=heading.category,
                    labels={"figure": heading.title},
                )
                for name in theory.FIGURES[part]
                for heading in [figures.read_heading(module_name(name))]
            ],
            [f"{RESULTS}/{file}" for file in theory.other_files(part)],
        log:
            f"{RESULTS}/logs/theory_{part}.log",
        benchmark:
            f"{RESULTS}/benchmarks/theory_{part}.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=60,
        params:
            part=part,
        shell:
            "python -m rsm theory {params.part} --study {input.study:q} > {log:q} 2>&1"


MORE += [
    file
    for part in theory.OF_THEORY
    for file in getattr(rules, f"theory_{part}").output
]
