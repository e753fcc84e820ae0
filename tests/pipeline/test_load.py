import json
from pathlib import Path

import pytest

from groundup.core.errors import UserError
from groundup.model.preset import load_preset
from groundup.pipeline.load import load_recipe, parse_overrides
from groundup.pipeline.recipe import Recipe


def mistakes(path, text):
    path.write_text(text)
    with pytest.raises(UserError) as error:
        load_recipe(path)
    return error.value.message.splitlines()


def test_every_mistake_is_told_at_once_with_its_place_and_the_nearest_key(tmp_path):
    path = tmp_path / "r.toml"
    told = mistakes(
        path,
        'name = "x"\n[data]\nsources = [{ path = "a", weigth = 2 }]\n[modle]\nn_layers = 2\n'
        '[pretrain]\nsteps = "ten"\nlr = -1.0\n',
    )
    assert told == [
        f"{path}:3:26: data.sources.0.weigth: unknown key; did you mean 'weight'?",
        f"{path}:4:2: modle: unknown key; did you mean 'model'?",
        f"{path}:7:1: pretrain.steps: input should be a valid integer, not 'ten'",
        f"{path}:8:1: pretrain.lr: input should be greater than 0, not -1.0",
    ]


def test_what_is_missing_is_told_at_its_table(tmp_path):
    path = tmp_path / "r.toml"
    told = mistakes(path, 'name = "x"\n\n[data]\n')
    assert told == [
        f"{path}:1:1: pretrain: is required and missing",
        f"{path}:3:2: data.sources: is required and missing",
    ]


def test_keys_that_do_not_fit_each_other_are_told(tmp_path):
    path = tmp_path / "r.toml"
    (told,) = mistakes(
        path,
        'name = "x"\n[[data.sources]]\npath = "a"\n[model]\nd_model = 100\nn_heads = 3\n[pretrain]\nsteps = 1\n',
    )
    assert told == f"{path}:4:2: model: d_model 100 is not a multiple of n_heads 3; set head_dim or change one"


def test_text_that_is_not_toml_is_told_with_its_line(tmp_path):
    (told,) = mistakes(tmp_path / "r.toml", 'name = "x"\nseed = = 3\n')
    assert "not valid TOML" in told
    assert "line 2" in told


def test_a_recipe_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_recipe(tmp_path / "none.toml")


def test_overrides_take_the_place_of_keys(recipe_path):
    words = ["--pretrain.lr", "3e-4", "--model.n_layers=4", "--pretrain.sample-prompt", "def "]
    recipe = load_recipe(recipe_path, words)
    assert (recipe.pretrain.lr, recipe.model.n_layers, recipe.pretrain.sample_prompt) == (3e-4, 4, "def ")


def test_a_budget_on_the_command_line_replaces_the_one_in_the_file(recipe_path):
    recipe = load_recipe(recipe_path, ["--pretrain.minutes", "2.5"])
    assert (recipe.pretrain.minutes, recipe.pretrain.steps) == (2.5, None)


def test_a_mistake_on_the_command_line_is_told_as_such(recipe_path):
    with pytest.raises(UserError) as error:
        load_recipe(recipe_path, ["--pretrain.rl", "3e-4"])
    assert error.value.message == "command line: --pretrain.rl: unknown key; did you mean 'lr'?"


@pytest.mark.parametrize("words", [["lr", "3"], ["--pretrain.lr"]])
def test_words_that_are_no_overrides_are_refused(words):
    with pytest.raises(UserError):
        parse_overrides(words)


def test_values_of_overrides_are_toml():
    found = parse_overrides(["--a.b", "[1, 2]", "--c=true", "--d", "free text", "--e-f", "-3"])
    assert found == {("a", "b"): [1, 2], ("c",): True, ("d",): "free text", ("e_f",): -3}


