"""What a language model is made of, as data."""

from typing import Literal

from pydantic import Field, model_validator

from groundup.core.config import Config
from groundup.model.parts import GATED, AttentionKernel, FeedForwardName, LatentConfig, MoeConfig, RopeScaling

# Feed-forward widths are rounded up to this, which keeps matrix products on whole vector tiles.
WIDTH_MULTIPLE = 64


class ModelConfig(Config):
    """A decoder-only Transformer, or a recurrent network. Names are the field's own; sizes are in elements."""

    kind: Literal["transformer", "rnn", "lstm", "gru"] = "transformer"
    """transformer, or a recurrent network of as many layers and the same width. What is said of attention, positions,
    feed-forwards, the place of norms and predictors below does not touch a recurrent one, so that one line compares
    the two."""
    n_layers: int = Field(default=6, ge=1)
    """Number of blocks."""
    d_model: int = Field(default=256, ge=8)
    """Width of the residual stream."""
    n_heads: int = Field(default=4, ge=1)
    """Query heads in each block."""
    n_kv_heads: int = Field(default=0, ge=0)
    """Key and value heads, shared by groups of query heads; 0 means as many as query heads, 1 is multi-query."""
    head_dim: int = Field(default=0, ge=0)
    """Size of a head; 0 means d_model / n_heads."""
    d_ff: int = Field(default=0, ge=0)
    """Hidden width of the feed-forward; 0 means 8/3 d_model rounded up to a multiple of 64 for a gated one, which has
    then about the parameters of an ungated one of 4 d_model (Shazeer 2020). A recurrent network does not use it."""
    max_seq_len: int = Field(default=256, ge=2)
    """Longest sequence, in tokens, that the model is trained on and generates within."""

    position: Literal["rope", "alibi", "learned", "sinusoidal", "none"] = "rope"
    """How a token knows where it stands: rotary (Su et al. 2021), linear biases (Press et al. 2021), a learned table,
    sines added to the embedding (Vaswani et al. 2017), or by causal order alone."""
    rope_theta: float = Field(default=10_000.0, gt=1.0)
    """Base of the rotary frequencies."""
    rope_local_theta: float = Field(default=0.0, ge=0)
    """Base in layers with a window, which scaling then does not touch (Gemma 3); 0 means as in all layers."""
    rope_pairing: Literal["half", "interleaved"] = "half"
    """Which elements of a head turn together: i and i + half of it (GPT-NeoX, Hugging Face), or 2i and 2i + 1 (the
    paper, llama.cpp's Llama). Weights of one are of no use to the other unless they are permuted."""
    rope_fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of a head that turns; the rest carries no position (GPT-NeoX's partial rotary)."""
    rope_scaling: RopeScaling | None = None
    """Stretches rotary positions to longer sequences than those of the training."""

    attention: AttentionKernel = "fastest"
    """Kernel of attention: torch's fused one, the formula written out (slow, for checking), or the fastest: batched
    matrix products to train at short context on a CPU, the fused one elsewhere."""
    latent: LatentConfig | None = None
    """Multi-head latent attention in place of keys and values of their own (DeepSeek-AI 2024)."""
    window: int | None = Field(default=None, ge=1)
    """Tokens that a local layer looks at, its own included; left out, every layer sees everything before it."""
    window_pattern: str = Field(default="L", pattern=r"^[LG]+$")
    """Which layers are local (L) and which global (G), repeated over the layers: L is Mistral, LG Gemma 2, LLLLLG
    Gemma 3. Of no effect without a window."""
    qk_norm: bool = True
    """Normalize each query and key head: logits of attention cannot blow up at high learning rates."""
    attention_bias: bool = False
    """Biases of queries, keys and values."""
    attention_output_bias: bool = False
    """Bias of the output of attention."""
    attention_sinks: bool = False
    """A learned logit for each head that takes attention away from all tokens (OpenAI 2025, gpt-oss)."""
    attention_softcap: float = Field(default=0.0, ge=0)
    """Attention logits are squeezed to ± this by tanh (Gemma 2); 0: they are not."""
    attention_scale: float = Field(default=0.0, ge=0)
    """Factor of attention logits; 0 means 1 / sqrt(head size)."""

    feedforward: FeedForwardName = "swiglu"
    """The feed-forward: two matrices with an activation between, or a gated unit of three (Shazeer 2020)."""
    feedforward_bias: bool = False
    """Biases in feed-forwards."""
    moe: MoeConfig | None = None
    """Feed-forwards that are chosen from many, token by token (Shazeer et al. 2017)."""

    norm: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    """Normalization around each sublayer and before the head."""
    norm_bias: bool = True
    """Biases in layernorm; rmsnorm has none."""
    norm_eps: float = Field(default=1e-6, gt=0)
    """Added to the variance, or the mean square, inside the norm."""
    residual: Literal["pre", "post", "sandwich", "parallel"] = "pre"
    """pre: x + f(norm(x)). post: norm(x + f(x)), as in the first Transformer. sandwich: x + norm(f(norm(x))) (Gemma 2).
    parallel: attention and feed-forward of one norm side by side (GPT-J)."""
    residual_scale: float = Field(default=1.0, gt=0)
    """Factor of what each sublayer adds (Granite's residual multiplier)."""
    embedding_scale: float = Field(default=1.0, gt=0)
    """Factor of embeddings (Gemma: the square root of d_model)."""
    logit_scale: float = Field(default=1.0, gt=0)
    """Factor of the logits."""
    logit_softcap: float = Field(default=0.0, ge=0)
    """Logits are squeezed to ± this by tanh (Gemma 2); 0: they are not."""
    tie_embeddings: bool = True
    """One matrix serves as token embedding and as output head."""
    n_predict: int = Field(default=0, ge=0)
    """Modules that predict tokens further ahead, one each, to learn more from a text (DeepSeek-AI 2024, V3)."""
    predict_weight: float = Field(default=0.3, ge=0)
    """Weight of their mean loss beside that of the next token."""

    init: Literal["fan-in", "normal", "gpt-2"] = "fan-in"
    """Matrices at the start: normal with 1 / sqrt(inputs), which keeps the size of activations; normal with init_std;
    or that, with what writes to the residual stream divided by sqrt(2 n_layers) (Radford et al. 2019)."""
    init_std: float = Field(default=0.02, gt=0)
    """Standard deviation of embeddings and of an untied head at initialization, and of matrices for normal, gpt-2."""
    zero_init_output: bool = True
    """Start the last matrix of each sublayer at zero, so that every block begins as the identity."""
    mup_base_width: int = Field(default=0, ge=0)
    """Maximal update parametrization (Yang et al. 2022): the width at which the learning rate was found. Wider models
    then take the same one. 0: standard parametrization."""

    @property
    def kv_heads(self) -> int:
        """Key and value heads."""
        return self.n_kv_heads or self.n_heads

    @property
    def head_size(self) -> int:
        """Elements of a head."""
        return self.head_dim or self.d_model // self.n_heads

    @property
    def rotary_size(self) -> int:
        """Elements of a head that carry a rotary position."""
        return self.latent.rope_head_dim if self.latent else int(self.head_size * self.rope_fraction)

    @property
    def score_scale(self) -> float:
        """Factor of attention logits: 1 / sqrt(head size) unless said otherwise.

        Under maximal update parametrization it falls as 1 / head size beyond the head size at the base width.
        """
        size = self.latent.qk_head_dim if self.latent else self.head_size
        fixed = self.latent is not None or self.head_dim > 0
        wider = 1.0 if fixed or not self.mup_base_width else self.d_model / self.mup_base_width
        return self.attention_scale or (size * wider) ** -0.5

    @property
    def output_scale(self) -> float:
        """Factor of the logits; under maximal update parametrization it falls as 1 / width."""
        return self.logit_scale * (self.mup_base_width / self.d_model if self.mup_base_width else 1.0)

    @property
    def is_gated(self) -> bool:
        """Whether the feed-forward multiplies two projections, and so has three matrices."""
        return self.feedforward in GATED

    @property
    def ff_width(self) -> int:
        """Hidden width of the feed-forward."""
        return self.d_ff or matched_width(self.d_model, gated=self.is_gated)

    def is_local(self, layer: int) -> bool:
        """Whether a layer sees its window only."""
        return self.window is not None and self.window_pattern[layer % len(self.window_pattern)] == "L"

    def has_experts(self, layer: int) -> bool:
        """Whether the feed-forward of a layer is a mixture of experts."""
        return self.moe is not None and layer >= self.moe.dense_layers

    @property
    def cached_sizes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(heads, elements) of the two tensors that a layer of a Transformer keeps of each token."""
        if self.latent:
            return (1, self.latent.kv_rank), (1, self.latent.rope_head_dim)
        return (self.kv_heads, self.head_size), (self.kv_heads, self.head_size)

    @model_validator(mode="after")
    def _parts_fit(self) -> "ModelConfig":
        if self.kind == "transformer":
            _check_heads(self)
            _check_parts(self)
        return self


def matched_width(d_model: int, *, gated: bool) -> int:
    """Hidden width of a feed-forward: 4 d_model, or for a gated one the width that has as many parameters.

    Two matrices of D × 4D and three of D × 8/3 D are the same number; the latter is rounded up to WIDTH_MULTIPLE.
    """
    return -(-8 * d_model // (3 * WIDTH_MULTIPLE)) * WIDTH_MULTIPLE if gated else 4 * d_model


def _check_heads(config: ModelConfig) -> None:
    d_model, heads = config.d_model, config.n_heads
    if not config.latent and not config.head_dim and d_model % heads:
        raise ValueError(f"d_model {d_model} is not a multiple of n_heads {heads}; set head_dim or change one")
    if heads % config.kv_heads:
        raise ValueError(f"n_heads {heads} is not a multiple of n_kv_heads {config.n_kv_heads}")
    if config.position == "rope" and (config.rotary_size % 2 or config.rotary_size < 2):
        what = "the head size" if config.rope_fraction == 1 else "head size times rope_fraction"
        raise ValueError(f"rope turns pairs of elements, so {what} must be even, not {config.rotary_size}")


def _check_parts(config: ModelConfig) -> None:
    if config.latent and config.n_kv_heads not in (0, config.n_heads):
        raise ValueError("latent attention has keys for every query head; leave n_kv_heads out")
    if config.latent and config.position not in ("rope", "none"):
        raise ValueError(f"latent attention goes with position rope or none, not {config.position}")
    if config.latent and config.attention_bias:
        raise ValueError("latent attention has no biases; leave attention_bias out")
    if config.rope_scaling and config.position != "rope":
        raise ValueError(f"rope_scaling is for position rope, not {config.position}")
    if config.moe and config.feedforward_bias:
        raise ValueError("experts have no biases; leave feedforward_bias out")
    if config.moe and config.moe.dense_layers >= config.n_layers:
        raise ValueError(f"moe.dense_layers {config.moe.dense_layers} leaves none of {config.n_layers} layers experts")
