"""The base of every configuration class. Each lives beside the class that it configures."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Frozen, typed, keyword-only; unknown keys are refused. All errors are reported together (pydantic)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)
