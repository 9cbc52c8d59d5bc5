"""The base class of all settings (frozen, no unknown keys) and two types of numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def without_sign_of_zero(value: float) -> float:
    """−0 and 0 mean the same and must not give two settings hashes."""
    return value + 0.0


Fraction = Annotated[float, Field(ge=0, le=1), AfterValidator(without_sign_of_zero)]


class Settings(BaseModel):
    """Base of all settings: immutable, no unknown keys, no silent conversions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )
