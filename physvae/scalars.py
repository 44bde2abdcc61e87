"""The log of a training as an event file for TensorBoard, beside log.csv, for who asks for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from physvae.errors import UsageError


@contextmanager
def scalars(folder: Path, step: int, *, wanted: bool) -> Iterator[Callable[[int, dict], None]]:
    """Lend what takes (step, row of the log), each number a scalar of its name.

    Parameters
    ----------
    folder : Path
        Where the events go.
    step : int
        Steps that are done; events of later ones, from before a kill, are hidden.
    wanted : bool
        Else nothing is written.

    Raises
    ------
    UsageError
        Without the package tensorboardX.
    """
    if not wanted:
        yield lambda step, row: None
        return
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UsageError(
            '--tensorboard: expected tensorboardX (pip install "physvae[train]"), found none'
        ) from None
    with SummaryWriter(str(folder), purge_step=step + 1) as writer:

        def write(step: int, row: dict) -> None:
            for name, value in row.items():
                if name != "step":
                    writer.add_scalar(name, value, step)

        yield write
