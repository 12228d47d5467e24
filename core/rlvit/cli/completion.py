"""`rlvit completion`: the script that teaches a shell to complete `rlvit`, and its answers."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, ShellComplete, split_arg_string

from rlvit.errors import RlvitError, UsageProblem

if TYPE_CHECKING:
    from rlvit.contracts import Diagnosis

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_RLVIT_COMPLETE"
OURS = "completion of rlvit"  # in the second line of a script that we may replace

BASH = """\
# %(about)s

_rlvit_completion() {
    local IFS=$'\\n' type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case "$type" in
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        _RLVIT_COMPLETE=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F _rlvit_completion rlvit
"""

ZSH = """\
#compdef rlvit
# %(about)s

_rlvit() {
    local -a plain described response
    local type key descr
    (( ! $+commands[rlvit] )) && return 1
    response=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        _RLVIT_COMPLETE=zsh_complete rlvit 2>/dev/null)}")
    for type key descr in ${response}; do
        if [[ "$type" == "plain" ]]; then
            if [[ "$descr" == "_" ]]; then
                plain+=("$key")
            else
                described+=("$key:$descr")
            fi
        elif [[ "$type" == "dir" ]]; then
            compset -P '--*='
            _path_files -/
        elif [[ "$type" == "file" ]]; then
            compset -P '--*='
            _path_files -f
        fi
    done
    [[ -n "$described" ]] && _describe -V unsorted described -U
    [[ -n "$plain" ]] && compadd -U -V unsorted -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _rlvit "$@"
else
    compdef _rlvit rlvit
fi
"""

FISH = """\
# %(about)s

function _rlvit_completion
    set -l response (env _RLVIT_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) \\
        COMP_CWORD=(commandline -t) rlvit 2>/dev/null)
    for completion in $response
        set -l item (string split -m 1 "," $completion)
        switch $item[1]
            case dir
                __fish_complete_directories $item[2]
            case file
                __fish_complete_path $item[2]
            case plain
                echo $item[2]
        end
    end
end

complete --no-files --command rlvit --arguments "(_rlvit_completion)"
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
ABOUT = (
    "The completion of rlvit for {shell}. It goes to {place}: rlvit completion {shell} --install"
)


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.option("--install", is_flag=True, help="Write it to where the shell looks for it.")
def completion(shell: str | None, install: bool) -> None:
    """Print the script that teaches a SHELL to complete rlvit's words.

    Without --install it can be tried at once: eval "$(rlvit completion bash)", the same with zsh,
    and in fish: rlvit completion fish | source.
    """
    shell = shell or _own_shell()
    if shell is None:
        raise UsageProblem(f"say which shell: {', '.join(SHELLS)}.")
    if install:
        _install(shell)
    else:
        click.echo(_script(shell), nl=False)


def _script(shell: str) -> str:
    """Return a shell's script, which says in a comment where it goes."""
    about = ABOUT.format(shell=shell, place=_short(place(shell)))
    return SCRIPTS[shell] % {"about": about}


def _own_shell() -> str | None:
    """Return the user's shell, if it is one of ours."""
    name = Path(os.environ.get("SHELL", "")).name
    return name if name in SHELLS else None


def place(shell: str) -> Path:
    """Return the file in which a user's shell looks for the completion of `rlvit`."""
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    own = os.environ.get("BASH_COMPLETION_USER_DIR")
    folders = {
        "bash": (Path(own) if own else data / "bash-completion") / "completions",
        "zsh": Path(os.environ.get("ZDOTDIR") or home) / ".zfunc",
        "fish": config / "fish/completions",
    }
    names = {"bash": "rlvit", "zsh": "_rlvit", "fish": "rlvit.fish"}
    return folders[shell] / names[shell]


