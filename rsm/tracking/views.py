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
HELP = "**Views** (top right): configurations side by side, best seeds, runs under way, figures and tables."
BEST_FIRST = ("metrics.`final/return`", False)
NEWEST_FIRST = ("attributes.start_time", False)
KIND, RUNNING = 'tags.kind = "{}"', 'attributes.status = "RUNNING"'
AXES = ("method", "topology", "segments", "rule", "share")  # where a study says nothing of its own
NUMBERS = tuple(f"metrics.`final/{key}`" for key in ("return", "mean_speed", "MB_sent"))
INTERVAL = tuple(f"metrics.`final/return{end}`" for end in ("", "_low", "_high"))
UNDER_WAY = tuple(f"metrics.`{key}`" for key in ("episode/return", "eval/return", "comm/MB_sent"))
# Chart sections in this order, ahead of what MLflow adds: metric, and whether it is a curve over training.
CHARTS = {
    "final": (("final/return", False), ("final/mean_speed", False), ("final/MB_sent", False)),
    "eval": (("eval/return", True), ("eval/mean_speed", True), ("eval/return_stochastic", True)),
    "episode": (("episode/return", True),),
    "comm": (("comm/MB_sent", True), ("comm/messages", True)),
    "mixing": (("mixing/acceptance_rate", True), ("mixing/zeta_mean", True)),
}
COLUMNS = (
    2  # of charts: the page cuts titles, which are the names of metrics, to the width of a chart
)


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
            _chart(section, metric, curve)
            for section in CHARTS
            for metric, curve in CHARTS[section]
        ],
        "compareRunSections": [
            {
                "uuid": section,
                "name": section,
                "display": True,
                "isReordered": True,
                "deleted": False,
                "isGenerated": False,
                "columns": COLUMNS,
                "cardHeight": 360,
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


def _chart(section: str, metric: str, curve: bool) -> dict[str, Any]:
    chart = {
        "uuid": metric,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": True,
        "displayName": metric,
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
