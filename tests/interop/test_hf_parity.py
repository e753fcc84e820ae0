"""Models of transformers as ours, and ours as theirs: the same logits both ways."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from groundup.core.progress import Reporter
from groundup.generate.cache import new_cache
from groundup.interop.hugging_face.families import FAMILIES
from groundup.interop.hugging_face.load import load_hugging_face
from groundup.interop.hugging_face.save import save_hugging_face
from groundup.interop.loaded import Loaded
from hugging_face_models import MAIN, MORE, VOCABULARY, Made, save_model, theirs, transformers

TOLERANCE = 1e-4
_NAMES = [*MAIN, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
_QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module", params=_NAMES)
def made(request, tmp_path_factory) -> Made:
    return save_model(request.param, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def loaded(made) -> Loaded:
    return load_hugging_face(made.folder, _QUIET)


@pytest.fixture(scope="module")
def tokens() -> Tensor:
    return torch.randint(VOCABULARY, (2, 40), generator=torch.Generator().manual_seed(1))


def test_an_imported_model_gives_the_logits_of_transformers(made, loaded, tokens):
    wanted = theirs(made.model, tokens)
    assert wanted.std() > 0.3, "logits that are all alike prove nothing"
    with torch.inference_mode():
        assert _difference(loaded.model(tokens), wanted) < TOLERANCE


def test_token_by_token_it_gives_them_too(made, loaded, tokens):
    wanted = theirs(made.model, tokens)
    cache = new_cache(loaded.model.config, *tokens.shape, torch.device("cpu"), torch.float32)
    with torch.inference_mode():
        given = [loaded.model(tokens[:, :7], cache=cache)]
        given += [loaded.model(tokens[:, place : place + 1], cache=cache) for place in range(7, tokens.shape[1])]
    assert _difference(torch.cat(given, 1), wanted) < TOLERANCE


def test_documents_in_one_row_give_those_of_each_alone(made, loaded, tokens):
    wanted = torch.cat([theirs(made.model, part) for part in tokens.split((13, 27), 1)], 1)
    documents_BT = (torch.arange(40) >= 13).long().expand(2, -1)
    positions_BT = torch.cat((torch.arange(13), torch.arange(27))).expand(2, -1)
    with torch.inference_mode():
        given = loaded.model(tokens, positions_BT, documents_BT)
    assert _difference(given, wanted) < TOLERANCE


def test_an_exported_model_gives_its_logits_in_transformers(made, loaded, tokens, tmp_path):
    save_hugging_face(loaded.model, loaded.tokenizer, tmp_path / "out", dtype="fp32", reporter=_QUIET)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert model.dtype == torch.float32
    with torch.inference_mode():
        wanted = loaded.model(tokens)
    assert _difference(theirs(model, tokens), wanted) < TOLERANCE
    assert _difference(theirs(model, tokens), theirs(made.model, tokens)) < TOLERANCE
    is_tied = model.get_input_embeddings().weight.data_ptr() == model.lm_head.weight.data_ptr()
    assert is_tied == loaded.model.config.tie_embeddings


def test_an_export_of_an_import_has_the_tensors_of_the_original(made, loaded, tmp_path):
    save_hugging_face(loaded.model, loaded.tokenizer, tmp_path / "out", dtype="fp32", reporter=_QUIET)
    original, again = (load_file(folder / "model.safetensors") for folder in (made.folder, tmp_path / "out"))
    assert again.keys() == original.keys()
    assert max(_difference(again[name], original[name]) for name in original) < 1e-6


def test_a_config_that_was_read_and_written_says_the_same(made, tmp_path):
    """But for spelling: what transformers makes of ours is what it made of its own."""
    config = json.loads((made.folder / "config.json").read_text())
    family = FAMILIES[config["model_type"]]
    read = family.read(config)
    (tmp_path / "config.json").write_text(json.dumps(family.write(*read)))
    again = transformers.AutoConfig.from_pretrained(tmp_path).to_dict()
    assert family.read(again) == read


def _difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()
