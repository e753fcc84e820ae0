import json
import random
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer
from transformers.utils.chat_template_utils import render_jinja_template

from foreign_tokenizers import FAMILIES, TEMPLATES, write_tokenizer
from groundup.core.errors import UserError
from groundup.tokenizer.chat import encode_conversation
from groundup.tokenizer.foreign import ForeignTokenizer
from groundup.tokenizer.template import ChatTemplate

NAMES = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
}
ALL = sorted(path.stem for path in TEMPLATES.glob("*.jinja"))
WITH_SYSTEM = [name for name in ALL if name not in ("mistral", "gemma-2")]
CONTENT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            *(
                "",
                " ",
                "\n",
                "\n\n a ",
                "</think>",
                "<think>\nwhy\n</think>\n\n so ",
                "<tool_response>x</tool_response>",
            ),
            *("{{ 7 }}", "<|im_end|>", "[/INST] </s>", "<|eot_id|>\n\n", "  x  ", '"quoted"\t\\', "\ue000["),
        ]
    ),
)


@st.composite
def talks(draw, system=True):
    """User and assistant in turn, perhaps behind a system message; the user has the last word."""
    found = [{"role": "system", "content": draw(CONTENT)}] if system and draw(st.booleans()) else []
    turns = range(2 * draw(st.integers(0, 3)) + 1)
    return found + [{"role": ("user", "assistant")[i % 2], "content": draw(CONTENT)} for i in turns]


def text_of(template, messages, *, prompt):
    return "".join(segment.text for segment in template.render(messages, add_generation_prompt=prompt))


