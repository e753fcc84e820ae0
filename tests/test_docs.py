"""The docs say what the code does: the page of keys is generated, commands parse, and what is named exists."""

import re
import runpy
import shlex
import tomllib
from pathlib import Path

import pytest

from groundup.cli.app import make_app
from groundup.model.config import ModelConfig
from groundup.model.preset import load_preset, resolve_preset
from groundup.pipeline.load import load_recipe

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
NAMED = re.compile(r"`((?:src|tests|tools|recipes|bench|docs)/[\w./-]+)`")
MAKE_TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
PARSED = ("groundup", "make")
OTHERS = ("git", "cd", "source", ".venv/bin/python", ".venv/bin/pytest", ".venv/bin/ruff")


def commands(page: Path) -> list[list[str]]:
    """Words of every line of the page's ```sh blocks, continued lines joined."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


ALL_COMMANDS = [(page.name, words) for page in PAGES for words in commands(page)]


PAGES_FROM_CODE = runpy.run_path(str(ROOT / "tools/write_docs.py"))["PAGES"]


@pytest.mark.parametrize("name", PAGES_FROM_CODE)
def test_a_page_that_is_made_from_the_code_says_what_the_code_says(name: str):
    page = PAGES_FROM_CODE[name]()
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == page, "run: python tools/write_docs.py"


STEPS = re.findall(
    r"<!-- from (\S+) to (\S+) -->\n```toml\n(.*?)```", (ROOT / "docs/models.md").read_text(encoding="utf-8"), re.DOTALL
)
NOT_SHOWN = {
    "n_layers",
    "d_model",
    "n_heads",
    "head_dim",
    "d_ff",
    "max_seq_len",
    "init",
    "init_std",
    "zero_init_output",
}


@pytest.mark.parametrize(("before", "after", "lines"), STEPS, ids=lambda value: value.partition("\n")[0])
def test_the_lines_between_two_models_turn_one_into_the_other(before: str, after: str, lines: str):
    wanted = load_preset(after)
    not_shown = {key: value for key, value in wanted.table.items() if key in NOT_SHOWN}
    left_out = re.findall(r"^# no (\w+)$", lines, re.MULTILINE)
    made = resolve_preset({"preset": before, **tomllib.loads(lines)})
    made = {key: value for key, value in made.items() if key not in {*left_out, *NOT_SHOWN}}
    assert ModelConfig.model_validate(made | not_shown) == wanted.config


def test_the_readme_shows_commands():
    assert {words[0] for page, words in ALL_COMMANDS if page == "README.md"} >= set(PARSED)


@pytest.mark.parametrize(("page", "words"), ALL_COMMANDS, ids=lambda value: str(value)[:60])
def test_a_command_in_the_docs_is_one_that_exists(page: str, words: list[str]):
    program, *arguments = words
    if program == "groundup":
        _, bound, unknown = make_app().parse_args(arguments, print_error=False, exit_on_error=False)[:3]
        assert not unknown
        recipe = bound.arguments.get("recipe")
        if recipe and (ROOT / recipe).exists():
            load_recipe(ROOT / recipe, bound.arguments.get("overrides", ()))
    elif program == "make":
        targets = [word for word in arguments if "=" not in word]
        assert targets and set(targets) <= set(MAKE_TARGETS)
    else:
        assert program in OTHERS, f"{page}: {program}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_or_names_exists(page: Path):
    text = page.read_text(encoding="utf-8")
    links = {target for target in LINK.findall(text) if "://" not in target}
    missing = [target for target in links if not (page.parent / target).exists()]
    missing += [path for path in NAMED.findall(text) if not (ROOT / path).exists()]
    assert not missing


def test_every_law_test_is_in_the_table_of_laws():
    table = (ROOT / "docs/how-it-works.md").read_text(encoding="utf-8")
    missing = [path.name for path in sorted((ROOT / "tests/laws").glob("test_*.py")) if path.name not in table]
    assert not missing
