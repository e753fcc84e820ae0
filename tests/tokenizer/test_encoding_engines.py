import json

import numpy as np
import pytest

from groundup.core.progress import Reporter
from groundup.tokenizer.config import TokenizerConfig
from groundup.tokenizer.engine import FastEngine, PlainEngine, open_engine
from groundup.tokenizer.pre_tokenizer import PRE_TOKENIZERS
from groundup.tokenizer.train import train_bpe


class Listener(Reporter):
    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def assert_same(source: str, texts: list[str]) -> None:
    (fast, fast_offsets), (plain, plain_offsets) = (
        engine(source).encode_bulk(texts) for engine in (FastEngine, PlainEngine)
    )
    assert np.array_equal(fast_offsets, plain_offsets)
    assert np.array_equal(fast, plain)
    assert fast.dtype == plain.dtype == np.uint32
    assert fast_offsets.dtype == plain_offsets.dtype == np.int64


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_the_fast_engine_equals_its_plain_twin_on_10000_mixed_strings(name, mixed_strings, texts):
    config = TokenizerConfig(vocab_size=700, pre_tokenizer=name)
    source = train_bpe(config, [*texts, *mixed_strings(300, seed=1)], 10**6, Reporter(quiet=True))
    texts = mixed_strings(10_000)
    assert_same(source, texts)
    fast, plain = FastEngine(source), PlainEngine(source)
    for allow_special in (False, True):
        for text in texts[:1000]:
            assert fast.encode(text, allow_special=allow_special) == plain.encode(text, allow_special=allow_special)


@pytest.mark.parametrize("corpus", ["tinyshakespeare", "tinystories", "wikitext2-valid", "children"])
def test_the_engines_agree_on_real_corpora(source, data, corpus):
    text = (data / "corpora" / f"{corpus}.txt").read_text(encoding="utf-8")[:600_000]
    assert_same(source, text.split("\n\n"))


def test_no_texts_and_empty_texts_are_fine(source):
    for engine in (FastEngine(source), PlainEngine(source)):
        ids, offsets = engine.encode_bulk([])
        assert ids.tolist() == [] and offsets.tolist() == [0]
        ids, offsets = engine.encode_bulk(["", "a", ""])
        assert len(ids) == 1 and offsets.tolist() == [0, 0, 1, 1]


def test_the_fast_engine_is_taken_silently_where_it_works(source):
    listener = Listener()
    assert open_engine(source, listener).name == "fastokens"
    assert listener.warnings == []


def test_where_fastokens_cannot_follow_the_plain_engine_steps_in_with_a_warning(source):
    spec = json.loads(source)
    spec["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [{"type": "UnicodeScripts"}, spec["pre_tokenizer"]],
    }
    listener = Listener()
    engine = open_engine(json.dumps(spec), listener)
    assert engine.name == "tokenizers"
    assert len(listener.warnings) == 1 and "slower" in listener.warnings[0]
