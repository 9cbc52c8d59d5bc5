# Reads a study and builds its DAG: `snakemake --cores N --config study=NAME`;
# any setting of the study can be overridden in the same way, e.g. 'run={sac: {batch_size: 64}}'.
# NAME is a study that comes with rsm or the path of a file. Results are written below the working
# folder, wherever this file lies: other workflows use it as a module (docs/how-to/extending.md).
import hashlib
import importlib.util
import json
import os
import re
import sys
from pathlib import Path

from snakemake.logging import logger
from snakemake.utils import min_version

from rsm import analysis
from rsm.analysis import figures
from rsm.runs.schema import TABLES
from rsm.analysis.trajectories import trajectory_runs
from rsm.errors import ConfigError
from rsm.config.catalogue import CONTROLS, METHODS
from rsm.config.loading import dump_yaml
from rsm.config.run import own_settings
from rsm.config.overrides import (
    OPTION,
    device_name,
    given_text,
    study_overrides,
    wants_rebuild,
)
from rsm.config.study import load_study, study_file
from rsm.runs.announcing import announce, hush
from rsm.runs.machine import search_less_for_garbage, too_many_cores, usable_cores
from rsm.runs.outcome import outcome, places, report as ended_report
from rsm.runs.planning import plan
from rsm.tracking.pages import published_page

min_version("9.20")
search_less_for_garbage()


configured = given_text("study", config, sys.argv, "paper")
overrides = study_overrides(config, sys.argv)
try:
    rebuild, device = wants_rebuild(config), device_name(config)
    study = load_study(study_file(configured), overrides, OPTION)
    runs = study.runs()
    # Title, category and caption of each figure, from its module.
    HEADINGS = {name: figures.heading(name) for name in analysis.FIGURES}
    if importlib.util.find_spec("libsumo") is None:
        raise ConfigError(
            "environment: libsumo: SUMO is not installed: run `make setup`"
        )
    # Jobs of a cluster run on machines of which this one knows nothing.
    if device != "cpu" and workflow.resource_settings.nodes is None:
        from rsm.sac.device import device_of

        device_of(device, f"{OPTION}: device")
    plan(study.name, runs, Path(f"results/{study.name}/runs"), rebuild, device)
except ConfigError as error:
    # A user's mistake is reported in one line, before Snakemake writes anything.
    print(error, file=sys.stderr)
    sys.exit(2)

# Rules call the `python` of this environment, even if it is not activated.
os.environ.update(
    PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()])
)
RESULTS = f"results/{study.name}"
SNAKEFILE = workflow.current_basedir.join(
    "Snakefile"
)  # this file, also when it is used as a module
if overrides and study.name not in (
    study_file(configured).stem,
    overrides.get("name"),
):
    print(
        f"{configured} with these overrides is the study {study.name}, in {RESULTS} "
        "(name=NAME gives it another name)",
        file=sys.stderr,
    )
if (advice := too_many_cores(workflow.resource_settings.cores)) is not None:
    print(advice, file=sys.stderr)
    workflow.register_resource("_cores", usable_cores())
MORE = []  # further outputs, of the theory and the gate


wildcard_constraints:
    run=r"[a-z0-9.+-]+",


include: "workflow/rules/common.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/verify.smk"


if study.checks_theory:

    include: "workflow/rules/theory.smk"


if any(settings.measures_gate for settings in runs.values()):

    include: "workflow/rules/gate.smk"


include: "workflow/rules/tracking.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        SUMMARIES,
        rules.tables.output,
        rules.draw.output,
        expand(rules.publish.output, first=PUBLISHED),
        rules.publish_results.output,
        rules.page.output,
        rules.report.output,
        MORE,


# One line every 30 s in place of a block for every job; `--verbose` and `--no-hooks` show the blocks.
onstart:
    if hush(logger):
        announce(study.name, runs, Path(RESULTS))


onsuccess:
    lines = ended_report(study.name, runs, Path(RESULTS), ended=True)
    print(*lines, sep="\n", end="\n" if lines else "", file=sys.stderr)
    print(
        *places(study.name, Path(RESULTS), published_page(Path(RECEIPTS))), sep="\n"
    )


# Make tables, figures and report of the finished runs; failed jobs are shown as missing runs.
onerror:
    print(
        *ended_report(study.name, runs, Path(RESULTS), ended=False),
        sep="\n",
        file=sys.stderr,
    )
    if outcome(runs, Path(RESULTS)).broken and os.path.isfile(
        f"{RESULTS}/study.yaml"
    ):
        source = str(study_file(configured))
        shell(
            "(python -m rsm tables --study {RESULTS}/study.yaml"
            " && python -m rsm figures --study {RESULTS}/study.yaml"
            " && python -m rsm page --study {RESULTS}/study.yaml --source {source:q}"
            " && python -m snakemake --snakefile {SNAKEFILE:q} --report {RESULTS}/report.html"
            " --configfile {RESULTS}/study.yaml --config study={configured:q} rebuild=true"
            " -- {RESULTS}/figures/zeta.png {RESULTS}/tables/main.html)"
            " > {RESULTS}/logs/without_broken_runs.log 2>&1"
            " && echo 'Tables, figures and page show the others.' >&2 || true"
        )
        shell(
            "python -m rsm sync --study {RESULTS}/study.yaml > {RESULTS}/logs/sync.log 2>&1 || true"
        )
