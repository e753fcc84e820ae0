"""Models of the Hugging Face Hub, by name."""

import re
from pathlib import Path

from groundup.core.errors import UserError
from groundup.core.progress import Reporter

# Weights in safetensors, configs, tokenizers and templates: nothing that could be code.
PATTERNS = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "tokenizer.model")
_HINT = "download it elsewhere, and give the folder"


def download_model(name: str, reporter: Reporter) -> Path:
    """The folder of `hf:ORG/NAME`, fetched unless it is there already.

    Raises UserError without the optional library, without the Hub, and where there is no such model.
    """
    if not re.fullmatch(r"hf:[\w.-]+/[\w.-]+", name):
        raise UserError(f"{name!r} is not of the form hf:ORG/NAME", "such as hf:HuggingFaceTB/SmolLM2-135M-Instruct")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise UserError(
            f"{name} needs the optional library huggingface_hub", "pip install 'groundup[hub]', or give a folder"
        ) from None
    reporter.say(f"fetching {name}")
    try:
        return Path(snapshot_download(name.removeprefix("hf:"), allow_patterns=list(PATTERNS)))
    except LocalEntryNotFoundError:
        raise UserError(f"{name} cannot be fetched: the Hub does not answer", _HINT) from None
    except (HfHubHTTPError, OSError) as error:
        told = str(error).strip().splitlines()
        raise UserError(f"{name} cannot be fetched: {told[0] if told else type(error).__name__}", _HINT) from None
