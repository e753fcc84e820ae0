"""From a config to a model."""

from groundup.model.config import ModelConfig
from groundup.model.language_model import LanguageModel
from groundup.model.transformer import Transformer


def build_model(config: ModelConfig, vocab_size: int) -> LanguageModel:
    """The model that the config describes, its weights not yet set: see `initialize` and `load_weights`."""
    if config.kind != "transformer":
        from groundup.model.recurrent import Recurrent

        return Recurrent(config, vocab_size)
    return Transformer(config, vocab_size)
