# MLflow: the store before anything else (the first connections to a new one must not be parallel),
# then publish steps, one at a time (the resource `mlflow`; `rsm publish` locks as well). Importing
# MLflow takes seconds, so each step publishes many runs, once all of them are finished; `rsm sync`
# publishes finished runs at any time.
TOGETHER = 32
PUBLISHED = {
    str(first): list(runs)[first : first + TOGETHER]
    for first in range(0, len(runs), TOGETHER)
}

# Another server: publish to it too. Hashed, since an address may hold a password.
SERVER = os.environ.get("MLFLOW_TRACKING_URI", "")
SERVER = hashlib.sha256(SERVER.encode()).hexdigest()[:12] if SERVER else "local"

# Receipts lie beside the store, so that results copied without the store are published again.
RECEIPTS = f"results/mlflow/receipts/{study.name}"


named = {key: overrides[key] for key in ("description",) if key in overrides}
if study.name != configured:
    named["name"] = study.name


rule store:
    output:
        touch(f"{RECEIPTS}/store.done"),
    log:
        f"{RESULTS}/logs/store.log",
    # First of all, so that `make ui` shows a study as soon as it trains.
    priority: len(RANK)
    localrule: True
    conda:
        "../../environment.yml"
    params:
        study=configured,
        names=lambda wildcards: json.dumps(named),
        server=SERVER,
    shell:
        "python -m rsm store --study {params.study:q} --set {params.names:q} > {log:q} 2>&1"


rule publish:
    input:
        store=rules.store.output,
        summaries=lambda wildcards: expand(
            "{results}/runs/{run}/summary.json",
            results=RESULTS,
            run=PUBLISHED[wildcards.first],
        ),
    output:
        f"{RECEIPTS}/runs-{{first}}.json",
    log:
        f"{RESULTS}/logs/publish/runs-{{first}}.log",
    wildcard_constraints:
        first="[0-9]+",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mlflow=1,
    params:
        study=study.name,
        server=SERVER,
        folders=lambda wildcards, input: [
            os.path.dirname(file) for file in input.summaries
        ],
    shell:
        "python -m rsm publish {params.folders:q} --study {params.study:q}"
        " --receipt {output:q} > {log:q} 2>&1"


rule publish_results:
    input:
        store=rules.store.output,
        study=rules.resolve.output[0],
        figures=rules.draw.output,
        tables=rules.tables.output,
        more=MORE,
    output:
        f"{RECEIPTS}/results.json",
    log:
        f"{RESULTS}/logs/publish_results.log",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mlflow=1,
    params:
        server=SERVER,
    shell:
        "python -m rsm publish-results --study {input.study:q} --receipt {output:q} > {log:q} 2>&1"
