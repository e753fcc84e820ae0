"""Law 10: every rejected document has a counted reason; totals reconcile."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.core.progress import Reporter
from groundup.data.config import DataConfig, Source
from groundup.data.documents import build_documents, iter_documents

GOOD = st.text(min_size=1, max_size=60).map(lambda text: "a text that is long enough " + text)
LINES = st.one_of(
    GOOD.map(lambda text: json.dumps({"text": text}).encode()),
    st.sampled_from(["", " ", "short", "the same text comes twice"]).map(
        lambda text: json.dumps({"text": text}).encode()
    ),
    st.sampled_from([b"{", b'{"body": "x"}', b'{"text": 1}', b'{"text": "\xff"}', b'{"text": "\\ud800"}', b"y" * 2000]),
)
FILES = st.one_of(
    GOOD.map(str.encode), st.sampled_from([b"", b"\n\n", b"a\0b", b"\xff\xff", b"z" * 3000, b"x\n" * 1500])
)


@settings(max_examples=40, deadline=None)
@given(lines=st.lists(LINES, max_size=12), files=st.lists(FILES, max_size=6))
def test_whatever_the_sources_hold_seen_is_kept_and_rejected(tmp_path_factory, lines: list[bytes], files: list[bytes]):
    folder = tmp_path_factory.mktemp("law10")
    (folder / "in").mkdir()
    (folder / "in/held.txt").write_text("what is held out for validation")
    (folder / "in/first.txt").write_text("what is always there to train on")
    (folder / "in/lines.jsonl").write_bytes(b"\n".join(lines))
    for i, content in enumerate(files):
        (folder / f"in/{i}.txt").write_bytes(content)
    config = DataConfig(
        sources=(Source(path=str(folder / "in")),),
        holdout=("held.txt",),
        on_broken="skip",
        max_rejected=1.0,
        max_document_bytes=1024,
    )
    facts = build_documents(config, folder / "out", folder, 0, Reporter(quiet=True))
    rejects = [json.loads(line) for line in (folder / "out/rejects.jsonl").read_bytes().splitlines()]
    kept = [d for split in ("train", "validation") for d in iter_documents(folder / "out", split)]
    for key, of_kept, of_rejects in (
        ("documents", len(kept), len(rejects)),
        ("bytes", sum(len(d.text.encode()) for d in kept), sum(reject["bytes"] for reject in rejects)),
    ):
        assert facts["seen"][key] == of_kept + of_rejects
        assert sum(split[key] for split in facts["splits"].values()) == of_kept
        assert sum(reason[key] for reason in facts["rejected"].values()) == of_rejects
    assert all(reject["reason"] and reject["detail"] and reject["name"] for reject in rejects)
    assert facts["seen"]["documents"] >= 2 + sum(bool(line.strip()) for line in lines) + len(files)
