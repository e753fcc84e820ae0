"""The position scheme that a config names."""

from groundup.model.config import ModelConfig
from groundup.model.position.absolute import LearnedPosition, SinusoidalPosition
from groundup.model.position.alibi import Alibi
from groundup.model.position.rope import Rope
from groundup.model.position.scheme import Position

_POSITIONS = {
    "rope": lambda c: Rope(c.rotary_size, c.rope_theta, c.rope_pairing, c.rope_scaling),
    "alibi": lambda c: Alibi(c.n_heads),
    "learned": lambda c: LearnedPosition(c.max_seq_len, c.d_model),
    "sinusoidal": lambda c: SinusoidalPosition(c.d_model, c.init_std * 2**0.5),
    "none": lambda c: Position(),
}


def choose_position(config: ModelConfig) -> Position:
    """Of the model, and of all its layers unless those with a window have their own."""
    return _POSITIONS[config.position](config)


def choose_local_position(config: ModelConfig) -> Position | None:
    """Of layers with a window, if that is another one."""
    if config.window is None or not config.rope_local_theta or config.position != "rope":
        return None
    return Rope(config.rotary_size, config.rope_local_theta, config.rope_pairing)
