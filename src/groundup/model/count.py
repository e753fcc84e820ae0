"""Parameters, operations and cache of a model, worked out from its config alone: nothing is allocated.

Shapes: D width of the model, V vocabulary, S tokens of a sequence.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

from groundup.model.config import ModelConfig

# Rows of the two matrices and of the two biases of a recurrent cell, in multiples of its width: its gates.
_GATES = {"rnn": 1, "gru": 3, "lstm": 4}


@dataclass(frozen=True)
class Parts:
    """Parameters by what they do; together they are all. Weights that are shared count once, where they stand first."""

    embedding: int
    """The vectors of the tokens."""
    position: int
    """The table of learned positions."""
    attention: int
    """Queries, keys, values, output, and the norms inside."""
    feedforward: int
    """Feed-forwards that every token goes through, shared experts among them."""
    experts: int
    """Experts to choose from."""
    router: int
    """What chooses, its balancing bias included."""
    cell: int
    """Recurrent cells."""
    norms: int
    """Norms between the parts."""
    head: int
    """The output matrix, unless it is the embedding."""
    predictors: int
    """Modules that predict further ahead; they serve in training."""


@dataclass(frozen=True)
class Counts:
    """How large a model is, in parameters.

    A router's balancing bias counts: it is learned and stored with the weights, though no gradient moves it. This is
    how DeepSeek-V3 comes to 671,026,419,200.
    """

    parts: Parts
    idle_experts: int
    """Parameters of the experts that a token does not go to."""

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(getattr(self.parts, field.name) for field in fields(self.parts))

    @property
    def active(self) -> int:
        """Parameters that one token needs: all but those of experts that it does not go to. The embedding counts
        whole, as it does for Mixtral's 12,879,925,248."""
        return self.total - self.idle_experts


class _Size(NamedTuple):
    """Elements of matrices that multiply each token, and of all else: gains and biases."""

    matrices: int = 0
    vectors: int = 0

    @property
    def total(self) -> int:
        return self.matrices + self.vectors

    def plus(self, *others: "_Size") -> "_Size":
        return _Size(self.matrices + sum(o.matrices for o in others), self.vectors + sum(o.vectors for o in others))

    def times(self, count: int) -> "_Size":
        return _Size(self.matrices * count, self.vectors * count)


def count_parameters(config: ModelConfig, vocab_size: int) -> Counts:
    """Parameters of the model that `build_model(config, vocab_size)` makes, exact to the unit."""
    width, layers = config.d_model, config.n_layers
    table = vocab_size * width
    head = 0 if config.tie_embeddings else table
    if config.kind != "transformer":
        return Counts(_recurrent_parts(config, table, head), 0)
    sparse, predictors = sum(config.has_experts(layer) for layer in range(layers)), _predictors(config)
    experts, idle, router, shared = (size.total for size in _mixture(config))
    parts = Parts(
        embedding=table,
        position=config.max_seq_len * width if config.position == "learned" else 0,
        attention=layers * _attention(config).total,
        feedforward=(layers - sparse) * _dense(config, config.ff_width).total + sparse * shared,
        experts=sparse * experts,
        router=sparse * router,
        cell=0,
        norms=(layers * _norms_of_block(config) + (config.residual != "post")) * _norm(config),
        head=head,
        predictors=predictors * _predictor(config).total,
    )
    return Counts(parts, (sparse + predictors) * idle)  # a predictor's block is like the last one


def flops_per_token(config: ModelConfig, vocab_size: int, seq_len: int) -> float:
    """Floating-point operations to train on one token of a sequence, forward and backward.

    6 for each weight of a matrix product that the token meets, the head among them and the embedding look-up not;
    and for the attention of a layer 6 · heads · (elements of a key + elements of a value) · mean context: QKᵀ and PV
    (Chowdhery et al. 2022, appendix B, but what is masked is not counted).
    """
    forward = generation_flops_per_token(config, vocab_size, seq_len)
    if predictors := _predictors(config):
        weights = _predictor(config, active=True).matrices + vocab_size * config.d_model
        forward += predictors * (2.0 * weights + _attention_flops(config, seq_len, config.n_layers - 1))
    return 3 * forward


def generation_flops_per_token(config: ModelConfig, vocab_size: int, seq_len: int) -> float:
    """Operations to write one token of a sequence, the mean over its tokens: a forward pass, without predictors."""
    head = vocab_size * config.d_model
    blocks = sum(_block_matrices(config, layer) for layer in range(config.n_layers))
    return 2.0 * (blocks + head) + sum(_attention_flops(config, seq_len, layer) for layer in range(config.n_layers))


def kv_bytes_per_token(config: ModelConfig, bytes_per_element: int = 2) -> int:
    """Bytes that a cache keeps of each token: keys and values, or the latent vector that both are made of.

    All layers count, those with a window too, whose cache need not hold more tokens than that. The state of a
    recurrent network does not grow: 0.
    """
    if config.kind != "transformer":
        return 0
    return config.n_layers * sum(heads * elements for heads, elements in config.cached_sizes) * bytes_per_element


