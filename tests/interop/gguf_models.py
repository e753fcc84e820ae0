"""A small model of every architecture of GGUF, and files made of them: whole, and spoiled."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter
from gguf.constants import GGUFValueType

import model_kinds
from groundup.core.progress import Reporter
from groundup.interop.gguf import save_gguf
from groundup.interop.gguf.header import read_header
from groundup.model.language_model import LanguageModel
from groundup.model.parts import LatentConfig, MoeConfig, RopeScaling
from taught_model import small_tokenizer

QUIET = Reporter(quiet=True)
KINDS = ("f32", "f16", "bf16", "q8_0", "q4_0")

_SIZE = {"n_layers": 2, "d_model": 64, "n_heads": 4, "d_ff": 96, "max_seq_len": 64, "init_std": 0.3}
_LLAMA = {"qk_norm": False}
_EXPERTS = MoeConfig(n_experts=4, d_expert=32)
_LATENT = LatentConfig(kv_rank=32, q_rank=32, nope_head_dim=32, rope_head_dim=16, v_head_dim=32)
_DEEPSEEK = {"latent": _LATENT, "rope_pairing": "interleaved"}
_DEEPSEEK_EXPERTS = MoeConfig(
    n_experts=8,
    top_k=3,
    d_expert=32,
    n_shared=2,
    dense_layers=1,
    scoring="sigmoid",
    balance="bias",
    routed_scale=2.5,
)
_LITE_EXPERTS = MoeConfig(n_experts=4, d_expert=32, n_shared=1, dense_layers=1, balance="none", normalize_top_k=False)
_GEMMA = {"feedforward": "geglu-tanh", "residual": "sandwich", "embedding_scale": 8.0, "window": 5}
_GEMMA2 = _GEMMA | {"qk_norm": False, "window_pattern": "LG", "attention_softcap": 50.0, "logit_softcap": 30.0}
_GEMMA3 = _GEMMA | {"n_layers": 7, "window_pattern": "LLLLLG", "rope_theta": 1e6, "rope_local_theta": 1e4}


def _yarn(factor: float, temperature: float = 0.0) -> RopeScaling:
    return RopeScaling(method="yarn", factor=factor, original_max_seq_len=16, temperature=temperature)


MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "the quickstart's": ("qwen3", {}),
    "qwen 3, own head size, untied": ("qwen3", {"head_dim": 32, "tie_embeddings": False, "n_kv_heads": 2}),
    "qwen 3, rope of pairs": ("qwen3", {"rope_pairing": "interleaved"}),
    "qwen 3, linear": ("qwen3", {"rope_scaling": RopeScaling(method="linear", factor=4.0)}),
    "qwen 3, larger base": ("qwen3", {"rope_scaling": RopeScaling(method="ntk", factor=4.0)}),
    "qwen 3, yarn": ("qwen3", {"rope_scaling": _yarn(4.0)}),
    "qwen 3, yarn, own temperature": ("qwen3", {"rope_scaling": _yarn(4.0, 1.3)}),
    "qwen 3, experts": ("qwen3moe", {"moe": _EXPERTS}),
    "qwen 2": ("qwen2", _LLAMA | {"attention_bias": True, "n_kv_heads": 2}),
    "llama": ("llama", _LLAMA | {"n_kv_heads": 2, "tie_embeddings": False}),
    "llama, biases": (
        "llama",
        _LLAMA | {"attention_bias": True, "attention_output_bias": True, "feedforward_bias": True},
    ),
    "llama, rope of pairs": ("llama", _LLAMA | {"rope_pairing": "interleaved"}),
    "llama 3": (
        "llama",
        _LLAMA
        | {
            "rope_theta": 5e5,
            "rope_scaling": RopeScaling(method="llama-3", factor=8.0, original_max_seq_len=64),
        },
    ),
    "mixtral": ("llama", _LLAMA | {"moe": _EXPERTS}),
    "gemma 2": ("gemma2", _GEMMA2),
    "gemma 3": ("gemma3", _GEMMA3),
    "gemma 3, linear": ("gemma3", _GEMMA3 | {"rope_scaling": RopeScaling(method="linear", factor=8.0)}),
    "gpt-2": ("gpt2", model_kinds.GPT_2),
    "deepseek 3": ("deepseek2", _DEEPSEEK | {"moe": _DEEPSEEK_EXPERTS}),
    "deepseek 3, groups, yarn": (
        "deepseek2",
        _DEEPSEEK
        | {
            "moe": _DEEPSEEK_EXPERTS.model_copy(update={"n_groups": 4, "top_groups": 2}),
            "rope_scaling": _yarn(40.0, 1.0),
            "attention_scale": (0.1 * math.log(40) + 1) ** 2 * 48**-0.5,
        },
    ),
    "deepseek 2 lite": (
        "deepseek2",
        _DEEPSEEK
        | {"latent": _LATENT.model_copy(update={"q_rank": 0}), "moe": _LITE_EXPERTS, "n_layers": 26, "init_std": 0.1},
    ),
    "deepseek, no experts": ("deepseek2", _DEEPSEEK),
}
"""The architecture that each is written as, and how it differs from the default."""


def gguf_model(changes: Mapping[str, Any]) -> LanguageModel:
    """Weights in which every part matters."""
    return model_kinds.model_of("every head its own keys", **_SIZE | dict(changes)).eval()


def written(folder: Path, name: str = "llama", kind: Any = "f32") -> Path:
    """A file of one of MODELS."""
    path = folder / "model.gguf"
    save_gguf(gguf_model(MODELS[name][1]), small_tokenizer(), path, kind, reporter=QUIET)
    return path


def rewritten(
    path: Path,
    values: Mapping[str, Any] | None = None,
    tensors: Mapping[str, np.ndarray | None] | None = None,
    rename: Mapping[str, str] | None = None,
) -> Path:
    """A copy of an F32 file with metadata and tensors changed; None takes one out."""
    header = read_header(path)
    data = path.read_bytes()
    metadata = header.metadata | dict(values or {})
    target = path.with_name("changed.gguf")
    writer = GGUFWriter(None, metadata["general.architecture"] or "none")
    for key, value in metadata.items():
        if value is None:
            writer.kv_data[0].pop(key, None)
            continue
        writer.add_key_value(key, value, GGUFValueType.UINT32 if type(value) is int else GGUFValueType.get_type(value))
    kept = {
        name: np.frombuffer(data, np.float32, stored.n_bytes // 4, stored.offset).reshape(stored.shape)
        for name, stored in header.tensors.items()
    }
    for name, array in (kept | dict(tensors or {})).items():
        if array is not None:
            writer.add_tensor((rename or {}).get(name, name), array)
    writer.write_header_to_file(target)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
