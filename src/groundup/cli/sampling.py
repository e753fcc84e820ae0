"""How to choose tokens, as flags and as settings: the fields of `SamplingConfig`, from text."""

from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import ConfigDict, ValidationError, model_validator

from groundup.core.errors import UserError
from groundup.generate.config import SamplingConfig


class _FromText(SamplingConfig):
    """The same fields, read from words; a mistake is one line."""

    model_config = ConfigDict(strict=False)

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, values: Any, handler: Any) -> "_FromText":
        try:
            return handler(values)
        except ValidationError as error:
            mistakes = "; ".join(_describe(detail["loc"], detail["msg"]) for detail in error.errors())
            raise UserError(mistakes, "see --help") from None


SamplingFlags = Annotated[_FromText, Parameter(name="*")]
"""As the type of a parameter: a flag for each field, with its docstring as help."""

DEFAULT = _FromText()


def with_setting(config: SamplingConfig, name: str, value: str) -> SamplingConfig:
    """`config` with another value of the field `name`. Raises UserError if it does not fit."""
    return _FromText.model_validate(config.model_dump() | {name: value})


def _describe(location: tuple[int | str, ...], message: str) -> str:
    name = str(location[0]).replace("_", "-") + ": " if location else ""
    return name + message.removeprefix("Value error, ").removeprefix("Input ")
