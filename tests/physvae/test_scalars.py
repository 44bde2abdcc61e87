"""The log for TensorBoard holds what log.csv holds, read back by the format's own messages."""

import csv
import struct
import sys

import pytest

from physvae.__main__ import run
from physvae.errors import UsageError
from physvae.scalars import scalars

from .conftest import SMALL
from .test_train_cli import write


def events(folder):
    """(step, name, value) of the event files: records of length, checksum, message, checksum."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    for path in sorted(folder.glob("events.out.tfevents.*")):
        blob, place = path.read_bytes(), 0
        while place < len(blob):
            (size,) = struct.unpack_from("<Q", blob, place)
            event = event_pb2.Event.FromString(blob[place + 12 : place + 12 + size])
            place += size + 16
            for value in event.summary.value:
                yield event.step, value.tag, value.simple_value


def test_every_number_of_the_log_is_there(made_up, tmp_path):
    optimiser = SMALL["optimiser"] | {"patience": 9, "validation": 32}
    plan = write(tmp_path, SMALL | {"optimiser": optimiser})
    model = tmp_path / "model"
    asked = ["train", str(plan), "--data", str(made_up), "-o", str(model), "--tensorboard"]
    assert run(asked) == 0
    found = {(step, name): value for step, name, value in events(model)}
    with (model / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = [(int(r["step"]), k, float(v)) for r in rows for k, v in r.items() if v and k != "step"]
    assert len(told) == len(found) > 36
    assert sum(name == "validation" for _, name, _ in told) == 3
    for step, name, value in told:
        assert found[step, name] == pytest.approx(value, rel=1e-6)


def test_nothing_is_written_unasked(tmp_path):
    with scalars(tmp_path, 0, wanted=False) as report:
        report(1, {"step": 1, "loss": 2.0})
    assert not list(tmp_path.iterdir())


def test_without_the_package_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UsageError, match="pip install"), scalars(tmp_path, 0, wanted=True):
        pass
