from groundup.core.progress import ProgressTask, Reporter, human_number, human_time


def test_numbers_and_times_are_short():
    assert [human_number(x) for x in (0, 12, 999, 1000, 5_869_568, 2.5)] == ["0", "12", "999", "1k", "5.87M", "2.5"]
    assert human_number(5_318_858, "B") == "5.32 MB"
    assert human_number(1_010, "steps") == "1.01k steps"
    assert [human_time(x) for x in (0.5, 42, 75, 3725)] == ["0.5s", "42s", "1m 15s", "1h 02m"]


def test_work_of_an_earlier_attempt_does_not_count_as_speed():
    task = ProgressTask("training", 100, "steps")
    task.skip(90)
    task.advance(1)
    assert task.done == 91
    assert task.line().startswith("training:  91%, 91 steps")


def test_talk_goes_to_stderr_only(capsys):
    reporter = Reporter()
    reporter.say("hello")
    reporter.warn("careful [not markup]")
    with reporter.task("work", 2, "B") as task:
        task.advance(2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hello" in captured.err
    assert "warning: careful [not markup]" in captured.err
