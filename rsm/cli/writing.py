"""Writing files named on the command line; a failure is the user's mistake or the machine's."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from rsm.errors import ConfigError, obstacle, one_line

# Failures of the machine, not mistakes of the user.
MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE)


@contextlib.contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Raise ConfigError for a file of the command line that cannot be written; a full disk stays an OSError."""
    try:
        if (reason := "it is a folder" if path.is_dir() else obstacle(path)) is not None:
            raise OSError(errno.EINVAL, reason)
        yield
    except OSError as error:
        if error.errno in MACHINE:
            raise
        raise ConfigError(
            f"{option}: {one_line(path)} is not allowed: it cannot be written ({error.strerror}); "
            "a file in a folder that can be written is expected"
        ) from None
