"""What a killed process left goes with the next one that writes the same; nothing else does."""

import os
import subprocess
import sys

import pytest

from physvae.io.artifacts import write_folder
from physvae.io.files import atomic, working_folder, write_atomically
from physvae.io.temporary_names import new_token, stepped_aside, temporary_name

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def of_a_dead_process() -> str:
    """A token as a process of this machine made it that is gone."""
    make = "from physvae.io.temporary_names import new_token; print(new_token())"
    done = subprocess.run([sys.executable, "-c", make], capture_output=True, check=True, text=True)
    return done.stdout.strip()


def folder_with(path, name: str) -> None:
    path.mkdir()
    (path / name).touch()


def test_a_killed_process_leaves_a_part_and_the_next_one_removes_it(tmp_path, killed):
    """A file, a folder that replaces a folder, the files of a model."""
    file, folder, model = tmp_path / "a.csv", tmp_path / "b.zarr", tmp_path / "model"
    folder_with(folder, "old")

    def replace_folder(name):
        with atomic(folder) as temporary:
            folder_with(temporary, name)

    killed(lambda _: write_atomically(file, b"one"))
    killed(lambda _: replace_folder("one"))
    killed(lambda _: write_folder(model, {}, {}))
    assert sum(".part" in name for name in names(tmp_path) + names(model)) == 3
    write_atomically(file, b"two")
    replace_folder("two")
    write_folder(model, {}, {})
    assert names(tmp_path) == ["a.csv", "b.zarr", "model"]
    assert names(folder) == ["two"]
    assert names(model) == ["config.json", "weights.safetensors"]


def test_a_folder_that_had_stepped_aside_is_put_back(tmp_path):
    """Killed between the two renames, a run leaves neither the old folder nor the new one."""
    final = tmp_path / "map.zarr"
    temporary = temporary_name(final, of_a_dead_process())
    folder_with(temporary, "half")
    folder_with(stepped_aside(temporary), "old")
    with pytest.raises(RuntimeError), atomic(final):
        raise RuntimeError
    assert names(tmp_path) == ["map.zarr"]
    assert names(final) == ["old"]


def test_parts_of_the_living_of_other_machines_and_of_other_names_stay(tmp_path):
    final, dead = tmp_path / "map-1.tif", of_a_dead_process()
    machine, process, began, _ = new_token().split("_")
    kept = [
        temporary_name(final, new_token()),
        temporary_name(final, f"{'0' * 8}_{dead.partition('_')[2]}"),
        temporary_name(tmp_path / "map.tif", dead),
        temporary_name(tmp_path / "map-1-2.tif", dead),
        tmp_path / ".map-1-notes.part.tif",
    ]
    gone = [
        temporary_name(final, dead),
        temporary_name(final, dead).with_suffix(".tif.aux.xml"),
        temporary_name(final, f"{machine}_{process}_{int(began) + 1}_0"),  # the number again
        temporary_name(final, f"{machine}_{10**30}_1_0"),
    ]
    for path in kept + gone:
        path.touch()
    write_atomically(final, b"")
    assert names(tmp_path) == sorted([final.name, *(path.name for path in kept)])


def test_a_working_folder_is_removed_also_after_a_kill(tmp_path, killed):
    final = tmp_path / "report"

    def work(stop):
        with working_folder(final) as folder:
            (folder / "page.html").touch()
            stop()

    killed(work)
    assert len(names(tmp_path)) == 1
    with working_folder(final) as folder:
        assert names(tmp_path) == [folder.name]
    assert names(tmp_path) == []


def test_a_child_that_is_not_waited_for_counts_as_dead(tmp_path):
    """A zombie writes nothing any more."""
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(told, new_token().encode())
        os._exit(0)
    os.close(told)
    with os.fdopen(ready) as end:
        temporary_name(tmp_path / "a.csv", end.read()).touch()
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    write_atomically(tmp_path / "a.csv", b"")
    assert names(tmp_path) == ["a.csv"]
    os.waitpid(child, 0)
