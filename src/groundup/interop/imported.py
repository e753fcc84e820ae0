"""An imported folder: `config.json`, `model.safetensors` and the tokenizer's files, as a stage of a run has them, and
where they come from."""

from pathlib import Path

from groundup.core.files import read_json, write_json
from groundup.interop.loaded import Loaded
from groundup.model.store import load_model, save_model
from groundup.tokenizer.foreign import ForeignTokenizer

GENERATION = "generation_config.json"
"""Where a tokenizer looks for further ids that end a text."""
ORIGIN = "imported.json"
"""Where the model comes from; what tells an imported folder from others."""


def save_imported(loaded: Loaded, folder: Path) -> None:
    """Write the folder."""
    save_model(loaded.model, folder, loaded.tokenizer.hash)
    loaded.tokenizer.save(folder)
    write_json(folder / GENERATION, {"eos_token_id": sorted(loaded.tokenizer.end_ids)})
    write_json(folder / ORIGIN, {"source": loaded.source, "family": loaded.family, "dtype": loaded.dtype})


def load_imported(folder: Path) -> Loaded:
    """Read a folder that `save_imported` wrote. Raises UserError if it is damaged."""
    origin = read_json(folder / ORIGIN)
    tokenizer = ForeignTokenizer.load(folder)
    model = load_model(folder, tokenizer.hash)
    return Loaded(model, tokenizer, origin["family"], origin["dtype"], origin["source"])
