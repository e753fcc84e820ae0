import torch

from groundup.core.device import Compute
from groundup.generate.sample import sample_text
from taught_model import TEXT


def test_a_sample_shows_the_prompt_and_what_follows(engine):
    compute = Compute(torch.device("cpu"), "bf16")
    before = torch.get_rng_state()
    sample = sample_text(engine.model, engine.tokenizer, engine.encode_prompt("the quick "), compute, 5)
    assert sample["prompt"] == "the quick "
    assert sample["text"] == TEXT[10:]
    assert torch.equal(before, torch.get_rng_state())
