# All runs of the study, finished. An input without a name of its own: Snakemake's planning takes the square of the length
# of a named list.
SUMMARIES = expand("{results}/runs/{run}/summary.json", results=RESULTS, run=runs)


def source_of(wildcards):
    """The policy file of the run that `init_from` names; none without it."""
    folder = runs[wildcards.run].begins_from if wildcards.run in runs else None
    return f"{folder}/policy.safetensors" if folder else []


FALLING = sorted({one.seed for one in runs.values()}, reverse=True)
RANK = {seed: rank for rank, seed in enumerate(FALLING)}


def seeds_in_order(wildcards):
    """Priority of a run: low seeds first, so that a study that is cut off has whole seeds of all methods."""
    return RANK[runs[wildcards.run].seed]


def device_of_run(config):
    """Where a run computes. A control has nothing to compute on a GPU."""
    return device if config.learns else "cpu"
