def source_of(wildcards):
    """The policies that a run begins with, where `init_from` names some."""
    folder = runs[wildcards.run].begins_from if wildcards.run in runs else None
    return f"{folder}/policy.safetensors" if folder else []
