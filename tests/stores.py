"""SQLite stores as copies of one, in place of a second of MLflow's migrations for each."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def copied_stores() -> Iterator[None]:
    """The first SQLite store of this process is migrated by MLflow, the others are copies of it.

    Commands in processes of their own migrate theirs.
    """
    from mlflow.store.db import utils

    migrate: Callable[[Any], None] = utils._initialize_tables
    empty = sqlite3.connect(":memory:", check_same_thread=False)  # as the first was after it

    def initialize(engine: Any) -> None:
        if engine.dialect.name != "sqlite":
            return migrate(engine)
        known = empty.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not known:
            migrate(engine)
        with contextlib.closing(engine.raw_connection()) as connection:
            file = connection.driver_connection
            source, target = (empty, file) if known else (file, empty)
            source.backup(target)

    with contextlib.closing(empty), pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "_initialize_tables", initialize)
        yield
