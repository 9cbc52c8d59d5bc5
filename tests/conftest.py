import pytest

from rsm.config import RunConfig, parse_run
from rsm.study import merge

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


@pytest.fixture
def tiny():
    """Settings of a real run of some seconds, with what a test changes laid upon them."""

    def settings(**changes) -> RunConfig:
        return parse_run(merge(TINY, changes), "tiny")

    return settings
