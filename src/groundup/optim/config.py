"""Optimizer and learning-rate schedule, as data."""

from typing import Literal

from pydantic import Field

from groundup.core.config import Config


class OptimConfig(Config):
    """How gradients become updates. The learning rate means the same for Muon and AdamW: see `muon.py`."""

    optimizer: Literal["muon", "adamw"] = "muon"
    """muon: matrices of the blocks by Muon, everything else by AdamW. adamw: everything by AdamW."""
    lr: float = Field(default=5e-3, gt=0)
    """Peak learning rate."""
    schedule: Literal["wsd", "cosine"] = "wsd"
    """wsd: warm up, stay, then fall linearly. cosine: warm up, then fall along half a cosine."""
    warmup_steps: int = Field(default=20, ge=0)
    """Steps over which the rate rises linearly from zero."""
    decay_fraction: float = Field(default=0.6, ge=0, le=1)
    """Share of all steps that the linear fall of wsd takes."""
    min_lr_ratio: float = Field(default=0.0, ge=0, le=1)
    """Rate at the last step, as a share of the peak."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Decoupled decay of matrices and embeddings; norms are spared."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW: memory of the mean gradient."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """AdamW: memory of the mean squared gradient."""
    momentum: float = Field(default=0.95, ge=0, lt=1)
    """Muon: memory of the mean gradient (Nesterov)."""
    clip_norm: float = Field(default=1.0, ge=0)
    """Gradients longer than this are shortened to it; 0 switches clipping off."""
