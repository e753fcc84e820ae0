import subprocess
import sys
import time

import pytest

from groundup.cli.app import COMMANDS, main
from tiny_project import GROUNDUP, call_groundup, run_groundup

NOT_FOR_HELP = ("torch", "numpy", "pyarrow", "tokenizers", "jinja2")


def test_help_is_there_at_once():
    start = time.perf_counter()
    found = run_groundup("--help")
    seconds = time.perf_counter() - start
    assert found.code == 0
    assert all(name in found.out for name in COMMANDS)
    assert seconds < 2, "half a second where nothing else runs"


def test_help_of_no_command_imports_what_is_heavy():
    code = (
        "import sys\nfrom groundup.cli.app import COMMANDS, main\n"
        "for words in (['--help'], ['--version'], *([name, '--help'] for name in COMMANDS)):\n"
        "    try: main(words)\n"
        "    except SystemExit as left: assert left.code == 0, words\n"
        f"    heavy = {set(NOT_FOR_HELP)} & set(sys.modules)\n"
        "    assert not heavy, (words, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["bulid", "x"], 'Unknown command "bulid". Did you mean "build"?'),
        (["show", "x", "--jsn"], 'Unknown option: "--jsn"'),
        (["build"], "requires an argument"),
        (["new", "x", "--data", "y", "--minutes", "soon"], 'Invalid value for --minutes: unable to convert "soon"'),
        (["show", "x", "y"], "Unused Tokens"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_words_that_are_not_understood_are_told_in_one_line(capsys, words, told):
    found = call_groundup(capsys, *words)
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("groundup: ") and found.err.count("\n") == 1
    assert told.lower().replace('"', "") in found.err.lower().replace('"', "").replace("'", "")
    as_json = call_groundup(capsys, *words, "--json")
    assert (as_json.code, set(as_json.json)) == (2, {"error", "hint"})


@pytest.mark.parametrize("command", ["show", "report", "generate", "chat", "show-mask"])
@pytest.mark.parametrize("kind", ["missing", "file", "other folder"])
def test_what_is_no_run_is_told_in_one_line(capsys, tmp_path, command, kind):
    folder = tmp_path / "there"
    if kind == "file":
        folder.write_text("")
    elif kind == "other folder":
        folder.mkdir()
    words = [command, folder, *(["--message", "hi"] if command == "chat" else [])]
    found = call_groundup(capsys, *words, "--json")
    assert found.code == 2
    assert found.json["error"].startswith(str(folder)) and found.json["hint"]
    assert found.err == f"groundup: {found.json['error']}; {found.json['hint']}\n"
    assert [path.name for path in tmp_path.rglob("*")] == ([] if kind == "missing" else ["there"])


def test_a_reader_that_goes_away_is_no_error(project):
    words = [GROUNDUP, "show", project[0] / "runs" / "tiny", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)


def test_an_error_of_groundup_itself_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("groundup.pipeline.lineage.describe_run", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["show", "x"])
