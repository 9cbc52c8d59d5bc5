"""Views of an experiment: what the menu *Views* of the MLflow page offers.

MLflow keeps a view as a tag of the experiment; its state is that of the page (as of MLflow 3.17). A page
that does not know it ignores it: this file is for convenience only.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

# MLflow shows only the first line of a note.
HELP = "**Views** (top right) has the configurations side by side, the best seeds, and the figures and tables."
BEST_FIRST = ("metrics.`final/return`", False)
NEWEST_FIRST = ("attributes.start_time", False)
AXES = ("tags.`method`", "tags.`topology`", "tags.`segments`", "tags.`rule`", "tags.`share`")
NUMBERS = tuple(f"metrics.`final/{key}`" for key in ("return", "mean_speed", "bytes_sent"))
# Chart sections in this order, ahead of what MLflow adds: metric, and whether it is a curve over training.
CHARTS = {
    "final": (("final/return", False), ("final/mean_speed", False), ("final/bytes_sent", False)),
    "eval": (("eval/return", True), ("eval/mean_speed", True), ("eval/return_stochastic", True)),
    "comm": (("comm/bytes_sent", True), ("comm/messages", True)),
    "mixing": (("mixing/acceptance_rate", True), ("mixing/zeta_mean", True)),
}


def tags() -> dict[str, str]:
    """Every view as a tag of an experiment."""
    best = (*AXES, "tags.`best_seed`", *NUMBERS)
    found = (
        ("configurations", "Configurations, best first", "configuration", BEST_FIRST, best),
        ("seeds", "Seeds, best first", "seed", BEST_FIRST, (*AXES, "tags.`seed`", *NUMBERS)),
        ("results", "Figures and tables", "results", NEWEST_FIRST, ()),
    )
    return {
        f"mlflow.sharedViewState.rsm{key}": _view(name, _state(kind, *order, columns))
        for key, name, kind, order, columns in found
    }


def _view(name: str, state: dict[str, Any]) -> str:
    # A tag may hold 5000 characters.
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()
    moment = 1_767_225_600_000  # fixed, so that stores made at different times are equal
    return json.dumps(
        {"name": name, "createdAt": moment, "updatedAt": moment, "state": f"deflate;{packed}"}
    )


def _state(kind: str, order: str, ascending: bool, columns: tuple[str, ...]) -> dict[str, Any]:
    return {
        "searchFilter": f'tags.kind = "{kind}"',
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
