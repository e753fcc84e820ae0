"""Names and tables of the parts that a model is chosen from. Kept apart from their code, which needs torch."""

from typing import Literal

from pydantic import Field, model_validator

from groundup.core.config import Config

AttentionKernel = Literal["fastest", "sdpa", "plain"]
FeedForwardName = Literal[
    "relu", "gelu", "gelu-tanh", "swish", "relu2", "glu", "reglu", "geglu", "geglu-tanh", "swiglu", "bilinear"
]
GATED = ("glu", "reglu", "geglu", "geglu-tanh", "swiglu", "bilinear")


class RopeScaling(Config):
    """How rotary frequencies are changed so that a model reads further than it was trained."""

    method: Literal["linear", "ntk", "yarn", "llama-3"]
    """linear: all positions divided by the factor (Chen et al. 2023). ntk: a larger base, which leaves high frequencies
    (bloc97 2023). yarn: by wavelength, with a temperature (Peng et al. 2023). llama-3: by wavelength (Meta 2024)."""
    factor: float = Field(ge=1)
    """How many times further."""
    original_max_seq_len: int = Field(default=8192, ge=1)
    """Length of the training, which yarn and llama-3 compare wavelengths with."""
    low_freq_factor: float = Field(default=1.0, gt=0)
    """llama-3: wavelengths above original_max_seq_len over this are divided by the factor."""
    high_freq_factor: float = Field(default=4.0, gt=0)
    """llama-3: wavelengths below original_max_seq_len over this stay."""
    beta_fast: float = Field(default=32.0, gt=0)
    """yarn: pairs that turn more often than this over the original length stay."""
    beta_slow: float = Field(default=1.0, gt=0)
    """yarn: pairs that turn less often than this are divided by the factor."""
    truncate: bool = True
    """yarn: round the borders between these to whole pairs."""
    temperature: float = Field(default=0.0, ge=0)
    """yarn: factor of cosines and sines; 0 means 0.1 ln(factor) + 1."""

    @model_validator(mode="after")
    def _borders_in_order(self) -> "RopeScaling":
        if self.method == "llama-3" and self.low_freq_factor >= self.high_freq_factor:
            raise ValueError(
                f"low_freq_factor {self.low_freq_factor} is not below high_freq_factor {self.high_freq_factor}"
            )
        if self.method == "yarn" and self.beta_slow >= self.beta_fast:
            raise ValueError(f"beta_slow {self.beta_slow} is not below beta_fast {self.beta_fast}")
        return self


class LatentConfig(Config):
    """Multi-head latent attention: keys and values are made of a small vector, which is all that is cached."""

    kv_rank: int = Field(ge=1)
    """Size of that vector."""
    q_rank: int = Field(default=0, ge=0)
    """Size of the vector that queries are made of; 0: they are made of the residual stream."""
    nope_head_dim: int = Field(ge=1)
    """Elements of a query or key head without a position."""
    rope_head_dim: int = Field(ge=2)
    """Elements with a rotary position; those of the key are shared by all heads."""
    v_head_dim: int = Field(ge=1)
    """Elements of a value head."""

    @property
    def qk_head_dim(self) -> int:
        """Elements of a query or key head."""
        return self.nope_head_dim + self.rope_head_dim


class MoeConfig(Config):
    """A mixture of experts in place of the feed-forward."""

    n_experts: int = Field(ge=2)
    """Experts to choose from."""
    top_k: int = Field(default=2, ge=1)
    """Experts that each token goes to."""
    d_expert: int = Field(default=0, ge=0)
    """Hidden width of an expert; 0 means that of the dense feed-forward. Many small ones are "fine-grained"."""
    n_shared: int = Field(default=0, ge=0)
    """Experts that every token goes to, as one feed-forward of n_shared times the width."""
    dense_layers: int = Field(default=0, ge=0)
    """The first so many layers keep a dense feed-forward."""
    scoring: Literal["softmax", "sigmoid"] = "softmax"
    """How the router's logits become weights."""
    normalize_top_k: bool = True
    """Scale the weights of the chosen experts to a sum of one."""
    routed_scale: float = Field(default=1.0, gt=0)
    """Factor of those weights."""
    n_groups: int = Field(default=1, ge=1)
    """Groups of experts, of which top_groups are chosen first, by the sum of their two best scores (sigmoid:
    DeepSeek-V3) or by the best one (softmax: DeepSeek-V2)."""
    top_groups: int = Field(default=1, ge=1)
    """Groups that a token's experts come from."""
    balance: Literal["loss", "bias", "none"] = "loss"
    """loss: an auxiliary loss draws tokens to idle experts (Fedus et al. 2021). bias: idle experts are preferred by a
    bias that no gradient touches (Wang et al. 2024)."""
    balance_weight: float = Field(default=0.01, ge=0)
    """Weight of the auxiliary loss."""
    bias_rate: float = Field(default=0.001, ge=0)
    """How far the bias moves in one step."""
    z_weight: float = Field(default=0.0, ge=0)
    """Weight of the router z-loss, which keeps its logits small (Zoph et al. 2022)."""
    kernel: Literal["fastest", "grouped", "plain"] = "fastest"
    """grouped: torch's grouped matrix product over sorted tokens. plain: a loop over experts, for checking."""

    @model_validator(mode="after")
    def _groups_fit(self) -> "MoeConfig":
        if self.top_k > self.n_experts:
            raise ValueError(f"top_k {self.top_k} is more than n_experts {self.n_experts}")
        if self.n_experts % self.n_groups:
            raise ValueError(f"n_experts {self.n_experts} is not a multiple of n_groups {self.n_groups}")
        if self.top_groups > self.n_groups:
            raise ValueError(f"top_groups {self.top_groups} is more than n_groups {self.n_groups}")
        if self.top_k > self.n_experts // self.n_groups * self.top_groups:
            raise ValueError(f"top_k {self.top_k} is more than the experts of {self.top_groups} groups")
        return self
