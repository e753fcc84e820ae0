"""Attention with query heads that share keys and values in groups: multi-head, grouped-query, multi-query.

Shapes: B batch, T new tokens, S tokens to attend to, D width of the model, H query heads, G key/value heads,
K elements of a head.
"""

from torch import Tensor, nn

from groundup.model.attention.mask import LayerCache, Sight
from groundup.model.attention.scored import ScoredAttention
from groundup.model.config import ModelConfig
from groundup.model.norm import make_norm
from groundup.model.position.scheme import Position


class Attention(ScoredAttention):
    """Queries, keys and values, optional norm of each head, position, attention, output projection.

    Grouped queries: Ainslie et al. 2023; norm of heads: Henry et al. 2020.
    """

    def __init__(self, config: ModelConfig, position: Position) -> None:
        super().__init__(config)
        self.heads, self.kv_heads, self.head_size = config.n_heads, config.kv_heads, config.head_size
        queries, keys, bias = self.heads * self.head_size, self.kv_heads * self.head_size, config.attention_bias
        self.q = nn.Linear(config.d_model, queries, bias=bias)
        self.k = nn.Linear(config.d_model, keys, bias=bias)
        self.v = nn.Linear(config.d_model, keys, bias=bias)
        self.o = nn.Linear(queries, config.d_model, bias=config.attention_output_bias)
        self.q_norm = make_norm(config, self.head_size) if config.qk_norm else nn.Identity()
        self.k_norm = make_norm(config, self.head_size) if config.qk_norm else nn.Identity()
        self._position = position

    def forward(self, x_BTD: Tensor, sight: Sight, cache: LayerCache | None) -> Tensor:
        """Each token looks at those that the mask allows."""
        q_BHTK = self._split(self.q(x_BTD), self.heads)
        k_BGTK = self._split(self.k(x_BTD), self.kv_heads)
        v_BGTK = self._split(self.v(x_BTD), self.kv_heads)
        q_BHTK = self._position.rotate(self.q_norm(q_BHTK), sight.rotation)
        k_BGTK = self._position.rotate(self.k_norm(k_BGTK), sight.rotation)
        k_BGSK, v_BGSK = cache.append(k_BGTK, v_BGTK) if cache else (k_BGTK, v_BGTK)
        out_BHTK = self.look(q_BHTK, k_BGSK, v_BGSK, sight.mask)
        return self.o(out_BHTK.transpose(1, 2).flatten(2))

    def _split(self, x_BTD: Tensor, heads: int) -> Tensor:
        return x_BTD.unflatten(-1, (heads, self.head_size)).transpose(1, 2)
