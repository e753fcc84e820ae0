"""What a Transformer is made of, as data."""

from typing import Literal

from pydantic import Field, model_validator

from groundup.core.config import Config

# Feed-forward widths are rounded up to this, which keeps matrix products on whole vector tiles.
WIDTH_MULTIPLE = 64


class ModelConfig(Config):
    """A decoder-only Transformer. Names are the field's own; sizes are in elements."""

    n_layers: int = Field(default=6, ge=1)
    """Number of blocks."""
    d_model: int = Field(default=256, ge=8)
    """Width of the residual stream."""
    n_heads: int = Field(default=4, ge=1)
    """Query heads in each block."""
    n_kv_heads: int = Field(default=0, ge=0)
    """Key and value heads, shared by groups of query heads; 0 means as many as query heads."""
    head_dim: int = Field(default=0, ge=0)
    """Size of a head; 0 means d_model / n_heads."""
    d_ff: int = Field(default=0, ge=0)
    """Hidden width of the feed-forward; 0 means 8/3 d_model rounded up to a multiple of 64, which gives a gated
    feed-forward the parameters of an ungated one of width 4 d_model (Shazeer 2020)."""
    max_seq_len: int = Field(default=256, ge=2)
    """Longest sequence, in tokens, that the model is trained on and generates within."""
    position: Literal["rope"] = "rope"
    """How a token knows where it stands."""
    rope_theta: float = Field(default=10_000.0, gt=1.0)
    """Base of the rotary frequencies."""
    norm: Literal["rmsnorm"] = "rmsnorm"
    """Normalization before each sublayer and before the head."""
    norm_eps: float = Field(default=1e-6, gt=0)
    """Added to the mean square inside the norm."""
    qk_norm: bool = True
    """Normalize each query and key head: logits of attention cannot blow up at high learning rates."""
    feedforward: Literal["swiglu"] = "swiglu"
    """The feed-forward sublayer."""
    attention: Literal["fastest", "sdpa", "plain"] = "fastest"
    """Kernel of attention: torch's fused one, the formula written out (slow, for checking), or the fastest: batched
    matrix products to train at short context on a CPU, the fused one elsewhere."""
    tie_embeddings: bool = True
    """One matrix serves as token embedding and as output head."""
    init_std: float = Field(default=0.02, gt=0)
    """Standard deviation of embeddings and of an untied head at initialization."""
    zero_init_output: bool = True
    """Start the last matrix of each sublayer at zero, so that every block begins as the identity."""

    @property
    def kv_heads(self) -> int:
        """Key and value heads."""
        return self.n_kv_heads or self.n_heads

    @property
    def head_size(self) -> int:
        """Elements of a head."""
        return self.head_dim or self.d_model // self.n_heads

    @property
    def ff_width(self) -> int:
        """Hidden width of the feed-forward."""
        return self.d_ff or -(-8 * self.d_model // (3 * WIDTH_MULTIPLE)) * WIDTH_MULTIPLE

    @model_validator(mode="after")
    def _heads_fit(self) -> "ModelConfig":
        if not self.head_dim and self.d_model % self.n_heads:
            raise ValueError(
                f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}; set head_dim or change one"
            )
        if self.n_heads % self.kv_heads:
            raise ValueError(f"n_heads {self.n_heads} is not a multiple of n_kv_heads {self.n_kv_heads}")
        if self.head_size % 2:
            raise ValueError(f"rope turns pairs of elements, so the head size must be even, not {self.head_size}")
        return self
