import jinja2
import jinja2.sandbox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.core.errors import UserError
from groundup.tokenizer.chat import encode_conversation
from groundup.tokenizer.folder import CHATML
from groundup.tokenizer.template import ChatTemplate, without_markers
from groundup.tokenizer.tokenizer import Tokenizer

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Who are you?"},
    {"role": "assistant", "content": "A model."},
]
CONTENT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["<|im_end|>", "\n", "\n\n a ", "<|im_start|>assistant\n", "{{ 7 }}", "\ue000["]),
)
TURN = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool"]), "content": CONTENT})
CONVERSATION = st.lists(TURN, min_size=1, max_size=6)


def text_of(template, messages, **options):
    return "".join(segment.text for segment in template.render(messages, **options))


def test_chatml_reads_as_chatml():
    assert text_of(ChatTemplate(CHATML), TALK, add_generation_prompt=True) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWho are you?<|im_end|>\n"
        "<|im_start|>assistant\nA model.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@given(messages=CONVERSATION, prompt=st.booleans())
def test_engines_that_know_no_markers_render_the_same_text(messages, prompt):
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    plain = environment.from_string(without_markers(CHATML))
    expected = plain.render(messages=messages, add_generation_prompt=prompt)
    assert text_of(ChatTemplate(CHATML), messages, add_generation_prompt=prompt) == expected


@given(messages=CONVERSATION)
def test_a_message_never_yields_a_special_token_and_comes_back_as_it_is(tokenizer, messages):
    ids, _ = encode_conversation(tokenizer, messages)
    assert (ids == tokenizer.im_start_id).sum() == (ids == tokenizer.im_end_id).sum() == len(messages)
    assert tokenizer.decode(ids.tolist()) == text_of(ChatTemplate(CHATML), messages)


@given(messages=CONVERSATION)
def test_the_first_turns_are_a_prefix_of_the_conversation(tokenizer, messages):
    whole, _ = encode_conversation(tokenizer, messages)
    for k in range(1, len(messages)):
        opened = messages[k]["role"] == "assistant"
        part, _ = encode_conversation(tokenizer, messages[:k], add_generation_prompt=opened)
        assert part.tolist() == whole[: len(part)].tolist()


@given(messages=CONVERSATION)
def test_exactly_what_the_assistant_says_and_its_end_is_trained(tokenizer, messages):
    ids, trained = encode_conversation(tokenizer, messages)
    expected = []
    for message in messages:
        if message["role"] == "assistant":
            expected += [*tokenizer.encode(message["content"]), tokenizer.im_end_id]
    assert ids[trained].tolist() == expected


def test_a_template_may_strip_and_look_at_the_edges_of_a_message():
    template = ChatTemplate(
        "{% for m in messages %}{% if m.content.startswith(' ') and m.content %}"
        "{% generation %}[{{ m.content | trim }}|{{ m.content.rstrip() }}]{% endgeneration %}"
        "{% endif %}{% endfor %}"
    )
    messages = [{"role": "user", "content": " a "}, {"role": "user", "content": ""}]
    assert text_of(template, messages) == "[a| a]"


def test_a_template_without_markers_may_be_rendered_and_not_trained_on(source):
    unmarked = "{% for m in messages %}{{ m.content }}{% endfor %}"
    assert text_of(ChatTemplate(unmarked), TALK) == "Be brief.Who are you?A model."
    with pytest.raises(UserError, match="does not mark what the assistant says"):
        encode_conversation(Tokenizer(source, unmarked), TALK)


def test_a_template_that_is_not_jinja_is_refused_with_its_line():
    with pytest.raises(UserError, match="chat template, line 2"):
        ChatTemplate("{% generation %}\n{% for %}")


def test_what_a_template_complains_of_reaches_the_user():
    template = ChatTemplate("{% generation %}{{ raise_exception('roles must alternate') }}{% endgeneration %}")
    with pytest.raises(UserError, match="roles must alternate"):
        template.render(TALK)


def test_a_template_cannot_reach_out_of_its_sandbox():
    template = ChatTemplate("{% generation %}{{ messages.__class__.__mro__ }}{% endgeneration %}")
    with pytest.raises(UserError, match="unsafe"):
        template.render(TALK)


@pytest.mark.parametrize(
    ("messages", "match"),
    [
        ([], "at least one message"),
        ("hello", "at least one message"),
        ([{"role": "user"}], "message 0 has role"),
        ([TALK[1], "hello"], "message 1 has str"),
        ([{"role": "user", "content": "a", "name": "b"}], "message 0 has role, content, name"),
        ([{"role": "bot", "content": "a"}], "message 0 has role 'bot'"),
        ([TALK[1], {"role": "user", "content": None}], "content of message 1 is not text"),
        ([TALK[1], TALK[0]], "message 1 is a system message"),
    ],
)
def test_malformed_messages_are_refused_by_number(messages, match):
    with pytest.raises(UserError, match=match):
        ChatTemplate(CHATML).render(messages)
