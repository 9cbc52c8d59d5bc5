"""The grid of a study: what varies between its runs, and the settings of each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rsm.config.axes import AXES, of_world, setting
from rsm.config.base import Fraction, Settings
from rsm.config.catalogue import CONTROL, METHODS, RULES, UNTRAINED
from rsm.config.names import EncodingName, MethodName, TopologyName
from rsm.config.run import RunSettings
from rsm.errors import KeyedError


class Grid(Settings):
    """The settings that vary between runs. Methods without topology, segments or ζ are not multiplied by these.

    Any other setting of a run varies by its dotted key, e.g. `sac.tau: [0.005, 0.02]`; one with a single value
    applies to the whole grid and does not appear in run ids, unless it is a setting of the world, such as
    `slow.agents`, that differs from the study's `run`.
    """

    # The schema also allows dotted keys, and requires no key: a study that `extends` another may omit them.
    model_config = ConfigDict(
        json_schema_extra={"patternProperties": {r"\.": {"type": "array"}}, "required": []}
    )

    methods: tuple[MethodName, ...] = Field(strict=False)
    topologies: tuple[TopologyName, ...] = Field(("radius:90",), strict=False)
    segments: tuple[int, ...] = Field((4,), strict=False)
    replicas: tuple[int, ...] = Field((3,), strict=False)
    rules: tuple[Literal[RULES], ...] = Field(("theorem2",), strict=False)  # type: ignore[valid-type]
    published_code: tuple[Literal["aug", "jul"] | None, ...] = Field((None,), strict=False)
    judges: tuple[Literal["own", "peers"], ...] = Field(("own",), strict=False)
    share: tuple[Literal["actor", "actor+critic"], ...] = Field(("actor",), strict=False)
    encodings: tuple[EncodingName, ...] = Field(("float32",), strict=False)
    loss_rates: tuple[Fraction, ...] = Field((0.0,), strict=False)
    seeds: tuple[int, ...] | None = Field(
        None, strict=False, description="Seeds of this grid; those of the study by default."
    )
    settings: dict[str, Annotated[tuple[Any, ...], Field(strict=False)]] = Field(
        {}, strict=False, description="Further settings by dotted key, each with a list of values."
    )

    @model_validator(mode="before")
    @classmethod
    def _dotted(cls, content: Any) -> Any:
        """Dotted keys may be given beside the others."""
        if not isinstance(content, dict):
            return content
        dotted = {key: value for key, value in content.items() if "." in str(key)}
        rest = {key: value for key, value in content.items() if key not in dotted}
        if dotted:
            given = rest.get("settings", {})
            rest["settings"] = (given if isinstance(given, dict) else {}) | dotted
        return rest

    @field_validator("settings", mode="before")
    @classmethod
    def _known(cls, settings: Any) -> Any:
        """Each key is a setting of a run without a key of its own here, and lists its values."""
        for key, values in settings.items() if isinstance(settings, dict) else ():
            own = next((axis.grid for axis in AXES if axis.setting == key), None)
            if own is not None:
                raise KeyedError(f"grid.{key}", values, f"it has a key of its own: grid.{own}")
            try:
                found = setting(RunSettings(), key)
            except AttributeError:
                found = None
                known = False
            else:
                known = not isinstance(found, BaseModel)
            if not known:
                raise KeyedError(
                    f"grid.{key}", values, "it is not a setting of a run; sac.tau is one"
                )
            if not isinstance(values, (list, tuple)):
                raise KeyedError(f"grid.{key}", values, "a list of values is expected")
        return settings

    @field_validator("*")
    @classmethod
    def _distinct(cls, values: Any) -> Any:
        lists = values.values() if isinstance(values, dict) else [values]
        for listed in lists:
            if listed is None:
                continue
            if not listed:
                raise ValueError("the grid expands to nothing: at least one value is needed")
            if len({repr(value) for value in listed}) < len(listed):
                raise ValueError("each value may be listed once")
        return values

    def variants(self, method: str, run: RunSettings) -> Iterator[dict[str, Any]]:
        """Dotted settings of every run of a method, seeds apart, and `varied`, which of them name it.

        `run` are the settings of the study, from which those of a world may differ.
        """
        traits = METHODS.get(method, CONTROL)
        axes = {axis.setting: getattr(self, axis.grid) for axis in AXES if axis.has(traits)}
        further = self.settings if method in METHODS else {}
        if method == UNTRAINED:  # only the initial policies matter to it
            further = {key: self.settings[key] for key in self.settings if "init_from." in key}
        varied = tuple(
            key
            for key, values in further.items()
            if len(values) > 1 or (of_world(key) and values[0] != setting(run, key))
        )
        keys = [*axes, *further]
        for values in itertools.product(*axes.values(), *further.values()):
            yield dict(zip(keys, values, strict=True)) | {"varied": varied}