def _short(path: Path) -> str:
    """Return a path as users write it."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _install(shell: str) -> None:
    """Write a shell's script to its place; a file that is not ours stays.

    Raises:
        UsageProblem: another file is there.
        RlvitError: it cannot be written.
    """
    file, script = place(shell), _script(shell)
    click.echo(f"{file}")
    try:
        if file.exists() and OURS not in file.read_text(errors="replace")[:200]:
            raise UsageProblem(f"{file} is there and is not rlvit's: move it away first.")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(script)
    except OSError as problem:
        raise RlvitError(f"{file} cannot be written: {problem.strerror or problem}.") from None
    click.echo(AFTER[shell])


AFTER = {
    "bash": "It works in new shells that have the package bash-completion.",
    "zsh": (
        "It works in new shells where .zshrc has, before any compinit: "
        "fpath+=(${ZDOTDIR:-~}/.zfunc); autoload -Uz compinit; compinit"
    ),
    "fish": "It works in new shells.",
}


def diagnose() -> Iterator[Diagnosis]:
    """Yield whether the user's shell completes `rlvit`, and whether its script is today's."""
    from rlvit.contracts import Diagnosis

    shell = _own_shell()
    if shell is None:
        return
    file = place(shell)
    advice = f"rlvit completion {shell} --install"
    try:
        there = file.read_text(errors="replace")
    except OSError:
        yield Diagnosis("completion", "note", f"{shell} does not complete rlvit", advice)
        return
    if there == _script(shell):
        yield Diagnosis("completion", "ok", f"{shell}, by {file}")
    else:
        yield Diagnosis("completion", "note", f"{file} is of another version", advice)


def answer(cli: click.Command) -> int:
    """Tell a shell what may follow, from the variables that its script sets.

    Whatever goes wrong, nothing is written into the user's line but completions.
    """
    shell = os.environ.get(VARIABLE, "").partition("_")[0]
    text = ""
    quiet = io.StringIO()
    with (
        contextlib.suppress(Exception, SystemExit, KeyboardInterrupt),
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
    ):
        text = ANSWERS[shell](cli, {}, "rlvit", VARIABLE).complete()
    with contextlib.suppress(OSError):
        sys.stdout.buffer.write(f"{text}\n".encode(errors="replace") if text else b"")
        sys.stdout.flush()
    return 0


class Answer(ShellComplete):
    """Finds completions; each shell has its own way to ask and to be told."""

    before = ""  # part of the word under the cursor that the shell leaves as it is

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """Return what may follow, as whole words but for what the shell leaves as it is."""
        from rlvit.cli.complete import completions

        flag, equals, _ = incomplete.partition("=")
        joined = f"{flag}=" if equals and flag.startswith("--") else ""
        found = completions(self.cli, args, incomplete)
        for item in found:
            if item.type == "plain":
                item.value = self.spelled(f"{joined}{item.value}".removeprefix(self.before))
        return found

    def spelled(self, value: str) -> str:
        """Return a word as it is to be inserted."""
        return value

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the whole words before the cursor, and the one under it."""
        words = split_arg_string(os.environ["COMP_WORDS"])
        number = int(os.environ["COMP_CWORD"])
        return words[1:number], words[number] if number < len(words) else ""


class BashAnswer(Answer):
    """Bash takes words apart at `=` and `:`, and inserts what it is told as it is."""

    name = "bash"
    quoted = False

    def get_completion_args(self) -> tuple[list[str], str]:
        """Put together what belongs together."""
        number = int(os.environ["COMP_CWORD"])
        lines = os.environ["COMP_WORDS"].split("\n")
        self.quoted = number < len(lines) and lines[number][:1] in ("'", '"')
        args, under = super().get_completion_args()
        words = joined([*args, under])
        self.before = words[-1].removesuffix(under if under not in ("=", ":") else "")
        return words[:-1], words[-1]

    def spelled(self, value: str) -> str:
        """Quote what the shell would take apart, unless the user began a quote."""
        return value if self.quoted else shlex.quote(value)

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Write kind and word."""
        return f"{item.type},{item.value}"


def joined(words: list[str]) -> list[str]:
    """Put words together that bash took apart: `--home`, `=`, `x` is one, and so is `cuda`, `:`."""
    found: list[str] = []
    open_ended = False
    for word in words:
        bare = bool(found) and found[-1].startswith("--") and "=" not in found[-1]
        glue = bool(found) and (word == "=" if bare else word == ":")
        if glue or open_ended:
            found[-1] += word
            open_ended = glue
        else:
            found.append(word)
    return found


class ZshAnswer(Answer):
    """Zsh shows a description beside each word."""

    name = "zsh"

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Write kind, word and description in a line each; a colon would end the word."""
        about = " ".join((item.help or "_").split())
        value = item.value if about == "_" else item.value.replace(":", r"\:")
        return f"{item.type}\n{value}\n{about}"


class FishAnswer(Answer):
    """Fish shows a description beside each word."""

    name = "fish"

    def get_completion_args(self) -> tuple[list[str], str]:
        """Take the word under the cursor from the others, among which fish has it, too."""
        words = split_arg_string(os.environ["COMP_WORDS"])
        under = (split_arg_string(os.environ["COMP_CWORD"]) or [""])[0]
        return words[1 : -1 if under and words[-1] == under else None], under

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Write kind, word and description in one line."""
        about = " ".join((item.help or "").split())
        return f"{item.type},{item.value}" + (f"\t{about}" if about else "")


ANSWERS: dict[str, type[Answer]] = {"bash": BashAnswer, "zsh": ZshAnswer, "fish": FishAnswer}