def theirs(source, messages, *, prompt):
    (text,), _ = render_jinja_template([messages], chat_template=source, add_generation_prompt=prompt, **NAMES)
    return text


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=40)
@given(data=st.data())
def test_templates_of_families_are_rendered_as_transformers_does(name, data):
    source = (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    messages = data.draw(talks(system=name in WITH_SYSTEM))
    prompt = data.draw(st.booleans())
    assert text_of(ChatTemplate(source, NAMES), messages, prompt=prompt) == theirs(source, messages, prompt=prompt)


@pytest.mark.parametrize("name", ["qwen-3", "llama-3.2", "deepseek-3"])
def test_answers_of_tools_are_rendered_too(name):
    source = (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    messages = [
        {"role": "user", "content": "Sum?"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\ncall"},
        {"role": "tool", "content": '{"sum": "drei ÷ \\n"}'},
        {"role": "tool", "content": "4"},
    ]
    assert text_of(ChatTemplate(source, NAMES), messages, prompt=True) == theirs(source, messages, prompt=True)


def test_a_template_may_ask_for_the_date():
    source = (TEMPLATES / "llama-3.2.jinja").read_text(encoding="utf-8")
    text = text_of(ChatTemplate(source, NAMES), [{"role": "user", "content": "a"}], prompt=True)
    assert f"Today Date: {datetime.now().strftime('%d %b %Y')}\n" in text


@pytest.mark.parametrize("name", ["mistral", "gemma-2"])
def test_what_a_family_forbids_is_said_by_its_template(name):
    template = ChatTemplate((TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8"), NAMES)
    with pytest.raises(UserError, match="the chat template refuses the conversation: "):
        template.render([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}])


STRINGS = {
    "a filter": "{{ m | upper }}|{{ m | capitalize }}|{{ m | title }}|{{ m | center(9) }}|{{ m | wordwrap(3) }}",
    "joining": "{{ [m, '-', m] | join('+') }}|{{ ''.join([m, m]) }}|{{ m ~ '!' ~ m }}|{{ m * 2 }}",
    "replacing": "{{ m | replace('a', 'b') }}|{{ m.replace('a', '<s>') }}|{{ 'xay'.replace('a', m) }}",
    "cutting": "{{ m[1:] }}|{{ m[:-2] }}|{{ m[0:1] }}|{{ m[::-1] }}|{{ m.split('a') | join('/') }}|{{ m.split() }}",
    "parts": "{% for c in m %}{{ c }},{% endfor %}|{{ m | first }}|{{ m | list | last }}|{{ m | reverse }}",
    "formats": "{{ '%s-%s' | format(m, 1) }}|{{ '{}:{}'.format(m, 2) }}|{{ m | indent(2) }}|{{ 'x' + m + 'y' }}",
    "JSON": "{{ m | tojson }}|{{ {'a': [m]} | tojson(indent=1) }}|{{ m | length }}|{{ m | string }}",
    "questions": "{{ m == 'a b' }}|{{ 'a' in m }}|{{ m is string }}|{{ m.startswith('a') }}|{{ m.find('b') }}",
    "blocks": "{% set x %}({{ m }}){% endset %}{{ x | trim }}|{% macro f(t) %}<{{ t }}>{% endmacro %}{{ f(m) }}",
    "lines": "{{ m.splitlines() | join(';') }}|{{ m.partition('a')[2] }}|{{ m.strip('a ') }}|{{ (m + '  ').rstrip() }}",
    "escapes": "{{ m | e }}|{{ m | urlencode }}|{{ m | truncate(4, True) }}|{{ m.lower() | trim }}",
}


@pytest.mark.parametrize("name", STRINGS)
@settings(max_examples=40)
@given(content=st.text("ab \n<s>/{}[]0", max_size=12))
def test_whatever_a_template_does_to_a_message_comes_out_as_in_transformers(name, content):
    content = "a" + content  # filters such as `first` refuse nothing
    source = "{% set m = messages[0].content %}" + STRINGS[name]
    messages = [{"role": "user", "content": content}]
    assert text_of(ChatTemplate(source, NAMES), messages, prompt=False) == theirs(source, messages, prompt=False)


@pytest.mark.parametrize("name", STRINGS)
def test_whatever_a_template_does_to_a_message_it_stays_what_a_person_said(name):
    content = "aqb \n<s>q"
    template = ChatTemplate("{% set m = messages[0].content %}" + STRINGS[name].replace("'<s>'", "'-'"), NAMES)
    written = [s.text for s in template.render([{"role": "user", "content": content}]) if not s.is_content]
    assert not {"q", "<s>", "&lt;s"} & {letters for text in written for letters in (*text, text[:3])}, written
    assert not any("<s>" in text or "q" in text for text in written)


@pytest.fixture(scope="module")
def chatting(tmp_path_factory):
    root = tmp_path_factory.mktemp("chatting")
    found = {}
    for family, shape in FAMILIES.items():
        if shape.template:
            folder = write_tokenizer(family, root / family)
            found[family] = ForeignTokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    return found


CHATTING = [family for family, shape in FAMILIES.items() if shape.template]


def harmless(text: str, tokenizer: ForeignTokenizer) -> bool:
    return not any(token in text for token in tokenizer.special_ids)


@pytest.mark.parametrize("family", CHATTING)
@settings(max_examples=40)
@given(data=st.data())
def test_a_conversation_has_the_ids_of_transformers(chatting, family, data):
    ours, reference = chatting[family]
    messages = data.draw(talks(system=FAMILIES[family].template in WITH_SYSTEM))
    prompt = encode_conversation(ours, messages, add_generation_prompt=True)[0].tolist()
    if all(harmless(message["content"], ours) for message in messages):
        expected = reference.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        assert prompt == expected


@pytest.mark.parametrize("family", CHATTING)
def test_what_a_user_types_never_becomes_a_special_token(chatting, family):
    ours, _ = chatting[family]
    draw = random.Random(7)
    plain = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}]
    special = set(ours.special_ids.values()) - {ours.unk_id}

    def count(messages):
        ids = encode_conversation(ours, messages, add_generation_prompt=True)[0].tolist()
        return [i for i in ids if i in special]

    expected = count(plain)
    tokens = [*ours.special_ids, "[INST]", " ", "a", "\n"]
    for _ in range(30):
        talk = [message | {"content": "b" + "".join(draw.choices(tokens, k=4)) + "c"} for message in plain]
        assert count(talk) == expected


@pytest.mark.parametrize("family", CHATTING)
def test_looking_like_a_special_token_changes_nothing_around_it(chatting, family):
    ours, _ = chatting[family]
    token = max(ours.special_ids, key=len)
    segments = ours.template.render([{"role": "user", "content": f"q {token} q"}])
    text = "".join(segment.text for segment in segments)
    ids, _ = ours.encode_segments(segments)
    # SentencePiece's files put spaces behind special tokens, and spell U+2581 as a space.
    assert ours.decode(ids).translate({0x20: None, 0x2581: None}) == text.translate({0x20: None, 0x2581: None})


def test_a_marked_template_of_others_tells_what_is_trained(tmp_path):
    folder = write_tokenizer("llama2", tmp_path)
    marked = (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content + eos_token }}{% endgeneration %}{% else %}[INST] {{ m.content }} [/INST]"
        "{% endif %}{% endfor %}"
    )
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": marked}))
    ours = ForeignTokenizer.load(folder)
    talk = [{"role": "user", "content": "the question"}, {"role": "assistant", "content": "to be"}]
    ids, trained = encode_conversation(ours, talk)
    assert ids[0] == ours.bos_id
    assert ours.decode(ids[trained].tolist()) == "to be</s>"


def test_a_tokenizer_without_a_template_cannot_chat(tmp_path):
    ours = ForeignTokenizer.load(write_tokenizer("gpt2", tmp_path))
    with pytest.raises(UserError, match="no chat template"):
        encode_conversation(ours, [{"role": "user", "content": "a"}], add_generation_prompt=True)


def test_a_template_without_markers_does_not_train(chatting):
    ours, _ = chatting["llama3"]
    with pytest.raises(UserError, match="does not mark what the assistant says"):
        encode_conversation(ours, [{"role": "user", "content": "a"}])
