"""What every command has: completion by the shell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from physvae.__main__ import run
from physvae.cli_options import shipped_models
from physvae.store import models

COMMAND = Path(sys.executable).with_name("physvae")


def complete(words: str) -> list[str]:
    """What bash is offered behind these words, the last of which may be empty."""
    count = len(words.split(" ")) - 1
    asked = {"_PHYSVAE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    done = subprocess.run(
        [COMMAND], env=os.environ | asked, check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("physvae retr", ["retrieve"]),
        ("physvae retrieve --mo", ["--model"]),
        ("physvae retrieve in.csv --model ", models()),
        ("physvae validate in.csv --model land", ["landsat-8"]),
        ("physvae calibrate --model sentinel-2-", ["sentinel-2-broad"]),
    ],
)
def test_the_shell_completes_commands_options_and_models(words, offered):
    assert complete(words) == offered


def test_completion_does_not_load_what_computes():
    code = (
        "import sys, physvae.__main__ as m\n"
        "try: m.run([])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'xarray', 'numpy'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)\n"
    )
    asked = {"COMP_WORDS": "physvae retrieve --model ", "COMP_CWORD": "3"}
    env = os.environ | asked | {"_PHYSVAE_COMPLETE": "complete_bash"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == shipped_models()


def test_completion_is_installed_for_the_shell_of_the_user(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert run(["--show-completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert "complete -o default -F _physvae_completion physvae" in script
    assert run(["--install-completion", "bash"]) == 0
    written = tmp_path / ".bash_completions" / "physvae.sh"
    assert written.read_text().strip() == script.strip()
    assert str(written) in (tmp_path / ".bashrc").read_text()
