import json
import random
import unicodedata

import pytest

from foreign_tokenizers import FAMILIES, write_tokenizer
from groundup.core.errors import UserError
from groundup.tokenizer.base import BaseTokenizer
from groundup.tokenizer.foreign import ForeignTokenizer
from groundup.tokenizer.gguf import metadata_of, tokenizer_from_metadata
from groundup.tokenizer.llama_cpp import RULES
from groundup.tokenizer.tokenizer import Tokenizer

NUMBER = 10_000
NAMES = {
    "gpt2": "gpt-2",
    "smollm2": "smollm",
    "llama3": "llama-bpe",
    "qwen2": "qwen2",
    "qwen3": "qwen2",
    "deepseek3": "deepseek-v3",
}
LOOKALIKES = ("<s>", "</s>", "<|im_start|>", "<|eot_id|>", "<think>", "<0x0A>", "▁", "  ", "\n\n", "<bos>", "<b>")


@pytest.fixture(scope="module")
def families(tmp_path_factory) -> dict[str, ForeignTokenizer]:
    root = tmp_path_factory.mktemp("families")
    return {family: ForeignTokenizer.load(write_tokenizer(family, root / family)) for family in FAMILIES}


@pytest.fixture(scope="module")
def strings(mixed_strings) -> list[str]:
    draw = random.Random(2)
    mixed = mixed_strings(NUMBER, seed=12)
    return ["".join(draw.choice(LOOKALIKES) if draw.random() < 0.1 else c for c in text) for text in mixed]


def as_others_write_it(metadata):
    """Without what only groundup writes: what is left is read by llama.cpp's own rules."""
    return {key: value for key, value in metadata.items() if not key.startswith("groundup.")}


def assert_same_ids(one: BaseTokenizer, other: BaseTokenizer, strings: list[str]) -> None:
    for text in strings:
        assert one.encode(text) == other.encode(text)
        assert one.encode(text, allow_special=True) == other.encode(text, allow_special=True)
    assert one.prompt_prefix == other.prompt_prefix
    assert one.end_ids == other.end_ids
    assert (one.bos_id, one.eos_id, one.unk_id, one.pad_id) == (
        other.bos_id,
        other.eos_id,
        other.unk_id,
        other.pad_id,
    )


@pytest.mark.parametrize("number", [300, pytest.param(NUMBER, marks=pytest.mark.slow)])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_tokenizer_comes_back_from_metadata_as_it_was(families, strings, family, number):
    there = families[family]
    back = tokenizer_from_metadata(json.loads(json.dumps(metadata_of(there))))
    assert back.hash == there.hash
    assert back.chat_template == there.chat_template
    assert_same_ids(back, there, strings[:number])
    ids = [random.Random(3).randrange(there.vocab_size) for _ in range(50)]
    assert back.decode(ids) == there.decode(ids)


@pytest.mark.parametrize("number", [300, pytest.param(NUMBER, marks=pytest.mark.slow)])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_llama_cpp_reads_says_the_same_tokenizer(families, strings, family, number):
    there = families[family]
    metadata = as_others_write_it(metadata_of(there)) | {"general.architecture": "llama"}
    back = tokenizer_from_metadata(metadata)
    if family == "mistral":  # llama.cpp puts a space even before a space, and behind each special token
        special = tuple(there.special_ids)
        strings = [text for text in strings if not text.startswith((" ", "▁")) and not any(s in text for s in special)]
    assert_same_ids(back, there, strings[:number])


def test_gemmas_pieces_rank_as_they_stand(families):
    metadata = metadata_of(families["gemma"])
    spaces = metadata["tokenizer.ggml.tokens"].index("   ")
    assert metadata["tokenizer.ggml.token_type"][spaces] == 4
    as_files_have_it = [-1000.0 if kind == 4 else score for kind, score in _kinds(metadata)]
    foreign = as_others_write_it(metadata) | {"tokenizer.ggml.scores": as_files_have_it}
    back = tokenizer_from_metadata(foreign | {"general.architecture": "gemma2"})
    for text in ("the  question of   slings", "    be"):
        assert back.encode(text) == families["gemma"].encode(text)


def _kinds(metadata):
    return zip(metadata["tokenizer.ggml.token_type"], metadata["tokenizer.ggml.scores"], strict=True)


def test_metadata_says_what_llama_cpp_asks(families):
    for family, name in NAMES.items():
        metadata = metadata_of(families[family])
        assert metadata["tokenizer.ggml.model"] == "gpt2"
        assert metadata["tokenizer.ggml.pre"] == name
    said = metadata_of(families["llama2"])
    assert said["tokenizer.ggml.model"] == "llama"
    assert said["tokenizer.ggml.tokens"][:4] == ["<unk>", "<s>", "</s>", "<0x00>"]
    assert said["tokenizer.ggml.token_type"][:4] == [2, 3, 3, 6]
    assert said["tokenizer.ggml.add_bos_token"] is said["tokenizer.ggml.add_space_prefix"] is True
    assert (said["tokenizer.ggml.bos_token_id"], said["tokenizer.ggml.unknown_token_id"]) == (1, 0)
    assert metadata_of(families["gemma"])["tokenizer.ggml.add_space_prefix"] is False
    qwen = metadata_of(families["qwen3"])
    assert qwen["tokenizer.ggml.add_bos_token"] is False
    types = dict(zip(qwen["tokenizer.ggml.tokens"], qwen["tokenizer.ggml.token_type"], strict=True))
    assert (types["<|im_end|>"], types["<think>"], types["Ġ"]) == (3, 4, 1)
    llama = metadata_of(families["llama3"])
    ends = {llama["tokenizer.ggml.eos_token_id"], llama["tokenizer.ggml.eot_token_id"]}
    assert {llama["tokenizer.ggml.tokens"][i] for i in ends} == {"<|end_of_text|>", "<|eot_id|>"}


