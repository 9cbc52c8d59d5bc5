import pytest
import torch

from rsm.sac.critic import TwinCritic
from rsm.sac.policy import SquashedGaussian

POLICY = SquashedGaussian(observation_size=3, action_size=1, hidden=(7, 6), scale=3.0)
CRITIC = TwinCritic(observation_size=3, action_size=1, hidden=(9,))


class World:
    """Two receivers in float64 with policies, critics and states drawn from a seed."""

    def __init__(self, seed: int, states: int = 40) -> None:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.policy, self.critic = POLICY, CRITIC
        self.theta = 0.4 * draw(2, POLICY.parameter_count)
        self.theta[:, -1] -= 1.5  # narrow policies, so that stored actions stay off the edges
        self.direction = 0.1 * draw(2, POLICY.parameter_count)
        self.phi = 0.5 * draw(2, 2, CRITIC.parameter_count)
        self.alpha = torch.tensor([0.05, 0.2], dtype=torch.float64)
        self.states = draw(2, states, 3)
        self.noise = draw(2, states, 1)
        self.generator = generator  # for what a test draws beyond these

    def q(self, states: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        return self.critic.min_q(self.phi, states, actions)


@pytest.fixture
def world() -> World:
    return World(0)


@pytest.fixture
def make_world():
    """Draw a world from a seed."""
    return World
