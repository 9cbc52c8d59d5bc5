"""Which runs of a study are driven once more, for the figure `space_time`."""

from __future__ import annotations

from rsm.config.catalogue import METHODS
from rsm.config.run import RunConfig
from rsm.config.study import Study

PUBLISHED_SEGMENTS = 4
# Controls shown beside the learned policies: human driving, and a good solution.
BEFORE, AFTER = ("human",), ("platoon", "meter")


def trajectory_runs(study: Study) -> tuple[str, ...]:
    """Run ids: human driving, one configuration per method, gate and share, and the platoon.

    A gate is a rule for ζ and who judges, or a version of the published code.

    They are of the first seed alone. A configuration is the first of the study with the published P, or with
    the largest where that is not run.
    """
    configs = [config for config in study.runs().values() if config.seed == study.seeds[0]]
    values = {config.communication.segments for config in configs if _has_segments(config)}
    main = PUBLISHED_SEGMENTS if PUBLISHED_SEGMENTS in values else max(values, default=0)
    chosen: dict[tuple[str, tuple[str | None, ...], str], str] = {}
    for method in (*BEFORE, *METHODS, *AFTER):
        for config in configs:
            shown = not _has_segments(config) or config.communication.segments == main
            if config.method == method and shown:
                traits = METHODS.get(method)
                mixing = config.mixing
                gate = (mixing.rule, mixing.judge, mixing.published_code)
                share = config.communication.share if traits else ""
                key = (method, gate if traits and traits.judged else (), share)
                chosen.setdefault(key, config.run_id)
    return tuple(chosen.values())


def _has_segments(config: RunConfig) -> bool:
    traits = METHODS.get(config.method)
    return traits is not None and traits.segments
