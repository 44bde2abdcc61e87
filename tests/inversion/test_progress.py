"""The bar counts what the model was given, then what is written."""

import pytest
import torch

from inversion.progress import Watched, progress


def test_a_watched_model_is_the_model_and_tells(stand_in):
    told = []
    watched = Watched(stand_in, told.append)
    assert watched.bands == stand_in.bands
    estimate = watched.estimate(torch.full((5, 10), 0.2), torch.zeros(5, 3), ("lai",))
    assert estimate.mean["lai"].shape == (5,)
    assert told == [5]


def test_a_stopped_model_ends_whoever_asks_for_anything(stand_in):
    """An iterative method asks for the decoder at every step, so it ends within one."""
    watched = Watched(stand_in, lambda pixels: None)
    watched.stop()
    with pytest.raises(InterruptedError, match="interrupted"):
        watched.estimate(torch.full((5, 10), 0.2), torch.zeros(5, 3), ("lai",))
    with pytest.raises(InterruptedError, match="interrupted"):
        _ = watched.bands


def test_portions_set_the_bar_right():
    with progress(100) as bar:
        bar.advance(30)
        bar.reached(50)
        assert bar._shown.tasks[0].completed == 50
        bar.advance(10)
        bar.reached(50)
        assert bar._shown.tasks[0].completed == 100
        assert bar._shown.finished
