# One job a run. A run folder is written file by file; summary.json comes last. The checkpoint is
# not declared as output, so that Snakemake leaves it where an interrupted run can resume from it.

RECORDS = [f"{table}.parquet" for table in TABLES]
RUN_FILES = ["config.yaml", "manifest.json", *RECORDS, "summary.json"]


rule resolve:
    output:
        f"{RESULTS}/study.yaml",
    log:
        f"{RESULTS}/logs/resolve.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        # Functions, since Snakemake would read {braces} in a text as wildcards.
        study=configured,
        overrides=lambda wildcards: json.dumps(overrides),
        resolved=lambda wildcards: dump_yaml(study),
    shell:
        "python -m rsm resolve --study {params.study:q} --set {params.overrides:q}"
        " --out {output:q} > {log:q} 2>&1"


# The settings of a run come as a parameter, so that a run is trained again when its own settings
# change and not when another part of the study does. (An `ancient` study file would not do:
# Snakemake 9 overlooks changed jobs below an ancient input that is itself to be rewritten.)
#
# Existing outputs are kept (`update`), which Snakemake would otherwise remove before the job, even when only
# the rule changed: `rsm train` itself decides what is finished, what can be continued and what may be replaced.
rule train:
    input:
        source_of,
    output:
        update(expand("{results}/runs/{{run}}/{file}", results=RESULTS, file=RUN_FILES)),
        update(f"{RESULTS}/runs/{{run}}/policy.safetensors"),
    log:
        f"{RESULTS}/logs/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{run}}.tsv"
    wildcard_constraints:
        run=f"({'|'.join(METHODS)})-.+",
    priority: seeds_in_order
    # After a crash, a node that went away or the end of its time a job goes on from its checkpoint.
    retries: 2
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=480,
    params:
        settings=lambda wildcards: own_settings(runs[wildcards.run]),
        folder=subpath(output[0], parent=True),
        # These take `output`, so that Snakemake does not treat them as changed settings.
        force=lambda wildcards, output: "--force" if rebuild else "",
        device=lambda wildcards, output: device_of_run(runs[wildcards.run]),
    shell:
        "printf %s {params.settings:q} | python -m rsm train --config /dev/stdin"
        " --out {params.folder:q} --device {params.device} {params.force} > {log:q} 2>&1"


use rule train as control with:
    output:
        update(expand("{results}/runs/{{run}}/{file}", results=RESULTS, file=RUN_FILES)),
    wildcard_constraints:
        run=f"({'|'.join(CONTROLS)})(-from-.+)?-seed[0-9]+",
    resources:
        mem_mb=1000,
        runtime=60,
