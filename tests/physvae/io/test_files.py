"""What is written appears whole or not at all, and nothing is left beside it."""

import pytest

from physvae.io.files import atomic, write_atomically


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_its_folder_is_made(tmp_path):
    path = tmp_path / "new" / "card.md"
    for content in (b"old", b"new"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert names(path.parent) == ["card.md"]


def write_half(path, error: type[BaseException]) -> None:
    with atomic(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "spectra.csv"
    path.write_text("old")
    with pytest.raises(error):
        write_half(path, error)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["spectra.csv"]


def test_a_folder_replaces_a_folder(tmp_path):
    path = tmp_path / "spectra.zarr"
    for inside in ("old", "new"):
        with atomic(path) as temporary:
            temporary.mkdir()
            (temporary / inside).touch()
    assert names(path) == ["new"]
    assert names(tmp_path) == ["spectra.zarr"]


def test_an_error_of_the_disk_names_the_file_that_was_asked_for(tmp_path):
    path = tmp_path / "absent" / "spectra.csv"
    with pytest.raises(OSError, match=r"spectra\.csv: cannot be written, No such file"):
        write_half(path, RuntimeError)
