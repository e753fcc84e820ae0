from groundup.train.metrics import MetricsLog, read_metrics


def test_records_come_back_and_odd_separators_do_not_cut_them(tmp_path):
    log = MetricsLog(tmp_path / "m.jsonl")
    records = [{"step": 1, "text": "a\u0085b\u2028c"}, {"step": 2, "loss": None}]
    log.append(records[0])
    log.append({"step": 2, "loss": float("nan")})
    assert read_metrics(log.path) == records


def test_going_back_forgets_what_came_after(tmp_path):
    log = MetricsLog(tmp_path / "m.jsonl")
    for step in range(1, 6):
        log.append({"step": step})
    log.rewind(3)
    log.append({"step": 4, "again": True})
    assert read_metrics(log.path) == [{"step": 1}, {"step": 2}, {"step": 3}, {"step": 4, "again": True}]


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "lo')
    log = MetricsLog(path)
    assert read_metrics(path) == [{"step": 1}]
    log.rewind(1)
    log.append({"step": 2})
    assert read_metrics(path) == [{"step": 1}, {"step": 2}]
