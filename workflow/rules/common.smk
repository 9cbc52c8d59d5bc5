def typed(value):
    """Undo Snakemake's reading of nested `--config` values, where every leaf is a string."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    if not isinstance(value, str):
        return value
    words = {"true": True, "false": False, "null": None}
    for read in (words.__getitem__, int, float):
        try:
            return read(value)
        except (KeyError, ValueError):
            continue
    return value


def source_of(wildcards):
    """The policies that a run begins with, where `init_from` names some."""
    folder = runs[wildcards.run].begins_from if wildcards.run in runs else None
    return f"{folder}/policy.safetensors" if folder else []
