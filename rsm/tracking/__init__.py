"""MLflow: finished run folders, published for browsing.

A run folder is the source of truth. Publishing copies it into a store idempotently: a run that is
there with the same content is kept, one that is incomplete or has other content is replaced. The default
store is SQLite below `results/mlflow/`; MLFLOW_TRACKING_URI names a server.

An experiment per study. Its runs have the tag `kind`: `seed` for a run folder, `configuration` for the parent
of the seeds of a configuration, recreated whenever a seed changes, and `results` for the figures and tables.
"""

from rsm.tracking.folders import content_hash
from rsm.tracking.live import LiveStudy, follow
from rsm.tracking.locations import moved
from rsm.tracking.pages import published_page, runs_page, show
from rsm.tracking.publishing import publish, publish_all, publish_results, sync
from rsm.tracking.store import create_store, experiments, tracking_uri, unanswered
from rsm.tracking.tags import columns

__all__ = [
    "LiveStudy",
    "columns",
    "content_hash",
    "create_store",
    "experiments",
    "follow",
    "moved",
    "publish",
    "publish_all",
    "publish_results",
    "published_page",
    "runs_page",
    "show",
    "sync",
    "tracking_uri",
    "unanswered",
]
