"""How long, on what and in which pieces to train, as data."""

from pydantic import Field, model_validator

from groundup.core.names import DeviceName, PrecisionName
from groundup.optim.config import OptimConfig

BUDGETS = ("minutes", "steps", "tokens", "epochs")


class TrainConfig(OptimConfig):
    """One stage of training. Exactly one of minutes, steps, tokens and epochs says how long it is."""

    minutes: float | None = Field(default=None, gt=0)
    """Train for about this long on this machine: a short probe at the start turns it into a number of steps, which
    is recorded, so that a run that goes on after a cut keeps it."""
    steps: int | None = Field(default=None, ge=1)
    """Train for this many updates."""
    tokens: int | None = Field(default=None, ge=1)
    """Train on this many tokens."""
    epochs: float | None = Field(default=None, gt=0)
    """Pass this many times over the data."""
    seq_len: int = Field(default=0, ge=0)
    """Tokens in a row; 0 means the model's max_seq_len."""
    global_batch_tokens: int = Field(default=8192, ge=1)
    """Tokens in one update, over all micro-batches."""
    micro_batch_size: int = Field(default=0, ge=0)
    """Rows computed at once; gradients of several are accumulated to the global batch. 0: as many as keep the
    logits below 256 MB."""
    device: DeviceName = "auto"
    """Where to compute: CUDA, else MPS, else CPU."""
    precision: PrecisionName = "auto"
    """bf16: matrix products in bf16, weights in fp32. auto: bf16 where the hardware is made for it."""
    evaluations: int = Field(default=8, ge=0)
    """Times that the held-out loss is measured and a sample is drawn, evenly over the training."""
    evaluation_rows: int = Field(default=64, ge=1)
    """Rows of held-out text that each of these looks at."""
    sample_prompt: str = ""
    """What the samples continue; empty: the beginning of a document."""
    checkpoint_seconds: float = Field(default=30.0, ge=0)
    """Time between checkpoints. It does not change what is learned."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Checkpoints kept, the newest ones."""

    @model_validator(mode="after")
    def _one_budget(self) -> "TrainConfig":
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(given) != 1:
            told = " and ".join(given) if given else "none"
            raise ValueError(f"give exactly one of minutes, steps, tokens, epochs; here: {told}")
        return self
