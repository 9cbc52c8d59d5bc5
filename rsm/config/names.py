"""Types of settings that take a name of the catalogue; allowed names are looked up at validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, GetJsonSchemaHandler

from rsm.config.catalogue import (
    CONTROLS,
    FLEETS,
    METHODS,
    SCENARIOS,
    TOPOLOGIES,
    encoding_forms,
    parse_encoding,
    parse_topology,
    scenario_forms,
    scenario_traits,
    topology_forms,
)


class _Described(NamedTuple):
    """The JSON schema of a name, written when it is asked for: installed packages add to it."""

    schema: Callable[[], dict[str, Any]]

    def __get_pydantic_json_schema__(
        self, core: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string"} | self.schema()


def _method(name: str) -> str:
    if name not in METHODS and name not in CONTROLS:
        raise ValueError(f"one of {', '.join((*METHODS, *CONTROLS))} is expected")
    return name


def _scenario(name: str) -> str:
    scenario_traits(name)  # so that a broken entry of another package is reported at once
    return name


def _topology(text: str) -> str:
    parse_topology(text)
    return text


def _encoding(text: str) -> str:
    parse_encoding(text)
    return text


def _method_schema() -> dict[str, Any]:
    return {"enum": [*METHODS, *CONTROLS]}


def _scenario_schema() -> dict[str, Any]:
    fleet = {"pattern": f"^({'|'.join(FLEETS)}):[1-9][0-9]*$"}
    known = {"anyOf": [{"enum": [*SCENARIOS]}, fleet]}
    return known | {"description": f"One of {scenario_forms()}."}


def _topology_schema() -> dict[str, Any]:
    known = {"pattern": f"^({'|'.join(TOPOLOGIES)})(:|$)"}
    return known | {"description": f"One of {topology_forms()}."}


def _encoding_schema() -> dict[str, Any]:
    return {
        "description": f"Encoding of parameters in frames: one of {encoding_forms()} "
        "(docs/concepts/exchange.md)."
    }


MethodName = Annotated[str, AfterValidator(_method), _Described(_method_schema)]
ScenarioName = Annotated[str, AfterValidator(_scenario), _Described(_scenario_schema)]
TopologyName = Annotated[str, AfterValidator(_topology), _Described(_topology_schema)]
EncodingName = Annotated[str, AfterValidator(_encoding), _Described(_encoding_schema)]