def test_paths_are_relative_to_the_recipe(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "r.toml"
    path.write_text(
        'name = "x"\n[[data.sources]]\npath = "text"\n[[data.sources]]\npath = "hf:org/name"\n[pretrain]\nsteps = 1\n'
    )
    monkeypatch.chdir(tmp_path)
    sources = load_recipe(path).data.sources
    assert [source.path for source in sources] == [str(tmp_path / "sub" / "text"), "hf:org/name"]
    assert load_recipe(path, ["--tokenizer.path", "t.json"]).tokenizer.path == str(tmp_path / "t.json")


SHAKESPEARE = Path(__file__).parents[2] / "recipes" / "shakespeare.toml"
REST = '\n[[data.sources]]\npath = "a"\n[pretrain]\nsteps = 1\n'


def test_a_model_may_be_given_by_the_name_of_a_preset(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('name = "x"\nmodel = "gpt2"' + REST)
    assert load_recipe(path).model == load_preset("gpt2").config
    assert load_recipe(path, ["--model.n_layers", "3"]).model.n_layers == 3


def test_keys_of_the_table_win_over_its_preset(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('name = "x"\n[model]\npreset = "mixtral-8x7b"\nn_layers = 2\nmoe.n_experts = 4' + REST)
    model = load_recipe(path).model
    assert (model.n_layers, model.d_model, model.moe.n_experts, model.moe.top_k) == (2, 4096, 4, 2)


def test_a_preset_on_the_command_line_takes_the_place_of_the_table():
    recipe = load_recipe(SHAKESPEARE, ["--model.n_layers", "3", "--model", "gpt2"])
    assert recipe.model == load_preset("gpt2").config.model_copy(update={"n_layers": 3})
    assert recipe.tokenizer == load_recipe(SHAKESPEARE).tokenizer


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_a_recurrent_preset_on_the_command_line_changes_nothing_else(kind):
    plain = load_recipe(SHAKESPEARE)
    assert load_recipe(SHAKESPEARE, ["--model", kind]) == plain.model_copy(
        update={"model": plain.model.model_copy(update={"kind": kind})}
    )


def test_what_is_kept_of_a_recipe_has_the_keys_of_its_preset(tmp_path):
    recipe = load_recipe(SHAKESPEARE, ["--model", "deepseek-v3"])
    kept = json.dumps(recipe.model_dump(mode="json"))
    assert '"kv_rank": 512' in kept and "deepseek" not in kept
    assert Recipe.model_validate_json(kept) == recipe


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ('model = "gpt-2"', "2:1: model.preset: no preset is called 'gpt-2'; did you mean 'gpt2'?"),
        ('[model]\npreset = "gpt-2"', "3:1: model.preset: no preset is called 'gpt-2'; did you mean 'gpt2'?"),
        ("[model]\npreset = 7", "3:1: model.preset: no preset is called 7"),
        ('[model]\nprest = "gpt2"', "3:1: model.prest: unknown key; did you mean 'preset'?"),
        ('[model]\npreset = "gpt2"\nn_layer = 3', "4:1: model.n_layer: unknown key; did you mean 'n_layers'?"),
        ('[model]\npreset = "gpt2"\nn_heads = 5', "2:2: model: d_model 768 is not a multiple of n_heads 5"),
    ],
)
def test_a_mistake_in_a_preset_or_beside_it_is_told_in_its_place(tmp_path, model, told):
    path = tmp_path / "r.toml"
    found = mistakes(path, f'name = "x"\n{model}{REST}')
    assert len(found) == 1 and found[0].startswith(f"{path}:{told}")


@pytest.mark.parametrize("words", [["--model", "gpt-2"], ["--model", "gpt-2", "--model.n_layers", "2"]])
def test_an_unknown_preset_on_the_command_line_is_told_as_such(words):
    with pytest.raises(UserError) as error:
        load_recipe(SHAKESPEARE, words)
    assert error.value.message == "command line: --model: no preset is called 'gpt-2'; did you mean 'gpt2'?"
