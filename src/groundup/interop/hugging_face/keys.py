"""The keys of a config.json, each taken by name, so that none is overlooked."""

from typing import Any

from groundup.core.errors import UserError

REQUIRED = object()
"""Default of a key that must be there."""

_AS_MISSING = object()
"""What null means, unless said otherwise."""

_WRITER = """
    _commit_hash _name_or_path architectures auto_map is_llama_config model_type name_or_path transformers.js_config
    transformers_version unsloth_fixed unsloth_version
"""
_KERNELS = """
    _attn_implementation _attn_implementation_autoset _experts_implementation attn_implementation cache_implementation
    chunk_size_feed_forward dtype ep_size experts_implementation pretraining_tp tf_legacy_loss torch_dtype torchscript
    use_bfloat16 use_cache
"""
_TRAINING = """
    attention_dropout attn_pdrop aux_loss_alpha embd_pdrop output_router_logits resid_pdrop router_jitter_noise seq_aux
"""
_OTHER_TASKS = """
    finetuning_task id2label is_decoder label2id num_labels output_attentions output_hidden_states output_scores
    problem_type return_dict return_dict_in_generate summary_activation summary_first_dropout summary_proj_to_labels
    summary_type summary_use_proj task_specific_params tie_encoder_decoder tie_last_hidden_states
"""
# What is used of these is read from the tokenizer and from generation_config.json.
_GENERATION = """
    bad_words_ids begin_suppress_tokens bos_token_id decoder_start_token_id diversity_penalty do_sample early_stopping
    encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty forced_bos_token_id forced_eos_token_id
    length_penalty max_length min_length no_repeat_ngram_size num_beam_groups num_beams num_return_sequences
    pad_token_id prefix remove_invalid_values repetition_penalty sep_token_id suppress_tokens temperature
    tokenizer_class top_k top_p typical_p
"""
_WITHOUT_EFFECT = frozenset((_WRITER + _KERNELS + _TRAINING + _OTHER_TASKS + _GENERATION).split())
"""Keys that change nothing of what a model computes. All others have to be taken by whoever reads the config."""


class Keys:
    """Takes values by name and type; `check` raises all that was wrong, and what nobody took, as one UserError.

    A value that is missing or wrong is noted, and something of the right type is given in its place.
    """

    def __init__(self, values: dict[str, Any], prefix: str = "", problems: list[str] | None = None) -> None:
        self._values, self._prefix = values, prefix
        self._taken: set[str] = set()
        self.problems: list[str] = [] if problems is None else problems

    def has(self, name: str) -> bool:
        """Whether the key is there, and not null."""
        return self._values.get(name) is not None

    def raw(self, name: str, default: Any = None, null: Any = _AS_MISSING) -> Any:
        """The value as it is; `default` if it is missing, `null` if it is null."""
        self._taken.add(name)
        value = self._values.get(name, default)
        if value is None:
            return default if null is _AS_MISSING else null
        return value

    def integer(self, name: str, default: Any = REQUIRED, *, null: Any = _AS_MISSING, least: int = 1) -> int:
        """A whole number from `least` on."""
        value = self._required(name, default, least, null)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            return self._refuse(name, value, f"has to be a whole number from {least} on", least)
        return value

    def number(self, name: str, default: Any = REQUIRED) -> float:
        """A number above zero."""
        value = self._required(name, default, 1.0)
        if not _is_number(value) or not 0 < value < float("inf"):
            return self._refuse(name, value, "has to be a number above zero", 1.0)
        return float(value)

    def window(self, name: str, default: int | None) -> int | None:
        """Tokens that a layer sees; null means all."""
        if self.raw(name, default, null=None) is None:
            return None
        return self.integer(name, default)

    def softcap(self, name: str, default: float) -> float:
        """What logits are squeezed to; null means that they are not, here 0."""
        if self.raw(name, default, null=None) in (None, 0.0):
            return 0.0 if self._values.get(name) is None else self._refuse(name, 0, "would divide by zero", 0.0)
        return self.number(name, default)

    def any_number(self, name: str, default: float) -> float:
        """Any number."""
        value = self.raw(name, default)
        return float(value) if _is_number(value) else self._refuse(name, value, "has to be a number", default)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.raw(name, default)
        return value if isinstance(value, bool) else self._refuse(name, value, "has to be true or false", default)

    def choice(self, name: str, options: dict[str, Any], default: Any = REQUIRED) -> Any:
        """What one of some texts stands for."""
        first = next(iter(options))
        value = self._required(name, default, first)
        if not isinstance(value, str) or value not in options:
            return self._refuse(name, value, f"is not supported (only {', '.join(options)})", options[first])
        return options[value]

    def only(self, name: str, *allowed: Any) -> None:
        """A key that must be missing, null, or one of some values: all others compute something that we cannot."""
        value = self.raw(name)
        if value is not None and not any(value == other and type(value) is type(other) for other in allowed):
            known = f" (only {', '.join(map(repr, allowed))})" if allowed else ""
            self._refuse(name, value, f"is not supported{known}", None)

    def ignore(self, *names: str) -> None:
        """Keys of this family that change nothing."""
        self._taken.update(names)

    def table(self, name: str) -> "Keys | None":
        """A table within; None where it is missing, null or empty. Its problems become problems of this one."""
        value = self.raw(name)
        if not value:
            return None
        if not isinstance(value, dict):
            return self._refuse(name, value, "has to be a table", None)
        return Keys(value, f"{self._prefix}{name}.", self.problems)

    def close(self) -> None:
        """Note the keys that nobody took, and that are not known to be without effect."""
        known = self._taken | _WITHOUT_EFFECT
        for name, value in self._values.items():
            if name not in known and _means(value):
                self._refuse(name, value, "is not known", None)

    def check(self, where: str) -> None:
        """Raise UserError if anything was wrong."""
        self.close()
        if self.problems:
            hint = "only what can be expressed exactly is imported; a key that changes nothing may be taken out"
            raise UserError(f"{where}: {'; '.join(self.problems)}", hint)

    def _required(self, name: str, default: Any, placeholder: Any, null: Any = _AS_MISSING) -> Any:
        value = self.raw(name, default, null)
        if value is REQUIRED:
            self.problems.append(f"{self._prefix}{name} is missing")
            return placeholder
        return value

    def _refuse(self, name: str, value: Any, why: str, instead: Any) -> Any:
        text = repr(value)
        self.problems.append(f"{self._prefix}{name} = {text if len(text) <= 60 else text[:57] + '…'} {why}")
        return instead


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _means(value: Any) -> bool:
    """Whether a value may say anything: null, false and what is empty ask for nothing."""
    return value is not None and value is not False and value not in ("", [], {})
