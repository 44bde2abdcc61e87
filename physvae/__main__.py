"""The command `physvae`: collects what the packages register; an error becomes one sentence.

Each sub-command is an entry point of the group ``physvae.commands``, so that a package can add one
without being imported from here. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 input refused,
4 partly done, 130 interrupted.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from itertools import takewhile
from typing import Annotated, Any, Protocol, runtime_checkable

import typer

from physvae.errors import InputError, PartialError, RunError, UsageError
from physvae.io.messages import LOG, QUIET, VERBOSE, plain_streams, set_level, told_on_stderr
from physvae.io.sentences import sentence
from physvae.io.versions import versions

GROUP = "physvae.commands"
INTERRUPTED = 130
EXIT_CODES: dict[type[BaseException], int] = {
    UsageError: 2,
    InputError: 3,
    PartialError: 4,
    typer.Abort: INTERRUPTED,
    KeyboardInterrupt: INTERRUPTED,
}
HELP = """Leaf and canopy traits from surface reflectance, each with its uncertainty.

For example: physvae retrieve field.csv -o estimates.csv

Every command has its own help: physvae retrieve --help
"""


@runtime_checkable
class Registered(Protocol):
    """An entry point: a name, and how to get at what it stands for."""

    @property
    def name(self) -> str:
        """Return the name of the sub-command."""
        ...

    def load(self) -> Any:
        """Import and return the function, or the application, behind the name."""
        ...


def build(commands: Iterable[Registered]) -> Any:
    """Make one command of the registered ones; one that cannot be loaded says so."""
    app = typer.Typer(
        help=HELP,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for point in sorted(commands, key=lambda point: point.name):
        _register(app, point)
    command = typer.main.get_command(app)
    _add(_verbosity_options(), command)
    return command


def run(arguments: Sequence[str], commands: Iterable[Registered] | None = None) -> int:
    """Run one command line, by default with the registered commands; return its exit code."""
    command = build(list(metadata.entry_points(group=GROUP)) if commands is None else commands)
    with plain_streams(), told_on_stderr():
        return _run(command, arguments)


def _run(command: Any, arguments: Sequence[str]) -> int:
    try:
        code = command(
            args=list(arguments) or ["--help"], prog_name="physvae", standalone_mode=False
        )
        if code == INTERRUPTED:  # typer turns Ctrl-C into this code and says nothing
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except SystemExit as done:  # typer ends so when it has printed or installed a completion
        return done.code if isinstance(done.code, int) else 1
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in takewhile(lambda text: text.startswith("-"), arguments):
            traceback.print_exception(error)
        print(f"error: {sentence(error)}", file=sys.stderr)
        return exit_code(error)


def main() -> None:
    """Run the command line of this process."""
    # Waiting threads that spin make a busy machine ten times slower; torch is not loaded yet.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(run(sys.argv[1:]))


def _terminated(number: int, frame: object) -> None:
    """End as after Ctrl-C where a scheduler stops the process: half files are removed."""
    raise KeyboardInterrupt


def _print_version(wanted: bool) -> bool:
    if wanted:
        print(f"physvae {metadata.version('physvae')}")
        raise typer.Exit()
    return wanted


Version = Annotated[
    bool,
    typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error arose.")]


def _be_quiet(wanted: bool) -> bool:
    if wanted:
        set_level(QUIET)
    return wanted


def _be_verbose(wanted: bool) -> bool:
    if wanted:
        set_level(VERBOSE)
        LOG.info("versions: %s", ", ".join(map(" ".join, versions().items())))
    return wanted


QUIET_HELP = "Print errors and results only: no notes, no progress."
VERBOSE_HELP = "Print details too: what was read where, versions, times."
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help=QUIET_HELP, callback=_be_quiet)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help=VERBOSE_HELP, callback=_be_verbose)]


def _verbosity(quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Hold the options that every command takes."""


def _verbosity_options() -> list[Any]:
    """The options -q and -v, which act by their callbacks and reach no function."""
    holder = typer.Typer(add_completion=False)
    holder.command()(_verbosity)
    options = typer.main.get_command(holder).params
    for option in options:
        option.expose_value = False
    return options


def _add(options: list[Any], command: Any) -> None:
    """Give options to a command and to all below it."""
    command.params += options
    for below in getattr(command, "commands", {}).values():
        _add(options, below)


def _options(version: Version = False, debug: Debug = False) -> None:
    """Hold the options that stand before the command."""


def _register(app: typer.Typer, point: Registered) -> None:
    try:
        command = point.load()
    except Exception as error:
        anything = {"ignore_unknown_options": True, "allow_extra_args": True}
        app.command(point.name, context_settings=anything)(_unavailable(point.name, error))
        return
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=point.name)
    else:
        app.command(point.name)(command)


def _unavailable(name: str, error: Exception) -> Callable[[], None]:
    """Stand in for a command that cannot be loaded, so that the others still work."""

    def command() -> None:
        raise RunError(f"{name}: cannot be loaded, {sentence(error)}") from error

    command.__doc__ = f"Not available: {sentence(error)}"
    return command


def exit_code(error: BaseException) -> int:
    """Return the exit code of an error."""
    known = next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), None)
    return getattr(error, "exit_code", 1) if known is None else known


if __name__ == "__main__":
    main()