def _recurrent_parts(config: ModelConfig, table: int, head: int) -> Parts:
    layers = config.n_layers
    cells, norms = layers * _cell(config).total, (layers + 1) * _norm(config)
    return Parts(table, 0, 0, 0, 0, 0, cells, norms, head, 0)


def _block_matrices(config: ModelConfig, layer: int) -> int:
    """Weights of matrix products that one token meets in a block."""
    if config.kind != "transformer":
        return _cell(config).matrices
    attention = _attention(config).matrices
    if not config.has_experts(layer):
        return attention + _dense(config, config.ff_width).matrices
    experts, idle, router, shared = (size.matrices for size in _mixture(config))
    return attention + experts - idle + router + shared


def _attention_flops(config: ModelConfig, seq_len: int, layer: int) -> float:
    """Forward: 2 for each element of each key and each value that a query looks at."""
    if config.kind != "transformer":
        return 0.0
    latent = config.latent
    elements = latent.qk_head_dim + latent.v_head_dim if latent else 2 * config.head_size
    window = min(config.window or seq_len, seq_len) if config.is_local(layer) else seq_len
    context = window - window**2 / (2 * seq_len)  # the mean of min(t, window) over the sequence
    return 2.0 * config.n_heads * elements * context


def _linear(inputs: int, outputs: int, *, bias: bool = False) -> _Size:
    return _Size(inputs * outputs, outputs if bias else 0)


def _norm(config: ModelConfig, size: int = 0) -> int:
    vectors = 2 if config.norm == "layernorm" and config.norm_bias else 1
    return vectors * (size or config.d_model)


def _norms_of_block(config: ModelConfig) -> int:
    return {"pre": 2, "post": 2, "sandwich": 4, "parallel": 1}[config.residual]


def _attention(config: ModelConfig) -> _Size:
    """All of a layer's attention."""
    width, heads = config.d_model, config.n_heads
    sinks = _Size(vectors=heads if config.attention_sinks else 0)
    if latent := config.latent:
        inputs = latent.q_rank or width
        down = _linear(width, latent.q_rank).plus(_Size(vectors=latent.q_rank))  # nothing where there is no q_rank
        q = _linear(inputs, heads * latent.qk_head_dim)
        kv_down = _linear(width, latent.kv_rank + latent.rope_head_dim).plus(_Size(vectors=latent.kv_rank))
        kv_up = _linear(latent.kv_rank, heads * (latent.nope_head_dim + latent.v_head_dim))
        o = _linear(heads * latent.v_head_dim, width, bias=config.attention_output_bias)
        return sinks.plus(down, q, kv_down, kv_up, o)
    q = _linear(width, heads * config.head_size, bias=config.attention_bias)
    kv = _linear(width, config.kv_heads * config.head_size, bias=config.attention_bias).times(2)
    o = _linear(heads * config.head_size, width, bias=config.attention_output_bias)
    qk_norm = _Size(vectors=2 * _norm(config, config.head_size) if config.qk_norm else 0)
    return sinks.plus(q, kv, o, qk_norm)


def _dense(config: ModelConfig, hidden: int) -> _Size:
    """A feed-forward of that hidden width."""
    bias = config.feedforward_bias
    up = _linear(config.d_model, hidden, bias=bias).times(2 if config.is_gated else 1)
    return up.plus(_linear(hidden, config.d_model, bias=bias))


def _mixture(config: ModelConfig) -> tuple[_Size, _Size, _Size, _Size]:
    """A layer's experts, those of them that a token does not go to, the router, and the shared experts."""
    moe = config.moe
    if moe is None:
        return _Size(), _Size(), _Size(), _Size()
    hidden = moe.d_expert or config.ff_width
    expert = _dense(config, hidden)
    router = _linear(config.d_model, moe.n_experts, bias=moe.balance == "bias")
    shared = _dense(config, moe.n_shared * hidden)
    return expert.times(moe.n_experts), expert.times(moe.n_experts - moe.top_k), router, shared


def _cell(config: ModelConfig) -> _Size:
    """A recurrent cell: a matrix and a bias for its input, the same for its state."""
    rows = _GATES[config.kind] * config.d_model
    return _linear(config.d_model, rows, bias=True).times(2)


def _predictors(config: ModelConfig) -> int:
    return config.n_predict if config.kind == "transformer" else 0


def _predictor(config: ModelConfig, *, active: bool = False) -> _Size:
    """A module that predicts further ahead: norms of its two inputs, a projection of both, a block, a norm."""
    experts, idle, router, shared = _mixture(config)
    if config.moe:
        feedforward = router.plus(shared, experts, idle.times(-1) if active else _Size())
    else:
        feedforward = _dense(config, config.ff_width)
    norms = _Size(vectors=(3 + _norms_of_block(config)) * _norm(config))
    return _linear(2 * config.d_model, config.d_model).plus(_attention(config), feedforward, norms)
