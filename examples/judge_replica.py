"""Judge a replica by Theorem 2 and by other rules, on agents that were trained for a few episodes.

    python examples/judge_replica.py

A replica (referential policy) is joined from segments of other agents' policies. Each receiver estimates with
its own critic what it would gain (A⁺) and how far the replica is away (q), and gets a mixing weight ζ.
"""

import numpy as np
import torch

from rsm.config.exchanging import Mixing
from rsm.config.run import parse_run
from rsm.mixing.rules import Verdict, mixing_metric
from rsm.theory.trained import referentials, trained
from rsm.training.judging import OwnCritic

SETTINGS = {
    "method": "independent",
    "traffic": {"decision_interval": 10, "horizon": 300},
    "sac": {"hidden": [32, 32], "learning_starts": 60, "update_every": 1, "batch_size": 64},
    "mixing": {"states": 64, "recent": 200},
}
RULES = ("theorem2", "certified", "trust-region")


def main(episodes: int = 10) -> dict[str, Verdict]:
    """Train, join one replica for each agent and judge it; returns rule → verdicts of all agents."""
    config = parse_run(SETTINGS | {"training": {"episodes": episodes}}, "examples/judge_replica.py")
    learner, replay = trained(config)
    theta = learner.theta.detach()  # [N, d], an actor a row
    replicas = referentials(theta, segments=4, count=1, generator=np.random.default_rng(0))[0]

    judges = OwnCritic(config, learner, replay, torch.Generator().manual_seed(0))
    judge = judges.judge(list(range(len(theta))), learner.critics.detach())
    verdicts = {
        rule: mixing_metric(judge._replace(settings=Mixing(rule=rule)), theta, replicas)
        for rule in RULES
    }

    print("agent       A⁺         q  " + "  ".join(f"ζ {rule:12}" for rule in RULES))
    first = verdicts[RULES[0]]  # A⁺ and q do not depend on the rule
    for agent in range(len(theta)):
        weights = "  ".join(f"{float(verdicts[rule].zeta[agent]):<14.2g}" for rule in RULES)
        gain, form = float(first.advantage[agent]), float(first.quadratic_form[agent])
        print(f"{agent:5} {gain:+8.4f} {form:9.3g}  {weights}")
    return verdicts


if __name__ == "__main__":
    main()
