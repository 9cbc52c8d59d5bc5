"""The metadata of an archive, as a Workflow Run RO-Crate.

RO-Crate 1.1 with the profiles Workflow RO-Crate 1.0 and Workflow Run Crate 0.5 (w3id.org/ro/wfrun): a study
is one run of the Snakemake workflow, from its resolved file to its tables, figures and run folders.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Mapping
from typing import Any

from rsm import __version__
from rsm.config.study import Study

METADATA = "ro-crate-metadata.json"
WORKFLOW = "Snakefile"  # the main entity
PROFILES = {  # identifier → name and version
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
KINDS = {
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".yaml": "application/yaml",
}
KINDS |= {
    ".yml": KINDS[".yaml"],
    ".jsonl": "application/jsonl",
    ".smk": "text/plain",
    "": "text/plain",
}


def metadata(
    study: Study,
    files: Iterable[str],
    runs: Mapping[str, dict[str, Any] | None],
    times: tuple[str, str],
    packages: Mapping[str, str],
) -> dict[str, Any]:
    """The content of ro-crate-metadata.json.

    `files` are all names in the archive, `runs` the summaries by run id (None where a run has not ended),
    `times` when the first run began and the last one ended, `packages` name → version of what made them.
    """
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    crate.name = f"rsm, study {study.name}"
    crate.description = study.description or f"The study {study.name} of rsm."
    crate.datePublished = times[1]
    crate.license = _thing(
        crate, "https://spdx.org/licenses/MIT", "CreativeWork", name="MIT License",
        description="Permission to use, copy, change and pass on, without warranty.",
    )  # fmt: skip
    about = {
        "name": "The workflow of rsm: training, evaluation, tables and figures of a study",
        "description": "An open reproduction of RSM-MASAC (arXiv:2312.10123).",
        "version": __version__,
        "encodingFormat": "text/plain",
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "license": {"@id": crate.license.id},
    }
    workflow = crate.add_workflow(
        None, WORKFLOW, main=True, lang="snakemake", lang_version=packages.get("snakemake"), properties=about
    )  # fmt: skip
    crate.root_dataset["conformsTo"] = [
        _thing(crate, identifier, "CreativeWork", name=name, version=version)
        for identifier, (name, version) in PROFILES.items()
    ]
    parameter = crate.add_formal_parameter(
        "study", additionalType="File", identifier="#study",
        description="The study with every default and override in it", valueRequired=True,
    )  # fmt: skip
    workflow["input"] = parameter
    workflow["conformsTo"] = {"@id": BIOSCHEMAS}
    described = {
        name: crate.add_file(None, name, properties=_file(name)) for name in _listed(files)
    }
    described["study.yaml"]["exampleOfWork"] = parameter
    described["README.md"]["about"] = crate.root_dataset
    folders = [
        crate.add_dataset(None, f"runs/{run_id}/", properties=_run(run_id, summary))
        for run_id, summary in runs.items()
    ]
    made = [
        entity for name, entity in described.items() if name.startswith(("tables/", "figures/"))
    ]
    agent = _thing(crate, "#agent", "Organization", name="The person or group that ran the study")
    action = crate.add_action(
        workflow,
        "#study-run",
        object=described["study.yaml"],
        result=[*made, *folders],
        properties={
            "name": f"The study {study.name}, run by Snakemake",
            "startTime": times[0],
            "endTime": times[1],
            "actionStatus": "http://schema.org/CompletedActionStatus",
            "description": "; ".join(f"{name} {version}" for name, version in packages.items()),
        },
    )
    action["agent"] = agent
    crate.root_dataset["mentions"] = action
    crate.root_dataset["author"] = agent
    content: dict[str, Any] = crate.metadata.generate()
    return content


def _thing(crate: Any, identifier: str, kind: str, **properties: object) -> Any:
    from rocrate.model.contextentity import ContextEntity

    return crate.add(ContextEntity(crate, identifier, properties={"@type": kind, **properties}))


def _listed(files: Iterable[str]) -> list[str]:
    """Files described one by one: everything except run folders, which are data sets, and the workflow."""
    apart = ("runs/", "variations/")
    return [name for name in files if name != WORKFLOW and not name.startswith(apart)]


def _file(name: str) -> dict[str, object]:
    suffix = f".{name.rpartition('.')[2]}" if "." in name.rpartition("/")[2] else ""
    kind = KINDS.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return {"name": name, "encodingFormat": kind}


def _run(run_id: str, summary: dict[str, Any] | None) -> dict[str, object]:
    state = "not finished" if summary is None else str(summary.get("status"))
    words = [f"Run folder, {state}: settings, manifest, tables, summary and policies"]
    if summary is not None and summary.get("final_return") is not None:
        words.append(f"final return {summary['final_return']:.4f}")
    return {"name": run_id, "description": "; ".join(words)}
