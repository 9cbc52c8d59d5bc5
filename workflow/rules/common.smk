def source_of(wildcards):
    """The policy file of the run that `init_from` names; none without it."""
    folder = runs[wildcards.run].begins_from if wildcards.run in runs else None
    return f"{folder}/policy.safetensors" if folder else []
