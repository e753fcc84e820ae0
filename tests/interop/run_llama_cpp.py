"""llama.cpp for tests: node-llama-cpp with its prebuilt program, on the CPU."""

import json
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

VERSION = "3.22.1"
CACHE = Path("~/.cache/groundup/npm").expanduser()
SCRIPT = Path(__file__).parent / "llama_cpp" / "run.mjs"
PROGRAMS = {
    ("linux", "x86_64"): "linux-x64",
    ("linux", "aarch64"): "linux-arm64",
    ("darwin", "arm64"): "mac-arm64-metal",
    ("darwin", "x86_64"): "mac-x64",
}


@dataclass(frozen=True)
class Request:
    """See run.mjs."""

    model: str
    texts: list[str] = field(default_factory=list)
    prompts: list[list[int]] = field(default_factory=list)
    steps: int = 0
    logits: bool = False


def install_llama_cpp() -> Path:
    """The folder that has it; skips the test that asks where it cannot be installed."""
    folder = CACHE / f"node-llama-cpp@{VERSION}"
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("llama.cpp runs in Node, which is not installed (node and npm)")
    if (program := PROGRAMS.get((sys.platform, platform.machine()))) is None:
        pytest.skip(f"node-llama-cpp has no program for {sys.platform} on {platform.machine()}")
    if not folder.exists():
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        (partial / "package.json").write_text('{"private": true}\n')
        packages = (f"node-llama-cpp@{VERSION}", f"@node-llama-cpp/{program}@{VERSION}")
        options = ("--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund")
        done = subprocess.run(
            ["npm", "install", *options, *packages], check=False, cwd=partial, capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"node-llama-cpp cannot be installed: {done.stderr.strip().splitlines()[-1]}")
        partial.rename(folder)
    return folder


def run_llama_cpp(folder: Path, *requests: Request) -> list[dict]:
    """The answers of llama.cpp, one to each request."""
    done = subprocess.run(
        ["node", str(SCRIPT)],
        check=False,
        cwd=folder,
        input=json.dumps([asdict(request) for request in requests]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout, done.stderr[-2000:]
    return json.loads(done.stdout)
