"""The location of artifacts: beside the database of the store, wherever it has been moved.

MLflow writes absolute addresses into its database. After a checkout was moved or copied they are wrong:
old artifacts are not found, and new ones would recreate the former folder.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

TABLES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
MARK = "/results/mlflow/artifacts/"


def repair(database: Path) -> int:
    """Make every address that was made for this store lead beside it; returns how many did not."""
    found = moved(database)
    if found:
        with contextlib.closing(sqlite3.connect(database)) as connection, connection:
            for table, column, former, present in found:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (present, former)
                )
    return len(found)


def moved(database: Path) -> list[tuple[str, str, str, str]]:
    """Addresses that lead elsewhere: table, column, the address and what it should be. Writes nothing."""
    if not database.is_file():
        return []
    here = (database.parent / "artifacts").absolute().as_uri()
    found = []
    with contextlib.closing(sqlite3.connect(database)) as connection:
        known = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        for table, column in TABLES:
            if table not in known:
                continue
            for (address,) in connection.execute(f"SELECT {column} FROM {table}"):
                _, mark, rest = str(address).rpartition(MARK)
                if mark and address != f"{here}/{rest}":
                    found.append((table, column, str(address), f"{here}/{rest}"))
    return found
