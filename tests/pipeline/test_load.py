import pytest

from groundup.core.errors import UserError
from groundup.pipeline.load import load_recipe, parse_overrides


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
