import numpy as np

from groundup.tokenizer.chat import encode_conversation
from groundup.tokenizer.show_mask import mask_plain, mask_text

TALK = [{"role": "user", "content": "Hé?"}, {"role": "assistant", "content": "Ja 🙂 [bold]"}]


def test_what_is_trained_stands_in_brackets(tokenizer):
    ids, trained = encode_conversation(tokenizer, TALK)
    assert mask_plain(tokenizer, ids, trained) == (
        "<|im_start|>user\nHé?<|im_end|>\n<|im_start|>assistant\n⟦Ja 🙂 [bold]<|im_end|>⟧\n"
    )


def test_what_is_trained_is_colored_and_markup_in_a_text_is_left_alone(tokenizer):
    ids, trained = encode_conversation(tokenizer, TALK)
    text = mask_text(tokenizer, ids, trained)
    assert text.plain == tokenizer.decode(ids.tolist())
    colored = [text.plain[span.start : span.end] for span in text.spans if "green" in str(span.style)]
    assert colored == ["Ja 🙂 [bold]<|im_end|>"]


def test_no_tokens_are_no_text(tokenizer):
    assert mask_plain(tokenizer, np.array([], np.int32), np.array([], bool)) == ""
