# The entry: reads a study and builds its DAG. `snakemake --cores N --config study=NAME`;
# any leaf of the study can be overridden the same way, e.g. 'run={sac: {batch_size: 64}}'.
# NAME is a study that comes with rsm or the path of a file. Results are written below the working
# folder, wherever this file lies: other workflows use it as a module (docs/extending.md).
import hashlib
import importlib.util
import json
import os
import re
import sys

from snakemake.utils import min_version

from rsm import analysis
from rsm.analysis import figures
from rsm.runs.schema import TABLES
from rsm.analysis.trajectories import trajectory_runs
from rsm.errors import ConfigError
from rsm.config.catalogue import CONTROLS, METHODS
from rsm.config.loading import dump_yaml
from rsm.config.study import load_study, study_file

min_version("9.20")


include: "workflow/rules/common.smk"


configured = config.get("study", "paper")
overrides = {
    key: value if key in ("name", "description") else typed(value)
    for key, value in config.items()
    if key != "study"
}
try:
    study = load_study(study_file(configured), overrides)
    runs = study.runs()
    # What each figure's own file says of it: its title, its category and its caption.
    HEADINGS = {
        name: figures.heading(figures.module(name)) for name in analysis.FIGURES
    }
    if importlib.util.find_spec("libsumo") is None:
        raise ConfigError(
            "environment: libsumo: SUMO is not installed: run `make setup`"
        )
except ConfigError as error:
    # A user's mistake, before Snakemake writes anything: one line, no traceback.
    print(error, file=sys.stderr)
    sys.exit(2)

# Rules call `python` of this environment, whether or not it is activated.
os.environ.update(
    PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()])
)
RESULTS = f"results/{study.name}"
SNAKEFILE = workflow.current_basedir.join(
    "Snakefile"
)  # this one, also where it is a module
MORE = []  # outputs that a study has beyond the ordinary ones


wildcard_constraints:
    run=r"[a-z0-9.+-]+",


include: "workflow/rules/train.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/verify.smk"


# Also by its path, and under another name.
if study_file(configured).resolve() == study_file("theory").resolve():

    include: "workflow/rules/theory.smk"


if any(settings.measures_gate for settings in runs.values()):

    include: "workflow/rules/gate.smk"


include: "workflow/rules/tracking.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.tables.output,
        rules.draw.output,
        expand(rules.publish.output, run=runs),
        rules.publish_results.output,
        rules.report.output,
        MORE,
