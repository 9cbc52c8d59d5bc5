"""Views of an experiment: what the menu *Views* of the MLflow page offers.

MLflow keeps a view as a tag of the experiment; its state is that of the page (as of MLflow 3.17). A page
that does not know it ignores it: this file is for convenience only.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

# MLflow shows only the first line of a note.
HELP = "**Views** (top right) has the configurations side by side, the best seeds, and the figures and tables."
BEST_FIRST = ("metrics.`final/return`", False)
NEWEST_FIRST = ("attributes.start_time", False)
KIND, RUNNING = 'tags.kind = "{}"', 'attributes.status = "RUNNING"'
AXES = ("method", "topology", "segments", "rule", "share")  # where a study says nothing of its own
NUMBERS = tuple(f"metrics.`final/{key}`" for key in ("return", "mean_speed", "MB_sent"))
INTERVAL = tuple(f"metrics.`final/return{end}`" for end in ("", "_low", "_high"))
UNDER_WAY = tuple(f"metrics.`{key}`" for key in ("episode/return", "eval/return", "comm/MB_sent"))
# Chart sections in this order, ahead of what MLflow adds: metric, whether it is a curve over training, title.
CHARTS = {
    "final": (
        ("final/return", False, "Final return"),
        ("final/mean_speed", False, "Final mean speed, m/s"),
        ("final/MB_sent", False, "MB sent in the whole run"),
    ),
    "eval": (
        ("eval/return", True, "Return on held-out seeds, mean actions"),
        ("eval/return_stochastic", True, "Return on held-out seeds, sampled actions"),
        ("eval/mean_speed", True, "Mean speed on held-out seeds, m/s"),
    ),
    "episode": (("episode/return", True, "Return of training episodes"),),
    "comm": (
        ("comm/MB_sent", True, "MB sent so far"),
        ("comm/messages", True, "Frames sent so far"),
    ),
    "mixing": (
        ("mixing/acceptance_rate", True, "Accepted share of the judged replicas"),
        ("mixing/zeta_mean", True, "Mean ζ of the accepted replicas"),
    ),
}


def tags(axes: Sequence[str] = AXES) -> dict[str, str]:
    """Every view as a tag of an experiment; `axes` are the tags that tell the runs of the study apart."""
    by, speed = tuple(f"tags.`{name}`" for name in axes), NUMBERS[1:]
    best = (*by, "tags.`best_seed`", *INTERVAL, *speed)
    seed = (*by, "tags.`seed`")
    found = (
        (
            "configurations",
            "Configurations, best first",
            KIND.format("configuration"),
            BEST_FIRST,
            best,
        ),
        ("seeds", "Seeds, best first", KIND.format("seed"), BEST_FIRST, (*seed, *NUMBERS)),
        ("running", "Under way", RUNNING, NEWEST_FIRST, (*seed, *UNDER_WAY)),
        ("results", "Figures and tables", KIND.format("results"), NEWEST_FIRST, ()),
    )
    return {
        f"mlflow.sharedViewState.rsm{key}": _view(name, _state(search, *order, columns))
        for key, name, search, order, columns in found
    }


def _view(name: str, state: dict[str, Any]) -> str:
    # A tag may hold 5000 characters.
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()
    moment = 1_767_225_600_000  # fixed, so that stores made at different times are equal
    return json.dumps(
        {"name": name, "createdAt": moment, "updatedAt": moment, "state": f"deflate;{packed}"}
    )


def _state(search: str, order: str, ascending: bool, columns: tuple[str, ...]) -> dict[str, Any]:
    return {
        "searchFilter": search,
        "orderByKey": order,
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns),
        "columnOrder": [],
        "columnWidths": {},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": [
            _chart(section, metric, curve, title)
            for section in CHARTS
            for metric, curve, title in CHARTS[section]
        ],
        "compareRunSections": [
            {
                "uuid": section,
                "name": section,
                "display": True,
                "isReordered": True,
                "deleted": False,
                "isGenerated": False,
            }
            for section in CHARTS
        ],
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }


def _chart(section: str, metric: str, curve: bool, title: str) -> dict[str, Any]:
    chart = {
        "uuid": metric,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": True,
        "displayName": title,
        "metricKey": metric,
    }
    if not curve:
        return chart | {"type": "BAR", "runsCountToCompare": 20}
    return chart | {
        "type": "LINE",
        "runsCountToCompare": 20,
        "selectedMetricKeys": [metric],
        "xAxisKey": "step",
        "scaleType": "linear",
        "xAxisScaleType": "linear",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "lineSmoothness": 0,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
