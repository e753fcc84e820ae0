import json

import pytest
import tiktoken
from tokenizers import Tokenizer, models

from groundup.tokenizer.byte_level import BYTE_TO_CHARACTER, to_bytes, to_characters
from groundup.tokenizer.pre_tokenizer import PRE_TOKENIZERS, recognize


def test_each_byte_has_its_own_printable_character():
    assert len(set(BYTE_TO_CHARACTER)) == 256
    assert all(character.isprintable() and not character.isspace() for character in BYTE_TO_CHARACTER)
    assert to_bytes(to_characters(bytes(range(256)))) == bytes(range(256))
    assert to_characters(b" a\n") == "ĠaĊ"


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_each_rule_is_recognized_in_the_file_that_it_writes(name):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = PRE_TOKENIZERS[name].build()
    assert recognize(json.loads(tokenizer.to_str())["pre_tokenizer"]) is PRE_TOKENIZERS[name]


def test_a_rule_that_llama_cpp_does_not_know_is_not_recognized():
    assert recognize({"type": "Whitespace"}) is None


@pytest.mark.parametrize("name", ["qwen-2", "llama-3", "gpt-2"])
def test_words_are_cut_as_tiktoken_cuts_them_by_the_same_pattern(name, mixed_strings):
    rule = PRE_TOKENIZERS[name]
    # A vocabulary of all the words in question: tiktoken gives each word as one token, so cuts can be seen.
    texts = [text for text in mixed_strings(500) if text]
    cut = [[to_bytes(word) for word, _ in rule.build().pre_tokenize_str(text)] for text in texts]
    words = {bytes([byte]) for byte in range(256)} | {word for words in cut for word in words}
    ranks = {word: rank for rank, word in enumerate(sorted(words, key=lambda word: (len(word), word)))}
    peer = tiktoken.Encoding("t", pat_str=rule.pattern, mergeable_ranks=ranks, special_tokens={})
    for text, expected in zip(texts, cut, strict=True):
        assert peer.decode_tokens_bytes(peer.encode_ordinary(text)) == expected


def test_qwen_2_leaves_each_digit_alone_and_llama_3_takes_three():
    def words(name: str) -> list[str]:
        return [word for word, _ in PRE_TOKENIZERS[name].build().pre_tokenize_str("1234")]

    assert words("qwen-2") == list("1234") == words("smollm")
    assert words("llama-3") == ["123", "4"]
    assert words("gpt-2") == ["1234"]
