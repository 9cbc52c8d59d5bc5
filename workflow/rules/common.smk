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
