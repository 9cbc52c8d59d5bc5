"""The policies that a finished run leaves: `policy.safetensors`, tensors and plain text only."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from rsm.config.run import POLICY
from rsm.errors import ConfigError
from rsm.runs.files import write_bytes
from rsm.sac.learner import Learner
from rsm.sac.policy import SquashedGaussian


def save_policy(folder: Path, learner: Learner, settings_hash: str) -> None:
    """Write the final parameters of all agents, and the sizes needed to drive with them."""
    tensors = {
        "theta": learner.theta,
        "critics": learner.critics,
        "log_alpha": learner.log_alpha,
        "sizes": torch.tensor(learner.policy.sizes),
        "action_scale": torch.tensor(learner.policy.scale),
    }
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(folder / POLICY, save(content, metadata={"settings_hash": settings_hash}))


def load_policy(folder: Path) -> dict[str, Tensor]:
    """The tensors of `save_policy`; raises ConfigError where there are none."""
    try:
        return load((folder / POLICY).read_bytes())
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or "it is not a safetensors file"
        raise ConfigError(f"{folder / POLICY}: cannot be read: {reason}") from None


def load_actors(
    folder: Path, observation_size: int, action_size: int
) -> tuple[SquashedGaussian, Tensor]:
    """The actors of a finished run, θ `[N, d]`, and the policy class whose parameters they are.

    Raises ConfigError for a file that does not hold finite actors of these sizes.
    """
    tensors = load_policy(folder)
    try:
        scale, sizes = float(tensors["action_scale"]), tensors["sizes"].tolist()
        policy = SquashedGaussian(sizes[0], sizes[-1] // 2, tuple(sizes[1:-1]), scale)
        theta = tensors["theta"].float()  # committed ones are float16
        fits = theta.dim() == 2 and theta.shape[1] == policy.parameter_count
    except (LookupError, TypeError, ValueError, RuntimeError):
        fits = False
    if not fits or (sizes[0], sizes[-1]) != (observation_size, 2 * action_size):
        raise ConfigError(f"{folder / POLICY}: cannot be read: it is not the policy of a run")
    if not bool(torch.isfinite(theta).all()):
        raise ConfigError(f"{folder / POLICY}: it has values that are not finite: the run failed")
    return policy, theta
