"""Multi-head latent attention (DeepSeek-AI 2024, DeepSeek-V2, section 2.1).

Shapes: B batch, T new tokens, S tokens to attend to, D width of the model, H heads, C size of the latent vector,
N elements of a head without a position, R with a rotary one, V elements of a value head.
"""

import torch
from torch import Tensor, nn

from groundup.model.attention.mask import LayerCache, Mask, Sight
from groundup.model.attention.scored import ScoredAttention
from groundup.model.config import ModelConfig
from groundup.model.norm import RMSNorm
from groundup.model.position.scheme import Position


class LatentAttention(ScoredAttention):
    """Keys and values of all heads are made of one small vector a token; only that, and one rotary key, is cached.

    Where there are earlier tokens, the matrices that make keys and values are moved to the other side of the
    products: every query looks at the latent vectors themselves, which are one key/value head for all (the paper's
    "absorption").
    """

    def __init__(self, config: ModelConfig, position: Position) -> None:
        super().__init__(config)
        assert config.latent
        self.sizes, self.heads, width = config.latent, config.n_heads, config.d_model
        queries = self.heads * self.sizes.qk_head_dim
        if self.sizes.q_rank:
            self.q_down = nn.Linear(width, self.sizes.q_rank, bias=False)
            self.q_norm = RMSNorm(self.sizes.q_rank, config.norm_eps)
            self.q_up = nn.Linear(self.sizes.q_rank, queries, bias=False)
        else:
            self.q = nn.Linear(width, queries, bias=False)
        self.kv_down = nn.Linear(width, self.sizes.kv_rank + self.sizes.rope_head_dim, bias=False)
        self.kv_norm = RMSNorm(self.sizes.kv_rank, config.norm_eps)
        made = self.heads * (self.sizes.nope_head_dim + self.sizes.v_head_dim)
        self.kv_up = nn.Linear(self.sizes.kv_rank, made, bias=False)
        self.o = nn.Linear(self.heads * self.sizes.v_head_dim, width, bias=config.attention_output_bias)
        self._position = position

    def forward(self, x_BTD: Tensor, sight: Sight, cache: LayerCache | None) -> Tensor:
        """Each token looks at those that the mask allows."""
        q_BTX = self.q_up(self.q_norm(self.q_down(x_BTD))) if self.sizes.q_rank else self.q(x_BTD)
        q_BHTX = q_BTX.unflatten(-1, (self.heads, self.sizes.qk_head_dim)).transpose(1, 2)
        q_BHTN, q_BHTR = q_BHTX.split((self.sizes.nope_head_dim, self.sizes.rope_head_dim), -1)
        c_BTC, k_BTR = self.kv_down(x_BTD).split((self.sizes.kv_rank, self.sizes.rope_head_dim), -1)
        q_BHTR = self._position.rotate(q_BHTR, sight.rotation)
        k_B1TR = self._position.rotate(k_BTR[:, None], sight.rotation)
        c_B1TC = self.kv_norm(c_BTC)[:, None]
        c_B1SC, k_B1SR = cache.append(c_B1TC, k_B1TR) if cache else (c_B1TC, k_B1TR)
        look = self._look_at_keys if c_B1SC.shape[2] == x_BTD.shape[1] else self._look_at_latents
        out_BHTV = look(q_BHTN, q_BHTR, c_B1SC, k_B1SR, sight.mask)
        return self.o(out_BHTV.transpose(1, 2).flatten(2))

    def _look_at_keys(self, q_BHTN: Tensor, q_BHTR: Tensor, c_B1SC: Tensor, k_B1SR: Tensor, mask: Mask) -> Tensor:
        """Keys and values of each head made explicitly."""
        per_head = self.sizes.nope_head_dim + self.sizes.v_head_dim
        kv_BHSX = self.kv_up(c_B1SC[:, 0]).unflatten(-1, (self.heads, per_head)).transpose(1, 2)
        k_BHSN, v_BHSV = kv_BHSX.split((self.sizes.nope_head_dim, self.sizes.v_head_dim), -1)
        k_BHSX = torch.cat((k_BHSN, k_B1SR.expand(-1, self.heads, -1, -1).to(k_BHSN.dtype)), -1)
        q_BHTX = torch.cat((q_BHTN, q_BHTR.to(q_BHTN.dtype)), -1)
        return self.look(q_BHTX, k_BHSX, v_BHSV, mask)

    def _look_at_latents(self, q_BHTN: Tensor, q_BHTR: Tensor, c_B1SC: Tensor, k_B1SR: Tensor, mask: Mask) -> Tensor:
        """The same without keys and values: qᵀ (W c) = (Wᵀ q)ᵀ c, and Σ p (W c) = W Σ p c."""
        per_head = self.sizes.nope_head_dim + self.sizes.v_head_dim
        up_HXC = self.kv_up.weight.unflatten(0, (self.heads, per_head))
        up_HNC, up_HVC = up_HXC.split((self.sizes.nope_head_dim, self.sizes.v_head_dim), 1)
        q_BHTX = torch.cat((q_BHTN @ up_HNC, q_BHTR.to(q_BHTN.dtype)), -1)
        k_B1SX = torch.cat((c_B1SC, k_B1SR), -1)
        out_BHTC = self.look(q_BHTX, k_B1SX.to(q_BHTX.dtype), c_B1SC.to(q_BHTX.dtype), mask)
        return out_BHTC @ up_HVC.mT
