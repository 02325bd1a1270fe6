import io
import sys

from evenhand.cli.terminal import bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_is_silent_where_nobody_looks(monkeypatch):
    for stream, quiet in ((io.StringIO(), False), (Terminal(), True)):
        monkeypatch.setattr(sys, "stderr", stream)
        with bar("fitting", 3, quiet) as progress:
            progress.update()
        assert stream.getvalue() == ""


def test_a_bar_on_a_terminal_says_what(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with bar("fitting", 3, False) as progress:
        progress.delay = 0
        progress.start_t -= 5
        progress.last_print_t -= 5
        progress.update(2)
    assert "fitting" in stream.getvalue()
