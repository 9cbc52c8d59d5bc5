import pytest
import torch
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from rsm.config.run import RunConfig, parse_run
from rsm.config.study import merge

TINY = {
    "traffic": {"decision_interval": 10, "horizon": 300},
    "sac": {
        "hidden": [16, 16],
        "batch_size": 16,
        "learning_starts": 20,
        "update_every": 1,
        "replay_size": 200,
        "target_entropy": -1.0,
    },
    "communication": {"period": 4},
    "mixing": {"states": 32, "recent": 100},
    "training": {"episodes": 3},
    "evaluation": {"every": 2, "episodes": 1, "control_episodes": 2},
}

# Tests depend neither on the speed of the machine nor on luck: every run has the same examples.
hypothesis_settings.register_profile(
    "rsm", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("rsm")


def pytest_collection_modifyitems(items):
    """What waits for SLURM for minutes begins first, beside all others."""
    items.sort(key=lambda item: "cluster" not in getattr(item, "fixturenames", ()))


@pytest.fixture(autouse=True)
def seeded():
    """Draws from the global generator of torch are the same whichever tests ran before."""
    torch.manual_seed(0)


@pytest.fixture
def tiny():
    """Settings of a real run of some seconds, overridden by those that a test gives."""

    def settings(**changes) -> RunConfig:
        return parse_run(merge(TINY, changes), "tiny")

    return settings
