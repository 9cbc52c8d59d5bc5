"""A finished study in one zip: written atomically, verified by checksums when it is read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from rsm.errors import ConfigError, one_line, shown
from rsm.runs.files import CURRENT, PREVIOUS, UNDER_WAY

IN = "::"  # separates an archive and a run in it
SUMS = "SHA256SUMS"
# Files of rules and processes in the results of a study that hold no numbers.
LEFT_OUT = {"logs", "benchmarks", CURRENT, PREVIOUS, *UNDER_WAY}
_DATE = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the same time for every member, so that the same study gives the same bytes


def result_files(results: Path) -> dict[str, Path]:
    """Name in the archive → file, of all that a study left in its folder."""
    found = {}
    for folder, folders, files in os.walk(results):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT and name[0] != ".")
        for name in sorted(files):
            if name not in LEFT_OUT and not name.startswith("."):
                path = Path(folder) / name
                found[path.relative_to(results).as_posix()] = path
    return found


def write_archive(out: Path, files: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    """Write files and texts by their names into the zip `out`, with their SHA-256 sums (`sha256sum -c`)."""
    out.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    os.close(descriptor)
    sums = []
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for folder in sorted({f"{name.rpartition('/')[0]}/" for name in files if "/" in name}):
                archive.writestr(zipfile.ZipInfo(folder, _DATE), b"")
            for name in sorted({*files, *texts}):
                digest = hashlib.sha256()
                with archive.open(_member(name), "w", force_zip64=True) as member:
                    for block in _blocks(files, texts, name):
                        digest.update(block)
                        member.write(block)
                sums.append(f"{digest.hexdigest()}  {name}\n")
            archive.writestr(_member(SUMS), "".join(sums))
        os.chmod(temporary, 0o644)
        os.replace(temporary, out)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    return info


def _blocks(files: Mapping[str, Path], texts: Mapping[str, str], name: str) -> Iterator[bytes]:
    if name in texts:
        yield texts[name].encode()
        return
    with files[name].open("rb") as file:
        while block := file.read(1 << 20):
            yield block


@contextlib.contextmanager
def opened(path: Path, option: str) -> Iterator[zipfile.ZipFile]:
    """The zip that `option` of the command line names; raises ConfigError for what is none, or is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        reason = getattr(error, "strerror", None) or "it is no whole zip file"
        raise ConfigError(f"{option}: {one_line(path)} cannot be read: {reason}") from None


def checksums(archive: zipfile.ZipFile) -> tuple[int, list[str]]:
    """How many files the sums of the archive are of, and the names of those that are not what the sums say.

    Also of those that have no sum, or no content. Raises ConfigError where there are no sums.
    """
    names = {name for name in archive.namelist() if not name.endswith("/")} - {SUMS}
    try:
        lines = archive.read(SUMS).decode().splitlines()
    except (KeyError, ValueError):
        raise ConfigError(
            f"{one_line(archive.filename)}: it is no archive of a study: it has no {SUMS}"
        ) from None
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    wrong = {*names ^ set(sums)}
    for name in names & set(sums):
        digest = hashlib.sha256()
        try:
            with archive.open(name) as member:
                while block := member.read(1 << 20):
                    digest.update(block)
        except zipfile.BadZipFile:
            wrong.add(name)
            continue
        if digest.hexdigest() != sums[name]:
            wrong.add(name)
    return len(sums), sorted(wrong)


@contextlib.contextmanager
def run_folder(name: str, option: str = "--controller") -> Iterator[str]:
    """The folder of `ARCHIVE.zip::RUN_ID`, unpacked for as long as it is needed; any other name as it is.

    Raises ConfigError where there is no such archive, or no such run in it.
    """
    path, between, run_id = name.rpartition(IN)
    if not between:
        yield name
        return
    with tempfile.TemporaryDirectory() as place:
        with opened(Path(path), option) as archive:
            below = f"runs/{run_id}/"
            members = [
                name for name in archive.namelist() if name.startswith(below) and name != below
            ]
            if not run_id or f"{below}config.yaml" not in members:
                known = [
                    member.split("/")[1]
                    for member in archive.namelist()
                    if member.startswith("runs/") and member.endswith("/config.yaml")
                ]
                such = f"{len(known)} runs, such as {known[0]}" if known else "no runs"
                raise ConfigError(
                    f"{option}: {shown(run_id)} is not allowed: {one_line(path)} has {such}"
                )
            folder = Path(place) / run_id
            folder.mkdir()
            for member in members:
                with (
                    archive.open(member) as source,
                    (folder / member.rpartition("/")[2]).open("wb") as to,
                ):
                    shutil.copyfileobj(source, to)
        yield str(folder)
