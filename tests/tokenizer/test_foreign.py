import json
import random

import pytest
import tokenizers
from transformers import AutoTokenizer

from foreign_tokenizers import FAMILIES, write_tokenizer
from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.tokenizer.foreign import ForeignTokenizer
from groundup.tokenizer.open import open_tokenizer
from groundup.tokenizer.tokenizer import Tokenizer

NUMBER = 10_000
BYTE_LEVEL = ("gpt2", "smollm2", "llama3", "deepseek3")
TOKENS = sorted({token for shape in FAMILIES.values() for token in shape.roles.values() if token})
PHRASES = (
    *TOKENS,
    *("<|im_start|>", "<|eot_id|>", "[INST]", "[/INST]", "<think>", "</think>", "<start_of_turn>", "<0x0A>", "▁"),
    *("it's", "WE'LL", " the", "\n\n", "\n\n\n", "    ", "\t\t", "123456", "3.14", "<b>", "def f(x):\n    return x\n"),
)


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """Folder, our tokenizer and that of transformers of each family."""
    root = tmp_path_factory.mktemp("foreign")
    found = {}
    for family in FAMILIES:
        folder = write_tokenizer(family, root / family)
        found[family] = folder, ForeignTokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    return found


@pytest.fixture(scope="module")
def strings(mixed_strings) -> list[str]:
    """Mixed scripts, marks, emoji, controls, spaces, code, and what looks like special tokens."""
    draw = random.Random(1)
    mixed = mixed_strings(NUMBER, seed=11)
    return ["".join(draw.choice(PHRASES) if draw.random() < 0.1 else character for character in text) for text in mixed]


