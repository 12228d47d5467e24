"""The `rlvit` program: its options, its exit codes, and what is said where something fails."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

import click

from rlvit.cli.group import LazyGroup, ReaderGone, hoist
from rlvit.errors import RlvitError, UsageProblem

COMPLETE = "_RLVIT_COMPLETE"  # what a shell sets when it asks for completions


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


def invoke(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    if COMPLETE in os.environ:  # a shell asks what may follow
        from rlvit.cli.completion import answer

        return answer(cli)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _refuse_unreadable(words)
        words = hoist(words)
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
