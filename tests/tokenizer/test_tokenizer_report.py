import json

import numpy as np
import pytest

from groundup.tokenizer.report import tokenizer_report


def test_the_report_counts_what_encoding_gives(tokenizer, texts):
    report = tokenizer_report(tokenizer, texts)
    ids = [token for text in texts for token in tokenizer.encode(text)]
    size = sum(len(text.encode()) for text in texts)
    assert report["held_out_tokens"] == len(ids)
    assert report["bytes_per_token"] == size / len(ids)
    assert report["unused_ids"] == sorted(set(range(1020)) - set(ids))
    assert report["unused_tokens"] == len(report["unused_ids"])
    assert report["encode_megabytes_per_second"] > 0
    assert json.loads(json.dumps(report)) == report


def test_longest_tokens_come_longest_first_and_without_the_special_ones(tokenizer, texts):
    longest = tokenizer_report(tokenizer, texts)["longest_tokens"]
    sizes = [token["bytes"] for token in longest]
    assert len(longest) == 20 and sizes == sorted(sizes, reverse=True)
    assert not any(token["text"].startswith("<|") for token in longest)
    assert sizes[0] == max(len(tokenizer.token_bytes(i)) for i in range(1020))


def test_what_is_not_known_is_none(tokenizer):
    report = tokenizer_report(tokenizer, [])
    assert report["gpt2_bytes_per_token"] is None
    assert report["bytes_per_token"] is None and report["tokens_per_word"] is None
    assert report["encode_megabytes_per_second"] is None


def test_counts_of_the_training_tokens_decide_what_is_unused(tokenizer, texts):
    counts = np.ones(tokenizer.vocab_size, dtype=np.int64)
    counts[[5, tokenizer.pad_id]] = 0
    assert tokenizer_report(tokenizer, texts, counts=counts)["unused_ids"] == [5]


def test_gpt2_is_measured_on_the_same_texts(tokenizer, data):
    text = (data / "corpora/wikitext2-valid.txt").read_text(encoding="utf-8")[:200_000]
    report = tokenizer_report(tokenizer, [text], gpt2=data / "tokenizers/gpt2")
    assert report["gpt2_bytes_per_token"] == pytest.approx(4.3, abs=0.5)
