"""The commands, each imported when it is used: `--help` imports neither torch nor a database."""

from __future__ import annotations

import importlib
from typing import Any

import click

from rlvit.errors import UsageProblem, suggestion

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


class ReaderGone(Exception):
    """Who read the output has gone, as in `rlvit runs list | head`; click would end with 1."""


class LazyGroup(click.Group):
    """Imports a command when it is used; plugins may add commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        return [*COMMANDS, *sorted(self.offered())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now; None if there is no such command."""
        if cmd_name in COMMANDS:
            module, attribute, _ = COMMANDS[cmd_name]
            command = getattr(importlib.import_module(module), attribute)
            assert isinstance(command, click.Command)
            return command
        return self.offered().get(cmd_name)

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
        rows += [(n, c.get_short_help_str(80)) for n, c in sorted(self.offered().items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def offered(self) -> dict[str, click.Command]:
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


def hoist(words: list[str]) -> list[str]:
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
