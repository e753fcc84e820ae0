"""From a config to a model."""

from groundup.model.config import ModelConfig
from groundup.model.language_model import LanguageModel
from groundup.model.recurrent import Recurrent
from groundup.model.transformer import Transformer


def build_model(config: ModelConfig, vocab_size: int) -> LanguageModel:
    """The model that the config describes, its weights not yet set: see `initialize` and `load_weights`."""
    return (Transformer if config.kind == "transformer" else Recurrent)(config, vocab_size)
