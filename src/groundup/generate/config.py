"""How text is drawn from a model."""

from pydantic import Field, model_validator

from groundup.core.config import Config


class SamplingConfig(Config):
    """How the next token is chosen, and when to end.

    Order: repetition penalty, temperature, top-k, top-p, min-p, draw; each sees what the one before left.
    """

    temperature: float = Field(default=0.8, ge=0, le=100)
    """Divides the logits: lower is safer, higher more varied; 0 always takes the likeliest token."""
    top_k: int = Field(default=0, ge=0)
    """Draw from the k likeliest tokens only; 0 means from all."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Draw from the fewest likeliest tokens whose probabilities add up to this (Holtzman et al. 2019)."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """Draw from tokens at least this share as likely as the likeliest (Nguyen et al. 2024)."""
    repetition_penalty: float = Field(default=1.0, gt=0, le=100)
    """Above 1, tokens that occurred in the prompt or since become less likely (Keskar et al. 2019)."""
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    """The same seed gives the same text; the next reply or prompt draws by the next seed."""
    max_new_tokens: int = Field(default=200, ge=1)
    """The most tokens to write."""
    stop: tuple[str, ...] = ()
    """A text to stop at, left out of the result; may be given several times."""

    @model_validator(mode="after")
    def _stops_say_something(self) -> "SamplingConfig":
        if "" in self.stop:
            raise ValueError("stop holds an empty string, which every text contains")
        return self
