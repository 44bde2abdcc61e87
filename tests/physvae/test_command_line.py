"""What every command has: completion by the shell, and how much is told."""

import logging
import os
import pty
import re
import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from physvae.__main__ import GROUP, build, run
from physvae.cli_options import shipped_models
from physvae.errors import InputError
from physvae.io.messages import LOG, PACKAGES, say, timed
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
        ("physvae calibrate --model sentinel-2-", [n for n in models() if "-2-" in n]),
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


def work(fail: bool = False) -> None:
    """Tell everything that there is to tell."""
    print("result")
    say("came to 3", sys.stdout)
    say("half way")
    warnings.warn("of a library", RuntimeWarning, stacklevel=1)
    logging.getLogger("inversion.readers").warning("no band B5")
    with timed("reading"):
        LOG.info("scale 0.0001")
    if fail:
        raise InputError("field.csv: expected a column B4, got none")


class Point(NamedTuple):
    """An entry point: a function, or an application with commands."""

    name: str
    loaded: object = work

    def load(self):
        return self.loaded


@pytest.fixture
def told(capsys):
    """Run commands; gives the exit code, the lines of stdout, and those of stderr."""
    group = typer.Typer()
    group.command("one")(work)
    group.command("two")(work)

    def tell(*arguments: str) -> tuple[int, list[str], list[str]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            code = run(list(arguments), [Point("work"), Point("group", group)])
        out, err = capsys.readouterr()
        lines = [re.sub(r"\d\.\d\d s$", "N s", line) for line in err.splitlines()]
        return code, out.splitlines(), lines + [f"warning: {each.message}" for each in caught]

    return tell


ERROR = "error: field.csv: expected a column B4, got none"


def test_without_an_option_notes_and_progress_are_told(told):
    lines = ["half way", "note: no band B5", "warning: of a library"]
    assert told("work") == (0, ["result", "came to 3"], lines)


@pytest.mark.parametrize(
    "arguments",
    [("-q", "work"), ("work", "-q"), ("--quiet", "work", "-q"), ("group", "one", "--quiet")],
)
def test_quiet_leaves_results_and_errors(told, arguments):
    assert told(*arguments) == (0, ["result"], [])
    assert told(*arguments, "--fail") == (3, ["result"], [ERROR])


@pytest.mark.parametrize(
    "arguments",
    [("-v", "work"), ("work", "-v"), ("group", "--verbose", "two")],
)
def test_verbose_tells_details_versions_and_times(told, arguments):
    code, out, err = told(*arguments)
    assert (code, out) == (0, ["result", "came to 3"])
    assert err[0].startswith("versions: python 3.")
    assert f"physvae {metadata.version('physvae')}, torch 2." in err[0]
    details = ["half way", "note: no band B5", "scale 0.0001", "reading: N s"]
    assert err[1:-1] == details


@pytest.mark.parametrize(
    "arguments", [("-q", "work", "-v"), ("work", "-vq"), ("-q", "-v", "work")]
)
def test_quiet_and_verbose_together_mean_nothing(told, arguments):
    sentence = "error: --quiet and --verbose: expected one of them, got both"
    code, out, err = told(*arguments)
    assert (code, out, err[-1]) == (2, [], sentence)
    assert not [line for line in err[:-1] if not line.startswith("versions: ")]


def test_the_level_ends_with_the_command(told):
    before = [logging.getLogger(name).level for name in PACKAGES]
    told("work", "-q")
    assert [logging.getLogger(name).level for name in PACKAGES] == before
    assert "note: no band B5" in told("work")[2]


def test_every_command_takes_both():
    command = build(list(metadata.entry_points(group=GROUP)))
    assert len(command.commands) >= 7
    for each in (command, *command.commands.values()):
        options = [text for option in each.params for text in option.opts]
        assert {"-q", "--quiet", "-v", "--verbose"} <= set(options)
        assert len(options) == len(set(options))


def on_a_terminal(*options: str) -> str:
    """What a terminal is sent while a bar is drawn and a note with control characters comes."""
    code = (
        "import sys, physvae.__main__ as m\n"
        "from physvae.io.messages import LOG, progress_bar\n"
        "def work():\n"
        "    with progress_bar('{task.completed} of {task.total}') as bar:\n"
        "        task = bar.add_task('', total=3)\n"
        "        LOG.warning('a\\x1b[31mb')\n"
        "        print('c\\x1b[31md', file=sys.stderr)\n"
        "        bar.advance(task, 3)\n"
        "class Point:\n"
        "    name, load = 'work', lambda self: work\n"
        "m.run(sys.argv[1:], [Point()])\n"
    )
    ours, theirs = pty.openpty()
    words = [sys.executable, "-c", code, "work", *options]
    env = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(words, stderr=theirs, stdin=theirs, env=env) as process:
        os.close(theirs)
        sent = b""
        while part := _read(ours):
            sent += part
    os.close(ours)
    assert process.returncode == 0
    return sent.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other end is closed
        return b""


def test_a_bar_moves_the_cursor_and_a_text_cannot():
    sent = on_a_terminal()
    assert "\x1b[2K" in sent
    assert "3 of 3" in sent
    assert "note: a\\x1b[31mb\r\n" in sent
    assert "c\\x1b[31md\r\n" in sent
    assert "\x1b[31m" not in sent
    assert "\\x1b[2K" not in sent


def test_quiet_draws_no_bar():
    assert on_a_terminal("-q") == "c\\x1b[31md\r\n"
