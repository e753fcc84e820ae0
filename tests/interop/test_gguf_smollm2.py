"""A real model of somebody else, as its file is found: SmolLM2-135M-Instruct in Q4_1, its embeddings in Q8_0."""

import subprocess
import sys

import pytest
import torch
from gguf_models import QUIET

from groundup.interop.gguf import load_gguf, save_gguf
from smollm2 import unpack_smollm2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return unpack_smollm2(tmp_path_factory.mktemp("smollm2"))


@pytest.fixture(scope="module")
def smollm2(path):
    return load_gguf(path, QUIET)


def greedy(loaded, prompt, steps):
    ids = loaded.tokenizer.encode_prompt(prompt)
    with torch.inference_mode():
        for _ in range(steps):
            ids.append(int(loaded.model(torch.tensor([ids]))[0, -1].argmax()))
    return ids


def test_smollm2_knows_the_capital_of_france(smollm2):
    assert (smollm2.family, smollm2.dtype) == ("llama", "Q4_1")
    assert sum(parameter.numel() for parameter in smollm2.model.parameters()) == 134_515_008
    ids = greedy(smollm2, "The capital of France is", 8)
    assert ids[:5] == [504, 3575, 282, 4649, 314]
    assert smollm2.tokenizer.decode(ids[5:]).startswith(" Paris.")


def test_smollm2_comes_back_from_a_file_of_ours(smollm2, tmp_path):
    save_gguf(smollm2.model, smollm2.tokenizer, tmp_path / "again.gguf", "f32", reporter=QUIET)
    again = load_gguf(tmp_path / "again.gguf", QUIET)
    for (name, own), other in zip(smollm2.model.named_parameters(), again.model.parameters(), strict=True):
        assert torch.equal(own, other), name
    assert again.model.config == smollm2.model.config
    text = "Zwölf Boxkämpfer, 1234 x\n\tdef f(): return '日本語' 👩\u200d👧 <|im_end|>"
    for allow_special in (False, True):
        expected = smollm2.tokenizer.encode(text, allow_special=allow_special)
        assert again.tokenizer.encode(text, allow_special=allow_special) == expected
    assert again.tokenizer.chat_template == smollm2.tokenizer.chat_template


def test_importing_takes_the_memory_of_the_model_and_one_tensor(path):
    """538 MB in fp32; the largest tensor, the embedding, is 113 MB, and is stored as 30 MB."""
    program = (
        "import resource, sys; from pathlib import Path; import torch; from groundup.core.progress import Reporter; "
        "from groundup.interop.gguf import load_gguf; from groundup.tokenizer.gguf import tokenizer_from_metadata; "
        "from groundup.interop.gguf.header import read_header; h = read_header(Path(sys.argv[1])); "
        "t = tokenizer_from_metadata(h.metadata); peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "before = peak(); load_gguf(Path(sys.argv[1]), Reporter(quiet=True)); print((peak() - before) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 900
