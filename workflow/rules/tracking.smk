# MLflow: the store before anything else (the first connections to a new one must not be parallel),
# then one publish step a run, one at a time (the resource `mlflow`; `rsm publish` locks as well).

# Another server: publish to it too. Hashed, since an address may hold a password.
SERVER = os.environ.get("MLFLOW_TRACKING_URI", "")
SERVER = hashlib.sha256(SERVER.encode()).hexdigest()[:12] if SERVER else "local"

# What was published is noted beside the store: results that are copied without it are published anew.
RECEIPTS = f"results/mlflow/receipts/{study.name}"


named = {key: overrides[key] for key in ("description",) if key in overrides}
if study.name != configured:
    named["name"] = study.name


rule store:
    output:
        touch(f"{RECEIPTS}/store.done"),
    log:
        f"{RESULTS}/logs/store.log",
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
        summary=f"{RESULTS}/runs/{{run}}/summary.json",
    output:
        f"{RECEIPTS}/runs/{{run}}.json",
    log:
        f"{RESULTS}/logs/publish/{{run}}.log",
    conda:
        "../../environment.yml"
    resources:
        mlflow=1,
    params:
        study=study.name,
        server=SERVER,
        folder=subpath(input.summary, parent=True),
    shell:
        "python -m rsm publish {params.folder:q} --study {params.study:q}"
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
    conda:
        "../../environment.yml"
    resources:
        mlflow=1,
    params:
        server=SERVER,
    shell:
        "python -m rsm publish-results --study {input.study:q} --receipt {output:q} > {log:q} 2>&1"
