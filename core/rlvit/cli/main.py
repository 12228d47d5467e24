"""The `rlvit` program: a lazy group, so that `--help` imports neither torch nor a database."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

from rlvit.errors import RlvitError, UsageProblem, suggestion

COMMANDS = {
    "run": ("rlvit.cli.run", "run", "Run a method on a task."),
    "resume": ("rlvit.cli.run", "resume", "Go on with an interrupted run."),
    "tune": ("rlvit.cli.tune", "tune", "Search for good settings with Optuna."),
    "matrix": ("rlvit.cli.matrix", "matrix", "Run a method with every combination of parts."),
    "runs": ("rlvit.cli.runs", "runs", "List, show, compare and annotate runs."),
    "registry": ("rlvit.cli.registry", "registry", "Query, upgrade, check the registry."),
    "report": ("rlvit.cli.report", "report", "Compare runs: tables, figures, one page."),
    "export": ("rlvit.cli.bundle", "export_command", "Write runs into one file."),
    "import": ("rlvit.cli.bundle", "import_command", "Take runs from such files."),
    "export-model": ("rlvit.cli.export", "export_model", "Write a trained model as plain files."),
    "baselines": ("rlvit.cli.baselines", "baselines", "Import scores to compare with."),
    "claims": ("rlvit.cli.claims", "claims", "Judge statements about the results."),
    "plan": ("rlvit.cli.claims", "plan", "Say how many seeds a claim needs."),
    "plugins": ("rlvit.cli.plugins", "plugins", "List, show, check and begin plugins."),
    "doctor": ("rlvit.cli.doctor", "doctor", "Look for what is wrong here, and mend it."),
    "completion": ("rlvit.cli.completion", "completion", "Complete rlvit's words in your shell."),
}


COMPLETE = "_RLVIT_COMPLETE"  # what a shell sets when it asks for completions


class ReaderGone(Exception):
    """Who read the output has gone, as in `rlvit runs list | head`; click would end with 1."""


class LazyGroup(click.Group):
    """Imports a command when it is used; plugins may add commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        return [*COMMANDS, *sorted(self._offered())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now; None if there is no such command."""
        if cmd_name in COMMANDS:
            module, attribute, _ = COMMANDS[cmd_name]
            command = getattr(importlib.import_module(module), attribute)
            assert isinstance(command, click.Command)
            return command
        return self._offered().get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the first argument, or suggest the nearest."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(
                f"unknown command {args[0]!r}.{suggestion(args[0], self.list_commands(ctx))}"
            )
        return super().resolve_command(ctx, args)

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """Read the command line, which may print help; raises ReaderGone where nobody reads on."""
        try:
            return super().make_context(*arguments, **more)
        except BrokenPipeError:
            raise ReaderGone from None

    def invoke(self, ctx: click.Context) -> Any:
        """Carry the command out; raises ReaderGone where nobody reads on."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderGone from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with one line each, importing only what plugins offer."""
        rows = [(name, summary) for name, (_, _, summary) in COMMANDS.items()]
        rows += [(n, c.get_short_help_str(80)) for n, c in sorted(self._offered().items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _offered(self) -> dict[str, click.Command]:
        """Return the commands that plugins offer; a broken plugin offers none."""
        from rlvit.manager import create_plugin_manager, refuse_if_strict

        plugins = create_plugin_manager()
        offered: dict[str, click.Command] = {}
        for info in plugins.active:
            try:
                answers = plugins.ask(info.name, "rlvit_commands")
                named = {command.name: command for commands in answers for command in commands}
            except (Exception, SystemExit) as problem:
                refuse_if_strict({info.name: f"{type(problem).__name__}: {problem}"})
                click.echo(f"plugin {info.name!r} is quarantined: {problem}", err=True)
                continue
            offered.update({n: c for n, c in named.items() if n and n not in COMMANDS})
        return offered


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="rlvit", prog_name="rlvit")
@click.option(
    "--home", metavar="DIR", help="Where registry.db, runs/ and reports/ are. [RLVIT_HOME]"
)
@click.option("--registry", metavar="URL", help="The registry's database. [RLVIT_REGISTRY]")
@click.pass_context
def cli(ctx: click.Context, home: str | None, registry: str | None) -> None:
    """Train policies that choose where a Vision Transformer looks, and remember every run."""
    from rlvit.home import Home

    ctx.obj = Home.locate(home, registry)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program; a user's mistake ends in one clear line.

    Exit codes: 0 ok, 1 failed, 2 usage, 3 a comparison or claim refused, 130 Ctrl-C.
    """
    sys.exit(invoke(arguments))


def _refuse_unreadable(arguments: Sequence[str]) -> None:
    """Refuse bytes that are no text: neither JSON nor a database could hold them."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UsageProblem(f"{argument!a} is not UTF-8 text.") from None


def _hoist(words: list[str]) -> list[str]:
    """Move `--home` and `--registry` in front of the command, where they may be given too.

    Raises:
        UsageProblem: one is the last word.
    """
    front: list[str] = []
    rest: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
            return [*front, *rest, word, *words]
        if word in ("--home", "--registry"):
            if not words:
                raise UsageProblem(f"{word} needs a value.")
            front += [word, words.pop(0)]
        elif word.startswith(("--home=", "--registry=")):
            front.append(word)
        else:
            rest.append(word)
    return [*front, *rest]


def invoke(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    if COMPLETE in os.environ:  # a shell asks what may follow
        from rlvit.cli.completion import answer

        return answer(cli)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _refuse_unreadable(words)
        words = _hoist(words)
        outcome = cli.main(words, prog_name="rlvit", standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except click.UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # `rlvit runs`: not before click 8.2
            click.echo(error.format_message(), err=True)
            return 2
        command = error.ctx.command_path if error.ctx else _command_path(words)
        click.echo(f"Error: {error.format_message()} (see {command} --help)", err=True)
        return 2
    except click.ClickException as error:
        click.echo(f"Error: {error.format_message()}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as stop:
        if isinstance(stop.__context__, EOFError) and not sys.stdin.isatty():
            click.echo("Error: nobody was there to answer: --yes does not ask.", err=True)
            return 2
        click.echo("Stopped.", err=True)
        return 130
    except RlvitError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except (ReaderGone, BrokenPipeError):
        # Else Python would write to the closed pipe once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        # A disk or a database that fails is not a fault of the program: no traceback for those.
        click.echo(f"Error: {_of_the_machine(error)[:300]}", err=True)
        return 1


def _of_the_machine(error: Exception) -> str:
    """Say what a disk or a database did in one line; raises the error if it is another."""
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        return f"{error.filename}: {reason}" if error.filename else reason
    if not type(error).__module__.startswith("sqlalchemy"):
        raise error
    from sqlalchemy.exc import DatabaseError

    from rlvit.registry.database import in_plain_words

    if isinstance(error, DatabaseError):
        return in_plain_words(error)
    return str(error).partition("\n")[0]


def _command_path(words: Sequence[str]) -> str:
    """Return the command that words begin with, such as `rlvit runs list`."""
    command: click.Command = cli
    context, path, left = click.Context(cli), ["rlvit"], list(words)
    while left and isinstance(command, click.Group):
        word = left.pop(0)
        if word in ("--home", "--registry"):
            del left[:1]
        elif (found := command.get_command(context, word)) is not None:
            command, path = found, [*path, word]
    return " ".join(path)
