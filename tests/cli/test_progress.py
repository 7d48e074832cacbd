"""The progress bar of a restoration, as a terminal shows it."""

import io
import re

import pytest
from rich.console import Console

from dunrestore.cli import console
from dunrestore.cli.progress import RestoreProgress
from dunrestore.cli.train_progress import TrainingProgress
from dunrestore.restoration.observer import LOOKING, Advance
from dunrestore.training.observers import Step

PIXELS = 3_000_000


@pytest.fixture
def terminal(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(
        console, "messages", Console(file=shown, force_terminal=True, width=100, color_system=None)
    )
    return shown


def last_line(bar, terminal):
    bar._bar.refresh()
    return re.split(r"[\r\n]|\x1b\[[0-9;?]*[A-Za-z]", terminal.getvalue().rstrip())[-1]


def test_the_picture_the_tile_and_what_is_looked_at_are_shown(terminal):
    with RestoreProgress(2, enabled=True) as bar:
        bar.start_picture("wall.tif")
        bar.advance(Advance(0, 24, PIXELS, (0, 6)))
        assert "1/2 wall.tif" in (line := last_line(bar, terminal))
        assert "looking 0/6" in line
        bar.advance(Advance(0, 24, PIXELS, (3, 6)))
        assert "looking 3/6" in last_line(bar, terminal)
        bar.advance(Advance(0, 24, PIXELS, (6, 6)))
        assert "tile 0/24" in last_line(bar, terminal)
        bar.advance(Advance(5, 24, PIXELS, (6, 6)))
        assert "tile 5/24" in last_line(bar, terminal)
        bar.start_picture("roof.tif")
        bar.advance(Advance(0, 4, PIXELS))
        assert "2/2 roof.tif" in (line := last_line(bar, terminal))
        assert "tile 0/4" in line


def completed(bar):
    return bar._bar.tasks[0].completed


def test_the_bar_moves_while_a_picture_is_looked_at_and_fills_with_its_last_tile(terminal):
    with RestoreProgress(1, enabled=True) as bar:
        bar.start_picture("wall.tif")
        found = []
        for looked in range(5):
            bar.advance(Advance(0, 4, PIXELS, (looked, 4)))
            found.append(completed(bar))
        for done in range(1, 5):
            bar.advance(Advance(done, 4, PIXELS, (4, 4)))
            found.append(completed(bar))
    assert found == sorted(set(found))
    assert (found[0], found[4], found[-1]) == (0, LOOKING, 1)


def test_a_training_shows_its_steps_and_gives_the_cursor_back(terminal):
    bar = TrainingProgress(40, 3, bar=True, lines=False)
    bar.stepped(Step(4, 0.25, 1e-3, 1.0, 7.5))
    line = last_line(bar, terminal)
    assert "4/40" in line
    assert "loss 0.2500  7.5 images/s" in line
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert terminal.getvalue().count(hidden) - terminal.getvalue().count(shown) == 1
    bar.close()
    assert terminal.getvalue().count(hidden) == terminal.getvalue().count(shown)
