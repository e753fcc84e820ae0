"""Encoding a conversation as one text, in which nothing that a person said can be a special token."""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import tokenizers

from groundup.tokenizer.template import Segment


class RenamedSpecials:
    """A twin of a tokenizer whose special tokens have names that nobody can guess.

    What the template writes is renamed before encoding; what looks like a special token in a message is not, and
    is text. Everything else, such as where the library looks for words, is as if the text were encoded plainly.
    """

    def __init__(self, spec: Mapping[str, Any], special_ids: Mapping[str, int]) -> None:
        secret = f"\ue000{secrets.randbits(96):030d}"
        self._names = {token: f"{secret}{number:010d}\ue001" for token, number in special_ids.items()}
        longest_first = sorted(self._names, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._library = tokenizers.Tokenizer.from_str(json.dumps(self._rename(spec)))

    def encode_segments(self, segments: Sequence[Segment]) -> tuple[list[int], list[bool]]:
        """Ids (T) of the segments as one text, and which of them begin in a trained one (T)."""
        texts = [segment.text if segment.is_content else self._renamed(segment.text) for segment in segments]
        encoding = self._library.encode("".join(texts), add_special_tokens=False)
        trained = [segment.trained for segment, text in zip(segments, texts, strict=True) for _ in text]
        return encoding.ids, [bool(trained) and trained[min(start, len(trained) - 1)] for start, _ in encoding.offsets]

    def _renamed(self, text: str) -> str:
        return self._special.sub(lambda match: self._names[match[0]], text)

    def _rename(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        added = [
            token | {"content": self._names[token["content"]]} if token["special"] else token
            for token in spec["added_tokens"]
        ]
        model = dict(spec["model"])
        if isinstance(model["vocab"], dict):
            model["vocab"] = {self._names.get(token, token): number for token, number in model["vocab"].items()}
            if "merges" in model:
                model["merges"] = [merge for merge in model["merges"] if not self._makes_special(merge)]
            if model.get("unk_token") is not None:
                model["unk_token"] = self._names.get(model["unk_token"], model["unk_token"])
        else:
            model["vocab"] = [[self._names.get(piece, piece), score] for piece, score in model["vocab"]]
        return dict(spec) | {"added_tokens": added, "model": model, "post_processor": None}

    def _makes_special(self, merge: str | Sequence[str]) -> bool:
        parts = merge.split(" ") if isinstance(merge, str) else merge
        return any(token in self._names for token in ("".join(parts), *parts))
