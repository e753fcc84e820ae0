import pytest
from pydantic import ValidationError

from groundup.tokenizer.config import TokenizerConfig


def test_a_vocabulary_without_room_for_merges_is_refused():
    with pytest.raises(ValidationError, match="260 leaves no room for merges"):
        TokenizerConfig(vocab_size=260)
    assert TokenizerConfig(vocab_size=261).vocab_size == 261


def test_a_special_token_given_twice_is_refused():
    with pytest.raises(ValidationError, match="repeats a token"):
        TokenizerConfig(extra_special_tokens=("<|pad|>",))
    with pytest.raises(ValidationError, match="empty"):
        TokenizerConfig(extra_special_tokens=("",))


def test_a_pre_tokenizer_that_llama_cpp_does_not_know_is_refused():
    with pytest.raises(ValidationError, match="qwen-2"):
        TokenizerConfig(pre_tokenizer="whitespace")
