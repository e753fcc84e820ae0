import os
import signal

import pytest

from groundup.core.interrupt import Interrupts, Stopped


def test_a_signal_stops_at_once_with_the_exit_code_of_its_kind():
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 0)):
        with Interrupts().installed(), pytest.raises(Stopped) as stopped:
            os.kill(os.getpid(), number)
        assert stopped.value.exit_code == code


def test_a_deferred_signal_waits_for_a_safe_point():
    with Interrupts().installed() as interrupts, pytest.raises(Stopped), interrupts.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.requested
        interrupts.check()


def test_a_second_signal_does_not_wait():
    with Interrupts().installed() as interrupts, pytest.raises(Stopped), interrupts.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("unreachable")


def test_the_handlers_of_before_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts().installed():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_nothing_that_catches_exceptions_swallows_a_stop():
    assert not issubclass(Stopped, Exception)