@pytest.mark.parametrize("number", [1000, pytest.param(NUMBER, marks=pytest.mark.slow)])
@pytest.mark.parametrize("family", FAMILIES)
def test_ids_are_those_of_transformers(families, strings, family, number):
    _, ours, theirs = families[family]
    strings = strings[:number]
    whole = theirs(strings, add_special_tokens=False)["input_ids"]
    assert [ours.encode(text, allow_special=True) for text in strings] == whole
    framed = theirs(strings, add_special_tokens=True)["input_ids"]
    assert [[*ours.prompt_prefix, *ids] for ids in whole] == framed
    plain = theirs(strings, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert [ours.encode(text) for text in strings] == plain
    ids, offsets = ours.encode_bulk(strings)
    assert [ids[offsets[i] : offsets[i + 1]].tolist() for i in range(number)] == plain


@pytest.mark.parametrize("family", FAMILIES)
def test_what_looks_like_a_special_token_is_text(families, strings, family):
    _, ours, _ = families[family]
    special = set(ours.special_ids.values()) - {ours.unk_id}
    for text in strings[:1000]:
        assert not special & set(ours.encode(text))


@pytest.mark.parametrize("family", FAMILIES)
def test_text_is_that_of_the_library_and_comes_back(families, strings, family):
    _, ours, theirs = families[family]
    for text in strings[:300]:
        ids = ours.encode(text, allow_special=True)
        for skip_special in (False, True):
            expected = theirs.decode(ids, skip_special_tokens=skip_special)
            assert ours.decode(ids, skip_special=skip_special) == expected
        if family in BYTE_LEVEL:
            assert ours.decode(ours.encode(text)) == text


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stream_gives_what_decoding_at_once_gives(families, family):
    _, ours, _ = families[family]
    draw = random.Random(5)
    spaces = [token for token in ours.ids() if ours.token_bytes(token).strip(b" ") == b""]
    for _ in range(150):
        ids = draw.choices(spaces, k=draw.randint(0, 2)) + draw.choices(ours.ids(), k=draw.randint(0, 12))
        for skip_special in (False, True):
            stream = ours.stream(skip_special=skip_special)
            pieces = [stream.feed(token) for token in ids]
            assert "".join(pieces) + stream.finish() == ours.decode(ids, skip_special=skip_special)
        behind = ours.stream(within=True)
        assert behind.feed(*ids) + behind.finish() == ours.decode_bytes(ids).decode("utf-8", "replace")


def test_the_space_before_a_text_is_taken_off_only_at_its_beginning(families):
    _, ours, _ = families["llama2"]
    ids = ours.encode("the  the")
    assert ours.decode_bytes(ids) == b" the  the"
    assert ours.decode(ids) == "the  the"
    assert ours.decode(ours.encode(" the")) == " the"
    stream = ours.stream(within=True)
    assert stream.feed(*ids) == " the  the"


def test_bytes_of_tokens_are_exact(families):
    for family, begin in (("llama2", 3), ("gemma", 13)):
        _, ours, _ = families[family]
        assert b"".join(map(ours.token_bytes, range(begin, begin + 256))) == bytes(range(256))
    _, ours, _ = families["deepseek3"]
    assert ours.decode([0]) == "<｜begin▁of▁sentence｜>"


@pytest.mark.parametrize("family", FAMILIES)
def test_roles_of_tokens_are_those_of_transformers(families, family):
    _, ours, theirs = families[family]
    assert (ours.bos_id, ours.eos_id, ours.pad_id) == (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id)
    assert ours.unk_id == theirs.unk_token_id
    assert ours.vocab_size == len(theirs)
    assert ours.banned_ids == frozenset()


def test_texts_end_with_what_the_generation_config_and_the_template_say(families):
    ends = {family: {ours.decode([i]) for i in ours.end_ids} for family, (_, ours, _) in families.items()}
    assert ends["llama3"] == {"<|end_of_text|>", "<|eot_id|>"}
    assert ends["qwen2"] == {"<|im_end|>", "<|endoftext|>"}
    assert ends["smollm2"] == {"<|im_end|>"}
    assert ends["llama2"] == {"</s>"}
    assert ends["gemma"] == {"<eos>", "<end_of_turn>"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_is_written_back_as_it_was(families, tmp_path, family):
    folder, ours, _ = families[family]
    ours.save(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert not (tmp_path / "generation_config.json").exists()
    assert ForeignTokenizer.load(tmp_path).hash == ours.hash


def change(folder, name, **entries):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_tokens_that_only_the_config_knows_get_the_next_ids(tmp_path):
    folder = write_tokenizer("llama2", tmp_path)
    more = {"content": "<tool>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    decoder = json.loads((folder / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    change(
        folder,
        "tokenizer_config.json",
        pad_token="[PAD]",
        additional_special_tokens=["<x>"],
        added_tokens_decoder=decoder | {"800": more | {"special": False}},
    )
    ours, theirs = ForeignTokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    assert ours.vocab_size == len(theirs) == 803
    for text in ("a <tool> b [PAD] c <x>", "<x><tool>"):
        assert ours.encode(text, allow_special=True) == theirs.encode(text, add_special_tokens=False)
    assert ours.pad_id == theirs.pad_token_id


def test_what_the_tokenizers_files_leave_out_the_models_files_say(tmp_path):
    folder = write_tokenizer("gpt2", tmp_path)
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1024}')
    (folder / "special_tokens_map.json").unlink()
    ours = ForeignTokenizer.load(folder)
    assert ours.bos_id == ours.eos_id == 799
    assert ours.end_ids == {799}
    assert ours.prompt_prefix == ()
    assert ours.encode_prompt("") == [799]
    (folder / "generation_config.json").unlink()
    (folder / "config.json").write_text('{"eos_token_id": 5, "bos_token_id": 6}')
    ours = ForeignTokenizer.load(folder)
    assert (ours.bos_id, ours.end_ids) == (6, {5})


def test_an_empty_prompt_needs_a_token_that_begins_a_text(families):
    _, ours, _ = families["qwen2"]
    with pytest.raises(UserError, match="no token that begins a text"):
        ours.encode_prompt("")


def test_what_stands_before_a_text_the_post_processor_decides_not_the_config(tmp_path):
    for family in ("llama3", "gpt2", "llama2"):
        folder = write_tokenizer(family, tmp_path / family)
        for add in (True, False):
            change(folder, "tokenizer_config.json", add_bos_token=add)
            ours, theirs = ForeignTokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
            assert [*ours.prompt_prefix, *ours.encode("a b")] == theirs.encode("a b")


@pytest.mark.parametrize(
    ("family", "name", "differs"),
    [("llama2", "LlamaTokenizer", [" the", "  a"]), ("smollm2", "GPT2Tokenizer", ["\n\n3", "a\n\n1"])],
)
def test_the_file_counts_where_transformers_builds_a_class_of_its_own(tmp_path, family, name, differs):
    folder = write_tokenizer(family, tmp_path)
    faithful = AutoTokenizer.from_pretrained(folder)
    change(folder, "tokenizer_config.json", tokenizer_class=name)
    ours, theirs = ForeignTokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    for text in ("the question", "to be, or not", *differs):
        assert ours.encode(text) == faithful.encode(text, add_special_tokens=False)
        assert (ours.encode(text) == theirs.encode(text, add_special_tokens=False)) == (text not in differs)


def test_named_templates_and_templates_in_files_are_found(tmp_path):
    folder = write_tokenizer("llama3", tmp_path)
    named = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d {{ bos_token }}"}]
    change(folder, "tokenizer_config.json", chat_template=named)
    assert ForeignTokenizer.load(folder).chat_template == "d {{ bos_token }}"
    (folder / "chat_template.jinja").write_text("file")
    ours = ForeignTokenizer.load(folder)
    assert ours.chat_template == "file"
    ours.save(tmp_path / "copy")
    assert (tmp_path / "copy" / "chat_template.jinja").read_text() == "file"


def test_ids_without_a_token_are_never_drawn(tmp_path):
    folder = write_tokenizer("smollm2", tmp_path)
    spec = json.loads((folder / "tokenizer.json").read_text())
    token, hole = next(item for item in spec["model"]["vocab"].items() if item[1] == 790)
    spec["model"]["merges"] = [pair for pair in spec["model"]["merges"] if token not in ("".join(pair), *pair)]
    del spec["model"]["vocab"][token]
    (folder / "tokenizer.json").write_text(json.dumps(spec))
    ours = ForeignTokenizer.load(folder)
    assert ours.banned_ids == {hole}
    assert ours.vocab_size == 800
    with pytest.raises(IndexError, match="not in the vocabulary"):
        ours.token_bytes(hole)


def test_a_folder_of_ours_opens_as_ours_and_others_as_theirs(tokenizer, families, tmp_path):
    tokenizer.save(tmp_path)
    opened = open_tokenizer(tmp_path, Reporter(quiet=True))
    assert isinstance(opened, Tokenizer) and opened.hash == tokenizer.hash
    for folder, _, _ in families.values():
        assert isinstance(open_tokenizer(folder, Reporter(quiet=True)), ForeignTokenizer)
    as_theirs = ForeignTokenizer.load(tmp_path)
    assert as_theirs.hash == tokenizer.hash
    assert as_theirs.end_ids == tokenizer.end_ids


def test_mistakes_are_named(tmp_path):
    def refused(match):
        with pytest.raises(UserError, match=match):
            ForeignTokenizer.load(tmp_path)

    refused("holds no tokenizer.json")
    write_tokenizer("gpt2", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    refused(r"tokenizer_config.json is not JSON")
    (tmp_path / "tokenizer_config.json").write_text("[]")
    refused(r"tokenizer_config.json holds no JSON object")
    (tmp_path / "tokenizer_config.json").write_text("{}")
    source = (tmp_path / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(source[:1000])
    refused(r"tokenizer.json is not a tokenizer")
    pieces = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    pieces.decoder = tokenizers.decoders.WordPiece()
    pieces.save(str(tmp_path / "tokenizer.json"))
    refused("decoder is not supported: WordPiece")
