"""Where the tensors of a run live: the processor, or one CUDA GPU.

The device does not define a run, so it is not a setting: it is neither in the settings hash nor in config.yaml,
but in manifest.json. Everything that happens once per update stays on it; the environment is on the host,
so each decision is one copy there (observations, rewards) and one copy back (actions).
"""

from __future__ import annotations

import re
import warnings

import torch
from torch import Tensor

from rsm.config.overrides import CUDA
from rsm.errors import ConfigError, one_line, shown

CPU = torch.device("cpu")


def device_of(text: str, key: str = "--device") -> torch.device:
    """The device that `cpu`, `cuda` (the first GPU) or `cuda:<number>` names.

    Raises ConfigError for anything else, for a torch without CUDA and for a GPU that is not there.
    """
    if text == "cpu":
        return CPU
    found = CUDA.fullmatch(text)
    number = int(found[1] or 0) if found else 0
    with warnings.catch_warnings():  # such as that of an old driver; the line below is enough
        warnings.simplefilter("ignore")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found and number < count:
        return torch.device("cuda", number)
    if found and torch.version.cuda is None:
        expected = f"this build of torch ({torch.__version__}) has no CUDA; 'cpu' is expected"
    elif found and not count:
        expected = "torch finds no CUDA GPU here; 'cpu' is expected"
    else:
        gpus = f", 'cuda' or 'cuda:0' to 'cuda:{count - 1}'" if count else "; 'cuda:0' with a GPU"
        expected = f"'cpu'{gpus} is expected"
    raise ConfigError(f"{key}: {shown(text)} is not allowed: {expected}")


def device_failure(error: BaseException, device: torch.device) -> str | None:
    """In a line what went wrong on a GPU, None for an error that is not its own."""
    if isinstance(error, torch.OutOfMemoryError):
        return f"{device} has no memory left"
    own = isinstance(error, torch.AcceleratorError) or re.search("CUDA|CUBLAS|cuDNN", str(error))
    if device.type == "cpu" or not own:
        return None
    return f"{device}: {one_line(str(error).partition(chr(10))[0])}"


def gpu_name(device: torch.device) -> str | None:
    """The GPU's name as its driver gives it, None for the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else None


def moved_together(device: torch.device, *parts: Tensor) -> tuple[Tensor, ...]:
    """`parts`, each `[N]` or `[N, k]`, on `device` by one copy, of one dtype; as they are on the processor."""
    if device.type == "cpu":
        return parts
    columns = [part if part.dim() > 1 else part.unsqueeze(1) for part in parts]
    packed = torch.cat([column.to(columns[0].dtype) for column in columns], dim=1).to(device)
    split = packed.split([column.shape[1] for column in columns], dim=1)
    return tuple(
        column if part.dim() > 1 else column.squeeze(1)
        for part, column in zip(parts, split, strict=True)
    )
