import os
import signal
import sys
import threading
import time

import pytest

from dunrestore.cli.interrupts import noting, stopping, was_noted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_insists(number, capsys):
    stop = threading.Event()
    before = signal.getsignal(number)
    with stopping(stop):
        os.kill(os.getpid(), number)
        assert stop.is_set()
        assert "once more to stop at once" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_other_threads_leave_signals_alone():
    before = signal.getsignal(signal.SIGINT)
    found = []

    def elsewhere():
        with stopping(threading.Event()):
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [before]


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Import a module with this text."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def do(text):
        (tmp_path / "slow_to_import.py").write_text(text)
        sys.modules.pop("slow_to_import", None)
        import slow_to_import

        return slow_to_import

    return do


INTERRUPTED = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\n"


@pytest.mark.skipif(sys.platform == "win32", reason="interrupts imports as ever")
def test_an_import_ends_before_an_interrupt_is_heard(imported):
    found = []

    def command():
        found.append(imported(INTERRUPTED + "time.sleep(0.2)\nwhole = True").whole)
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt), noting():
        command()
    assert found == [True]
    assert was_noted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(sys.platform == "win32", reason="interrupts imports as ever")
def test_who_insists_interrupts_an_import(imported):
    with pytest.raises(KeyboardInterrupt), noting():
        imported(INTERRUPTED + "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)")
    with noting():
        assert not was_noted(), "the next command was not interrupted"
