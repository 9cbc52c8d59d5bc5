"""Names that installed packages add to ours, as entry points (docs/how-to/extending.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rsm.errors import ConfigError, one_line, shown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Our own entries, then those of installed packages, in the order of their names.

    Entry points are listed only when a name is not ours or all names are needed, and each is loaded when it
    is used. None is loaded while `rsm` itself is imported, so an outside package may import any part of it.
    Raises ConfigError, naming the package, for a name that is taken or invalid, and for an entry that cannot be
    loaded.
    """

    def __init__(
        self,
        group: str,
        own: Mapping[str, T],
        read: Callable[[EntryPoint], T],
        names: str = "[a-z][a-z0-9-]*",
    ) -> None:
        self.group, self.own, self._read, self._names = group, own, read, names

    @cached_property
    def installed(self) -> dict[str, EntryPoint]:
        """Name → entry point of another package."""
        found: dict[str, EntryPoint] = {}
        for entry in sorted(_declared().select(group=self.group), key=lambda entry: entry.name):
            if not re.fullmatch(self._names, entry.name):
                raise ConfigError(f"{origin(entry)}: the name must be of the form {self._names}")
            if entry.name in self.own:
                raise ConfigError(f"{origin(entry)}: the name is one of rsm itself")
            if entry.name in found:
                raise ConfigError(f"{origin(entry)}: {package(found[entry.name])} has it too")
            found[entry.name] = entry
        return found

    def __getitem__(self, name: str) -> T:
        return self.own[name] if name in self.own else self._read(self.installed[name])

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self.installed

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self.installed

    def __len__(self) -> int:
        return len(self.own) + len(self.installed)


@cache
def _declared() -> Any:
    """The entry points of all packages, whose metadata files are read once; `select` takes those of a group."""
    from importlib.metadata import entry_points

    return entry_points()


def read_as(kind: type[T]) -> Callable[[EntryPoint], T]:
    """Load the object that an entry point names; raises ConfigError for any other than a `kind`."""

    def read(entry: EntryPoint) -> T:
        try:
            value = entry.load()
        except Exception as error:  # importing a foreign module can raise anything
            raise ConfigError(f"{origin(entry)}: cannot be loaded: {_line(error)}") from error
        if not isinstance(value, kind):
            raise ConfigError(
                f"{origin(entry)}: {shown(value)} is not allowed: a {kind.__name__} is expected"
            )
        return value

    return read


def imported(registry: Registry[T], name: str, module: str, *needed: str) -> ModuleType:
    """The module behind an entry of a registry; raises ConfigError, naming the package, for a broken one.

    `needed` is an attribute that the module must have. Errors in modules of our own are not caught.
    """
    if name in registry.own:
        return import_module(module)
    entry = registry.installed[name]
    try:
        found = import_module(module)
    except Exception as error:
        raise ConfigError(f"{origin(entry)}: cannot be loaded: {_line(error)}") from error
    for what in needed:
        if not hasattr(found, what):
            raise ConfigError(f"{origin(entry)}: its module {module} has no {shown(what)}")
    return found


def origin(entry: EntryPoint) -> str:
    """Where an entry point comes from, for a message."""
    return f"{package(entry)}: entry point {entry.group}: {one_line(entry.name)}"


def package(entry: EntryPoint) -> str:
    """The package that an entry point belongs to, for a message."""
    return f"package {one_line(entry.dist.name)}" if entry.dist else "an installed package"


def _line(error: Exception) -> str:
    text = one_line(str(error).partition("\n")[0])
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
