import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.core.errors import UserError
from groundup.tokenizer.tokenizer import Tokenizer

SPECIAL = st.sampled_from(["<|endoftext|>", "<|im_end|>", "<|im_start|>", "<|pad|>"])
TEXT = st.lists(st.one_of(st.text(), SPECIAL)).map("".join)


@given(text=TEXT)
def test_any_text_comes_back_and_yields_no_special_token(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(tokenizer.special_ids.values())
    assert all(0 <= token < tokenizer.vocab_size for token in ids)


@given(text=TEXT)
def test_any_text_comes_back_with_special_tokens_too(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text, allow_special=True)) == text


@given(data=st.binary())
def test_any_bytes_come_back(tokenizer, data):
    assert tokenizer.decode_bytes(tokenizer.encode_bytes(data)) == data


@given(text=TEXT)
def test_bytes_that_are_text_are_encoded_as_text(tokenizer, text):
    assert tokenizer.encode_bytes(text.encode()) == tokenizer.encode(text)


@given(data=st.data())
def test_a_stream_gives_what_decoding_at_once_gives(tokenizer, data):
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1)))
    for skip_special in (False, True):
        stream = tokenizer.stream(skip_special=skip_special)
        pieces = [stream.feed(token) for token in ids]
        assert "".join(pieces) + stream.finish() == tokenizer.decode(ids, skip_special=skip_special)


def test_a_stream_never_shows_half_a_character(tokenizer):
    stream = tokenizer.stream()
    ids = tokenizer.encode_bytes("🙂".encode()[:2]) + tokenizer.encode_bytes("🙂".encode()[2:])
    pieces = [stream.feed(token) for token in ids]
    assert len(ids) == 4 and pieces == ["", "", "", "🙂"]


def test_decoding_equals_the_plain_librarys(tokenizer, source, mixed_strings):
    from tokenizers import Tokenizer as Plain

    plain = Plain.from_str(source)
    for text in mixed_strings(300):
        ids = tokenizer.encode(text, allow_special=True)
        assert tokenizer.decode(ids, skip_special=True) == plain.decode(ids, skip_special_tokens=True)


def test_bulk_ids_are_those_of_single_texts(tokenizer, mixed_strings):
    texts = mixed_strings(200)
    ids, offsets = tokenizer.encode_bulk(texts)
    for i, text in enumerate(texts):
        assert ids[offsets[i] : offsets[i + 1]].tolist() == tokenizer.encode(text)


def test_saving_and_loading_changes_nothing(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    for plain in (False, True):
        loaded = Tokenizer.load(tmp_path, plain=plain)
        assert loaded.hash == tokenizer.hash
        assert loaded.source == tokenizer.source
        assert loaded.chat_template == tokenizer.chat_template
        assert loaded.engine_name == ("tokenizers" if plain else "fastokens")
        assert loaded.encode("Where is it?") == tokenizer.encode("Where is it?")


def test_the_folder_says_what_hugging_face_reads(tokenizer, tmp_path):
    tokenizer.save(tmp_path, eos_token="<|im_end|>")
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert config["eos_token"] == "<|im_end|>" and config["pad_token"] == "<|pad|>"
    assert config["chat_template"] == (tmp_path / "chat_template.jinja").read_text()
    assert config["added_tokens_decoder"][str(tokenizer.pad_id)]["special"] is True
    named = json.loads((tmp_path / "special_tokens_map.json").read_text())
    assert named["additional_special_tokens"] == ["<|endoftext|>", "<|im_start|>"]


def test_a_damaged_or_missing_folder_is_refused(tokenizer, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        Tokenizer.load(tmp_path)
    tokenizer.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text()[:-100])
    with pytest.raises(UserError, match="damaged"):
        Tokenizer.load(tmp_path)


def test_the_hash_follows_the_ids_and_not_the_chat_template(tokenizer, source):
    assert Tokenizer(source, chat_template="x").hash == tokenizer.hash
    spec = json.loads(source)
    assert Tokenizer(json.dumps(spec, indent=4, sort_keys=True)).hash == tokenizer.hash
    spec["model"]["merges"].pop()
    assert Tokenizer(json.dumps(spec)).hash != tokenizer.hash


def test_a_vocabulary_without_a_special_token_is_refused(source):
    spec = json.loads(source)
    spec["added_tokens"] = spec["added_tokens"][:-1]
    with pytest.raises(UserError, match=r"lacks the special token <\|im_end\|>"):
        Tokenizer(json.dumps(spec))


def test_a_vocabulary_that_is_not_byte_level_is_refused(source):
    spec = json.loads(source)
    del spec["model"]["vocab"]["Ġ"]
    with pytest.raises(UserError, match="lacks 1 of the 256 bytes"):
        Tokenizer(json.dumps(spec))


def test_an_id_outside_the_vocabulary_is_refused(tokenizer):
    for token in (-1, tokenizer.vocab_size):
        with pytest.raises(IndexError, match="not in the vocabulary"):
            tokenizer.token_bytes(token)