def llama_cpp_pieces(metadata, text: str) -> list[int]:
    """llama.cpp's way with pieces, step by step: join the two neighbors whose joint piece has the best score."""
    tokens, scores = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.scores"]
    ids = {token: i for i, token in enumerate(tokens)}
    parts = list((" " * metadata["tokenizer.ggml.add_space_prefix"] + text).replace(" ", "▁")) if text else []
    while True:
        joint = [(scores[ids[a + b]], -i) for i, (a, b) in enumerate(zip(parts, parts[1:])) if a + b in ids]  # noqa: B905, RUF007
        if not joint:
            break
        i = -max(joint)[1]
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    found = []
    for part in parts:
        found += [ids[part]] if part in ids else [ids[f"<0x{byte:02X}>"] for byte in part.encode()]
    return found


@pytest.mark.parametrize("family", ["llama2", "gemma"])
def test_scores_join_pieces_as_merges_do(families, strings, family):
    metadata = metadata_of(families[family])
    users = {i for i, kind in enumerate(metadata["tokenizer.ggml.token_type"]) if kind == 4}
    spelled = [families[family].token_bytes(i).decode() for i in users]
    for text in strings[:500]:
        if not any(token in text for token in spelled):
            assert llama_cpp_pieces(metadata, text) == families[family].encode(text)


def test_ours_comes_back_as_ours(tokenizer, mixed_strings):
    metadata = metadata_of(tokenizer)
    assert metadata["tokenizer.ggml.add_bos_token"] is False
    assert "generation" not in metadata["tokenizer.chat_template"].replace("add_generation_prompt", "")
    back = tokenizer_from_metadata(metadata)
    assert isinstance(back, Tokenizer)
    assert (back.hash, back.chat_template, back.eos_token) == (
        tokenizer.hash,
        tokenizer.chat_template,
        tokenizer.eos_token,
    )
    other = tokenizer_from_metadata(as_others_write_it(metadata))
    for text in mixed_strings(500):
        assert back.encode(text) == tokenizer.encode(text)
        # Files that say no more than `qwen2` are taken as Qwen's, which composes characters first.
        assert other.encode(text) == tokenizer.encode(unicodedata.normalize("NFC", text))
    assert other.vocab_size == tokenizer.vocab_size
    assert other.end_ids == tokenizer.end_ids


def test_rows_that_fill_up_the_embedding_have_no_token(families):
    metadata = metadata_of(families["gpt2"])
    metadata["tokenizer.ggml.tokens"] += ["[PAD800]", "[PAD801]"]
    metadata["tokenizer.ggml.token_type"] += [5, 5]
    assert tokenizer_from_metadata(metadata).vocab_size == 800
    assert tokenizer_from_metadata(as_others_write_it(metadata)).vocab_size == 800


def test_no_two_rules_share_a_name():
    names = [name for rule in RULES for name in rule.names]
    assert len(names) == len(set(names))


def test_what_llama_cpp_cannot_run_is_refused(tmp_path):
    folder = write_tokenizer("llama3", tmp_path)
    path = folder / "tokenizer.json"
    spec = json.loads(path.read_text())

    def refused(match, **changes):
        path.write_text(json.dumps(spec | changes))
        with pytest.raises(UserError, match=match):
            metadata_of(ForeignTokenizer.load(folder))

    refused("no rule that cuts text", pre_tokenizer={"type": "Whitespace"})
    refused(
        "no rule that cuts text",
        model=spec["model"] | {"ignore_merges": False, "byte_fallback": False},
        pre_tokenizer={"type": "Digits", "individual_digits": True},
    )
    refused("no vocabulary like this", normalizer={"type": "Lowercase"})
    write_tokenizer("llama2", tmp_path)
    spec = json.loads(path.read_text())
    pieces = ["".join(merge) for merge in spec["model"]["merges"]]
    of_two = next(i for i, piece in enumerate(pieces) if pieces.count(piece) > 1)
    merges = spec["model"]["merges"][:of_two] + spec["model"]["merges"][of_two + 1 :]
    refused("merges do not follow from scores", model=spec["model"] | {"merges": merges})
    torn = [*merges, spec["model"]["merges"][of_two]]
    refused("merges do not follow from scores", model=spec["model"] | {"merges": torn})
    refused("no way to cut text", pre_tokenizer={"type": "Whitespace"})


def test_what_is_unknown_or_missing_in_metadata_is_named(families):
    metadata = as_others_write_it(metadata_of(families["gpt2"]))

    def refused(match, **changes):
        with pytest.raises(UserError, match=match):
            tokenizer_from_metadata(metadata | {key.replace("_", ".", 2): value for key, value in changes.items()})

    refused("vocabulary of kind 'rwkv'", tokenizer_ggml_model="rwkv")
    refused("rule 'viking', which is not supported", tokenizer_ggml_pre="viking")
    with pytest.raises(UserError, match=r"says no tokenizer\.ggml\.tokens"):
        tokenizer_from_metadata({"tokenizer.ggml.model": "gpt2"})
