"""What we write, run by llama.cpp itself."""

import unicodedata

import pytest
import torch
from gguf_models import MODELS, QUIET, gguf_model
from run_llama_cpp import Request, install_llama_cpp, run_llama_cpp

from foreign_tokenizers import FAMILIES, write_tokenizer
from groundup.interop.gguf import load_gguf, quantized_copy, save_gguf
from groundup.model.build import build_model
from groundup.tokenizer.open import open_tokenizer
from smollm2 import unpack_smollm2
from taught_model import TEXT, small_tokenizer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PROMPT = [(7 * i) % 89 for i in range(24)]
# llama.cpp looks GELU up in a table of fp16 numbers; all else it computes in fp32, as we do.
CLOSE, CLOSE_WITH_GELU = 2e-5, 5e-3

TEXTS = [
    TEXT,
    "The capital of France is Paris; 3.14159 is not 22/7, nor is 1,000,000 a million and one.",
    "  two spaces,\ttabs\t\tand\n\n\nlines  \r\n at the end   ",
    "def f(x: int) -> list[str]:\n    return [f'{x!r}' for _ in range(10_000)]  # 日本語",
    "ÀÉÎõü ñ ß œ Ω я ж ש ع ह ก 한국어 漢字 ½ ① € “quoted” ‘it’s’ …",
    "😀👩\u200d👩\u200d👧🏳️\u200d🌈 1️⃣ ♥️",
    "don't I'LL we've THEY'RE 'tis 1234567890 0x7f -1e-9 x_1 +=== !!!",
    "a\u00a0b\u2003c\u3000d \u200b \ufeff \ue000 \ufffd \U0010fffd",
    " ",
    "word",
    "\n",
]


@pytest.fixture(scope="module")
def llama_cpp():
    return install_llama_cpp()


def test_llama_cpp_computes_the_logits_of_every_architecture(llama_cpp, tmp_path):
    models = {name: gguf_model(changes) for name, (_, changes) in MODELS.items()}
    requests = []
    for number, model in enumerate(models.values()):
        path = tmp_path / f"{number}.gguf"
        save_gguf(model, small_tokenizer(), path, "f32", reporter=QUIET)
        requests.append(Request(str(path), prompts=[PROMPT], logits=True))
    differences = {}
    for (name, model), answer in zip(models.items(), run_llama_cpp(llama_cpp, *requests), strict=True):
        with torch.inference_mode():
            own = model(torch.tensor([PROMPT]))[0]
        limit = CLOSE_WITH_GELU if "gelu" in model.config.feedforward or "geglu" in model.config.feedforward else CLOSE
        if (difference := (torch.tensor(answer["logits"][0]) - own).abs().max().item()) > limit:
            differences[name] = difference
    assert not differences


@pytest.mark.parametrize("kind", ["f16", "bf16", "q8_0", "q4_0"])
def test_llama_cpp_reads_every_kind_of_file(kind, llama_cpp, tmp_path):
    """It rounds activations as well as weights, so that its logits are as near to ours as rounding lets them."""
    model = gguf_model({})
    save_gguf(model, small_tokenizer(), tmp_path / "model.gguf", kind, reporter=QUIET)
    (answer,) = run_llama_cpp(llama_cpp, Request(str(tmp_path / "model.gguf"), prompts=[PROMPT], logits=True))
    with torch.inference_mode():
        own = quantized_copy(model, kind)(torch.tensor([PROMPT]))[0]
    drift = (torch.tensor(answer["logits"][0]) - own).std() / own.std()
    assert drift < {"f16": 1e-3, "bf16": 1e-2, "q8_0": 2e-2, "q4_0": 2e-2}[kind]


def test_llama_cpp_cuts_texts_as_we_do(llama_cpp, tmp_path):
    tokenizers = {"ours": small_tokenizer()}
    for family in FAMILIES:
        tokenizers[family] = open_tokenizer(write_tokenizer(family, tmp_path / family), QUIET)
    requests = []
    texts = [unicodedata.normalize("NFC", text) for text in TEXTS]  # which llama.cpp leaves to others
    for name, tokenizer in tokenizers.items():
        path = tmp_path / f"{name}.gguf"
        model = build_model(gguf_model({}).config, tokenizer.vocab_size)
        save_gguf(model, tokenizer, path, "f16", reporter=QUIET)
        requests.append(Request(str(path), texts=texts))
    differences = set()
    for (name, tokenizer), answer in zip(tokenizers.items(), run_llama_cpp(llama_cpp, *requests), strict=True):
        for text, found in zip(texts, answer["tokens"], strict=True):
            if found != tokenizer.encode(text):
                differences.add((name, text))
    # What llama.cpp does otherwise than these families' own tokenizers, and has no setting for: it puts a space
    # before every text (theirs: before one that begins with none), and finds runs of spaces that are added tokens.
    begins_with_space = {("mistral", text) for text in texts if text.startswith(" ")}
    has_run_of_spaces = {("gemma", text) for text in texts if "   " in text}
    assert differences == begins_with_space | has_run_of_spaces


PROMPTS = (
    "The capital of France is",
    "Once upon a time, there was a",
    "def fibonacci(n):\n",
    "1, 2, 3, 4,",
    "<|im_start|>user\nName three colors.<|im_end|>\n<|im_start|>assistant\n",
)


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    return load_gguf(unpack_smollm2(tmp_path_factory.mktemp("smollm2")), QUIET)


# How far below the best one of ours the logit of a token may be that llama.cpp prefers, since it rounds activations.
@pytest.mark.parametrize(("kind", "near"), [("f32", 1e-3), ("f16", 0.05), ("bf16", 0.5), ("q8_0", 0.5)])
def test_smollm2_writes_the_same_text_in_llama_cpp(kind, near, smollm2, llama_cpp, tmp_path):
    path = tmp_path / "smollm2.gguf"
    save_gguf(smollm2.model, smollm2.tokenizer, path, kind, reporter=QUIET)
    prompts = [smollm2.tokenizer.encode(prompt, allow_special=True) for prompt in PROMPTS]
    (answer,) = run_llama_cpp(llama_cpp, Request(str(path), texts=TEXTS, prompts=prompts, steps=24))
    assert answer["tokens"] == [smollm2.tokenizer.encode(text) for text in TEXTS]
    assert answer["pieces"][0].startswith(" Paris.")
    model = quantized_copy(smollm2.model, kind)
    equal = 0
    for prompt, chosen, piece in zip(prompts, answer["greedy"], answer["pieces"], strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + chosen]))[0, len(prompt) - 1 : -1]
        best, preferred = logits.max(-1), logits.gather(-1, torch.tensor(chosen)[:, None])[:, 0]
        assert (best.values - preferred).max() <= near, piece
        equal += (best.indices == torch.tensor(chosen)).sum().item()
    assert equal >= (120 if kind == "f32" else 114)
