import base64
import json
import random

import pytest
import tiktoken

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.tokenizer.build import build_tokenizer
from groundup.tokenizer.byte_level import to_bytes
from groundup.tokenizer.config import SPECIAL_TOKENS, TokenizerConfig
from groundup.tokenizer.existing import read_ranks, read_vocabulary
from groundup.tokenizer.pre_tokenizer import PRE_TOKENIZERS
from groundup.tokenizer.tokenizer import Tokenizer

QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def gpt2_ranks(data):
    vocabulary = json.loads((data / "tokenizers/gpt2/encoder.json").read_text())
    return {to_bytes(token): rank for token, rank in vocabulary.items() if token != "<|endoftext|>"}


@pytest.fixture(scope="module")
def gpt2(data):
    return Tokenizer(read_vocabulary(data / "tokenizers/gpt2", "gpt-2", SPECIAL_TOKENS, QUIET))


def peer_of(ranks, name="gpt-2"):
    pattern = PRE_TOKENIZERS[name].pattern
    return tiktoken.Encoding("peer", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def repetitions(number):
    draw = random.Random(3)
    atoms = [" ", "a", "b", "=", "-", "aa", "the"]
    return ["".join(draw.choice(atoms) * draw.randint(1, 9) for _ in range(4)) for _ in range(number)]


def write_ranks(path, ranks):
    path.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items()))
    return path


def test_gpt2_keeps_its_ids_and_gets_the_tokens_that_it_lacks_behind_them(gpt2):
    assert gpt2.special_ids == {
        "<|endoftext|>": 50256,
        "<|pad|>": 50257,
        "<|im_start|>": 50258,
        "<|im_end|>": 50259,
    }
    assert gpt2.vocab_size == 50260
    assert gpt2.llama_cpp_name == "gpt-2"
    assert gpt2.encode("Hello, world!") == [15496, 11, 995, 0]


def test_gpt2_encodes_as_tiktoken_does(gpt2, gpt2_ranks, mixed_strings, data):
    corpus = (data / "corpora/wikitext2-valid.txt").read_text(encoding="utf-8")
    texts = [*mixed_strings(3000), *repetitions(1000), *corpus.splitlines(), corpus]
    ids, offsets = gpt2.encode_bulk(texts)
    for i, expected in enumerate(peer_of(gpt2_ranks).encode_ordinary_batch(texts)):
        assert ids[offsets[i] : offsets[i + 1]].tolist() == expected


@pytest.mark.parametrize("kept", [1.0, 0.9])
@pytest.mark.parametrize("name", ["gpt-2", "qwen-2"])
def test_a_file_of_ranks_encodes_as_tiktoken_does(gpt2_ranks, mixed_strings, tmp_path, kept, name):
    # Without a tenth of the tokens some others cannot be reached by merging, as in real files of ranks.
    draw = random.Random(5)
    tokens = [token for token in gpt2_ranks if len(token) == 1 or draw.random() < kept]
    ranks = {token: rank for rank, token in enumerate(tokens)}
    path = write_ranks(tmp_path / "x.tiktoken", ranks)
    assert read_ranks(path) == ranks
    tokenizer = Tokenizer(read_vocabulary(path, name, SPECIAL_TOKENS, QUIET))
    assert tokenizer.llama_cpp_name == (PRE_TOKENIZERS[name].llama_cpp if kept == 1 else None)
    texts = [*mixed_strings(2000), *repetitions(1000)]
    ids, offsets = tokenizer.encode_bulk(texts)
    for i, expected in enumerate(peer_of(ranks, name).encode_ordinary_batch(texts)):
        assert ids[offsets[i] : offsets[i + 1]].tolist() == expected


def test_a_tokenizer_json_alone_or_in_a_folder_is_taken_as_it_is(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "theirs")
    for path in (tmp_path / "theirs", tmp_path / "theirs" / "tokenizer.json"):
        config = TokenizerConfig(path=str(path))
        made = build_tokenizer(config, [], 0, tmp_path / "ours", QUIET)
        assert made.hash == tokenizer.hash == Tokenizer.load(tmp_path / "ours").hash


def test_what_a_file_adds_around_a_text_is_dropped(source, tmp_path):
    spec = json.loads(source)
    spec["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(spec))
    made = Tokenizer(read_vocabulary(path, "gpt-2", SPECIAL_TOKENS, QUIET))
    assert made.encode("one two three four") == Tokenizer(source).encode("one two three four")


def test_mistakes_are_named(tmp_path, source):
    def refused(path, match):
        with pytest.raises(UserError, match=match):
            read_vocabulary(path, "gpt-2", SPECIAL_TOKENS, QUIET)

    refused(tmp_path / "nothing", "there is no vocabulary at")
    (tmp_path / "encoder.json").write_text("{}")
    refused(tmp_path, "lacks vocab.bpe")
    (tmp_path / "bad.tiktoken").write_text("IQ== 0\nnonsense\n")
    refused(tmp_path / "bad.tiktoken", "line 2: not a token in base64 and its rank")
    (tmp_path / "tokenizer.json").write_text(source[:1000])
    refused(tmp_path, "is not a vocabulary that groundup reads")


def test_a_vocabulary_of_word_pieces_is_refused(tmp_path):
    from tokenizers import Tokenizer as Plain
    from tokenizers import models

    path = tmp_path / "tokenizer.json"
    Plain(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]")).save(str(path))
    with pytest.raises(UserError, match=r"not byte-level BPE \(WordPiece"):
        build_tokenizer(TokenizerConfig(path=str(path)), [], 0, tmp_path / "ours", QUIET)
