"""GGUF files, the format of llama.cpp, Ollama and LM Studio: import and export."""

from groundup.interop.gguf.load import load_gguf
from groundup.interop.gguf.quantized import quantized_copy
from groundup.interop.gguf.save import save_gguf

__all__ = ["load_gguf", "quantized_copy", "save_gguf"]
