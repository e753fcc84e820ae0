"""What every family of models says of itself."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import ValidationError

from groundup.core.errors import UserError
from groundup.interop.essence import differences, essence
from groundup.interop.hugging_face.keys import Keys
from groundup.interop.hugging_face.tensors import Pair
from groundup.model.config import ModelConfig

# Activations of gated feed-forwards, and of others, as config.json names them; the first name is the one written.
GATED_ACTIVATIONS = {
    "silu": "swiglu",
    "gelu_pytorch_tanh": "geglu-tanh",
    "gelu": "geglu",
    "relu": "reglu",
    "sigmoid": "glu",
    "linear": "bilinear",
    "swish": "swiglu",
    "gelu_new": "geglu-tanh",
}
PLAIN_ACTIVATIONS = {
    "gelu_new": "gelu-tanh",
    "gelu": "gelu",
    "relu": "relu",
    "relu2": "relu2",
    "silu": "swish",
    "gelu_pytorch_tanh": "gelu-tanh",
    "swish": "swish",
}

# Of no effect on weights that are read; a model that is trained from its config alone begins as theirs do.
_BEGINNING = {"init": "normal", "zero_init_output": False}


class Family(ABC):
    """One `model_type`: its config.json as a `ModelConfig` and back, and its tensors as ours and back."""

    model_type: ClassVar[str]
    architecture: ClassVar[str]
    """The class in transformers."""
    prefix: ClassVar[str] = "model."
    """Put before all names but the head's; a model that was saved without a head lacks it."""
    buffers: ClassVar[str] = r".*rotary_emb\.inv_freq"
    """Regular expression of tensors that older versions of transformers stored, and that say nothing."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Parts, latent or moe, without which a model is not of this family."""
    excludes: ClassVar[tuple[str, ...]] = ("latent", "moe")
    """Parts that it has not."""

    def read(self, config: dict[str, Any], where: str = "config.json") -> tuple[ModelConfig, int]:
        """The model that a config.json describes, and its vocabulary size.

        Raises UserError naming every key that is missing, of a wrong type, unknown, or cannot be expressed.
        """
        keys = Keys(config)
        try:
            fields, vocab_size = self._take(keys)
            keys.check(where)
            return ModelConfig(**fields), vocab_size
        except ValidationError as error:
            what = [str(mistake["msg"]).removeprefix("Value error, ") for mistake in error.errors()]
            hint = "this does not describe a model; get the file again"
            raise UserError(f"{where}: {'; '.join([*keys.problems, *what])}", hint) from None

    def write(self, config: ModelConfig, vocab_size: int) -> dict[str, Any]:
        """A config.json for transformers 4 and 5. Of a model that `obstacles` says something of, it is a wrong one."""
        return {
            "architectures": [self.architecture],
            "model_type": self.model_type,
            "vocab_size": vocab_size,
            "tie_word_embeddings": config.tie_embeddings,
            "initializer_range": config.init_std,
            "use_cache": True,
            **self.keys(config),
        }

    def obstacles(self, config: ModelConfig) -> list[str]:
        """Names of what in a config this family cannot express; none if a model of it gives the same logits."""
        if config.kind != "transformer":
            return ["kind"]
        if not self.has_structure_of(config):
            return [part for part in ("latent", "moe") if self._lacks(config, part)]
        keys = Keys(self.write(config, 1))
        try:
            fields, _ = self._take(keys)
            again = ModelConfig(**fields)
        except ValidationError as error:
            return [str(mistake["msg"]) for mistake in error.errors()]
        return differences(essence(config), essence(again)) or keys.problems

    def has_structure_of(self, config: ModelConfig) -> bool:
        """Whether the model has what this family cannot be without, and nothing that it never has."""
        return not any(self._lacks(config, part) for part in ("latent", "moe"))

    def _lacks(self, config: ModelConfig, part: str) -> bool:
        return part in (self.requires if getattr(config, part) is None else self.excludes)

    def ignored(self, config: dict[str, Any]) -> list[str]:
        """Regular expressions of tensors that may be there and are not read, given config.json."""
        return [self.buffers]

    def _take(self, keys: Keys) -> tuple[dict[str, Any], int]:
        """Fields of `ModelConfig`, and the vocabulary size; what is wrong is noted in `keys`."""
        keys.only("is_encoder_decoder", False)
        keys.only("add_cross_attention", False)
        keys.only("pruned_heads", {})
        if keys.raw("quantization_config"):
            keys.problems.append("quantization_config: quantized weights are read from GGUF files only")
        fields = self.fields(keys) | _BEGINNING | {"init_std": keys.number("initializer_range", 0.02)}
        return fields, keys.integer("vocab_size")

    @abstractmethod
    def fields(self, keys: Keys) -> dict[str, Any]:
        """Fields of `ModelConfig`, taken from the keys of a config.json."""

    @abstractmethod
    def keys(self, config: ModelConfig) -> dict[str, Any]:
        """Keys of a config.json, those that all families have left out."""

    @abstractmethod
    def pairs(self, config: ModelConfig, *, fused: bool) -> list[Pair]:
        """All tensors but a tied head. `fused`: experts as transformers 5 keeps them in memory, if there are any."""


def named(activations: dict[str, str], feedforward: str) -> str:
    """The activation as config.json names it; the feed-forward's own name where it has none."""
    return next((theirs for theirs, ours in activations.items() if ours == feedforward), feedforward)
