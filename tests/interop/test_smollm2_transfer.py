"""SmolLM2 goes through all doors: from its GGUF file to a folder where transformers answers the same."""

import pytest

from groundup.core.progress import Reporter
from groundup.generate.config import SamplingConfig
from groundup.generate.engine import Engine
from groundup.interop.foreign import load_foreign
from groundup.interop.imported import load_imported
from groundup.interop.transfer import export_model, import_model
from groundup.tokenizer.chat import encode_conversation
from smollm2 import unpack_smollm2
from taught_model import CPU

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
QUIET = Reporter(quiet=True)
PROMPTS = ("The capital of France is", "Once upon a time", "def fibonacci(n):\n", "  1, 2, 3, 4,")
TALK = [{"role": "user", "content": "Name three colors. <|im_end|>"}]
NEW = 24


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smollm2")
    result = import_model(str(unpack_smollm2(folder)), folder / "imported", QUIET)
    assert (result.parameters, result.max_logit_diff) == (134_515_008, 0.0)
    return load_imported(folder / "imported")


@pytest.fixture(scope="module")
def exported(imported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "smollm2"
    result = export_model(imported.model, imported.tokenizer, folder, "hf", "fp32", QUIET)
    assert (result.family, result.max_logit_diff, result.rounding_logit_diff) == ("llama", 0.0, 0.0)
    return folder


def greedy(loaded, prompts):
    engine = Engine(loaded.model, loaded.tokenizer, CPU)
    found = engine.complete(prompts, SamplingConfig(temperature=0, max_new_tokens=NEW))
    return [completion.token_ids for completion in found]


def test_transformers_writes_the_same(imported, exported):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(exported), AutoTokenizer.from_pretrained(exported)
    talk = encode_conversation(imported.tokenizer, TALK, add_generation_prompt=True)[0].tolist()
    prompts = [imported.tokenizer.encode_prompt(text) for text in PROMPTS]
    assert prompts == [tokenizer(text).input_ids for text in PROMPTS]
    plain = [{"role": "user", "content": "Name three colors."}]
    rendered = tokenizer.apply_chat_template(plain, add_generation_prompt=True, return_dict=False)
    assert encode_conversation(imported.tokenizer, plain, add_generation_prompt=True)[0].tolist() == list(rendered)
    for prompt, ours in zip([*prompts, talk], greedy(imported, [*prompts, talk]), strict=True):
        out = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=NEW, pad_token_id=2)
        assert out[0, len(prompt) :].tolist() == ours
    assert tokenizer.decode(greedy(imported, prompts[:1])[0]).startswith(" Paris.")


def test_the_folder_comes_back(imported, exported):
    back = load_foreign(str(exported), QUIET)
    prompts = [back.tokenizer.encode_prompt(text) for text in PROMPTS]
    assert greedy(back, prompts) == greedy(imported, prompts)
