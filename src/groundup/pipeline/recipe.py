"""A recipe: the whole life of a model, as data."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from groundup.core.config import Config
from groundup.core.errors import UserError
from groundup.data.config import DataConfig
from groundup.data.conversations import ConversationConfig
from groundup.model.config import ModelConfig
from groundup.model.preset import resolve_preset
from groundup.tokenizer.config import TokenizerConfig
from groundup.train.config import TrainConfig

UNKNOWN_PRESET = "unknown_preset"
"""Type of the error of a preset that there is not."""


class SftConfig(TrainConfig):
    """Chat fine-tuning: training on conversations, of which only what the assistant says is learned."""

    conversations: ConversationConfig
    """Where the conversations come from."""


class EvalConfig(Config):
    """What is measured at the end."""

    stride: int = Field(default=0, ge=0)
    """Held-out text is read in windows of the full context that move by so many tokens, each token counted once, with
    at least context minus stride tokens before it. 0: half the context."""
    sample_prompt: str = ""
    """What the sample at the end continues; empty: the beginning of a document."""
    sample_tokens: int = Field(default=200, ge=1)
    """Length of that sample."""


def _resolve_preset(table: Any) -> Any:
    try:
        return resolve_preset(table)
    except UserError as error:
        raise PydanticCustomError(UNKNOWN_PRESET, "{told}", {"told": error.message}) from error


ModelTable = Annotated[ModelConfig, BeforeValidator(_resolve_preset)]
"""A `[model]` table, in which a preset may be named."""


class Recipe(Config):
    """Everything that makes a model, from its text to its scores."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")
    """What the run is called; also its folder under runs/."""
    seed: int = Field(default=1, ge=0)
    """All randomness is derived from it."""
    data: DataConfig
    """Text: where it comes from, what is dropped, what is held out."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """The vocabulary."""
    model: ModelTable = ModelConfig()
    """The architecture: the keys below, or a [preset](models.md). `model = "gpt2"` at the top is all of GPT-2 but for
    its vocabulary, which is the recipe's own; in this table, `preset = "gpt2"` fills in what the other keys do not say.
    On a command line, `--model NAME` puts a preset in the place of this table; rnn, lstm and gru, which have no sizes,
    keep those of the table, and all else that it says."""
    pretrain: TrainConfig
    """Learning to continue text."""
    sft: SftConfig | None = None
    """Learning to answer; left out, there is nothing to chat with."""
    eval: EvalConfig = EvalConfig()
    """Measuring."""
