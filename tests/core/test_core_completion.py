"""Completion: what is offered where, in real shells too, and never a word of error."""

from __future__ import annotations

import os
import pty
import select
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from toy_program import Program, add_plugin

from rlvit.cli.completion import SHELLS, diagnose, joined, place
from rlvit.cli.main import invoke

Complete = Callable[..., list[str]]
LONG = ("run", "--plugin", "toy")


def _line(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else ""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, bare_site: Path, toy_site: Path) -> Path:
    """Return a home with a completed, an interrupted and an archived run; it is not changed."""
    program = Program(tmp_path_factory.mktemp("completion"), [bare_site, toy_site])
    for name in ("our first", "stopped", "hidden"):
        done = program.run("--steps", "3", "--name", name, "--tag", f"of={name}")
        assert done.code == 0, done.err
    with closing(sqlite3.connect(program.home / "registry.db")) as connection:
        connection.execute("UPDATE run SET state = 'interrupted' WHERE name = 'stopped'")
        connection.execute("UPDATE run SET archived = 1 WHERE name = 'hidden'")
        connection.execute(
            "INSERT INTO study VALUES ('toy-alpha-1234', 'toy-alpha', '1234', 'toy', 'Alpha', "
            "'brief', 'quick', '{}', '{}', '{}', '{}', '{}', 0, '{}', 20, '', 'x', 1.0)"
        )
        for number, state in ((0, "completed"), (1, "failed")):
            connection.execute(
                "INSERT INTO trial (study, number, state, params, reason, source, process, "
                "heartbeat_at, started_at) VALUES "
                f"('toy-alpha-1234', {number}, '{state}', '{{}}', '', '', '{{}}', 1.0, 1.0)"
            )
        connection.commit()
    return program.home


@pytest.fixture
def complete(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
    toy_alone: None,
) -> Complete:
    """Return a function: the words of a line, the last one begun, to what is offered."""
    monkeypatch.setenv("RLVIT_HOME", str(finished))
    monkeypatch.chdir(tmp_path)

    def ask(*words: str, shell: str = "bash") -> list[str]:
        between = "\n" if shell == "bash" else " "
        monkeypatch.setenv("_RLVIT_COMPLETE", f"{shell}_complete")
        monkeypatch.setenv("COMP_WORDS", between.join(["rlvit", *words]))
        under = words[-1] if shell == "fish" else str(len(words))
        monkeypatch.setenv("COMP_CWORD", under)
        assert invoke([]) == 0
        out, err = capsysbinary.readouterr()
        assert err == b""
        return out.decode().removesuffix("\n").split("\n") if out else []

    return ask


def plain(lines: list[str]) -> list[str]:
    assert all(line.startswith("plain,") for line in lines), lines
    return [line.removeprefix("plain,") for line in lines]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ru",), ["run", "runs"]),
        (("runs", "sh"), ["show"]),
        (("run", "--plu"), ["--plugin"]),
        (("run", "--plugin", ""), ["toy"]),
        (("run", "--plugin", "T"), ["toy"]),
        ((*LONG, "--puzzle", ""), ["Alpha", "Beta"]),
        ((*LONG, "--puzzle", "b"), ["Beta"]),
        ((*LONG, "--preset", "r"), ["recommended"]),
        ((*LONG, "--protocol", ""), ["official", "brief"]),
        ((*LONG, "--selector", ""), ["toy-pick", "toy-needy"]),
        ((*LONG, "--reward", "toy-h"), ["toy-half"]),
        ((*LONG, "--mode", ""), ["mean", "sum"]),
        ((*LONG, "--with"), []),  # aliases are hidden
        ((*LONG, "--log_e"), ["--log-every"]),
        ((*LONG, "--noi"), ["--noisy"]),
        ((*LONG, "--no-n"), ["--no-noisy"]),
        ((*LONG, "--device", "cu"), ["cuda", "cuda:0"]),
        (("tune", "--plug"), ["--plugin"]),
        (("tune", "--plugin", ""), ["toy"]),
        (("tune", "--plugin", "toy", "--space", "ra"), ["rate="]),
        (("tune", "--plugin", "toy", "--objective", "toy/s"), ["toy/speed", "toy/score"]),
        (("tune", "--sampler", "n"), ["nsga2"]),
        (("tune", "be"), ["best"]),
        (("matrix", "--plugin", "toy", "--puzzle", "Alpha,B"), ["Alpha,Beta"]),
        (("runs", "list", "--state", "r"), ["running"]),
        (("runs", "list", "--plugin", ""), ["toy"]),
        (("runs", "list", "--name", ""), ["hidden", "stopped", "'our first'"]),
        (("runs", "list", "--tag", ""), ["of"]),
        (("runs", "show", "our"), ["'our first'"]),
        (("runs", "show", "sto"), ["stopped"]),
        (("resume", ""), ["stopped", "latest"]),
        (("export-model", ""), ["'our first'", "latest"]),
        (("run", "--selector-from", ""), ["'our first'", "latest"]),
        ((*LONG, "--start-from", ""), ["'our first'", "latest"]),
        ((*LONG, "--begin-with", "our"), ["'our first'"]),
        (("plugins", "show", ""), ["toy"]),
        (("completion", "z"), ["zsh"]),
        (("report", "--format", "h"), ["html"]),
        (("nonsense", ""), []),
        (("run", "--plugin", "nobody", "--pres"), ["--preset"]),
        (("tune", "show", ""), ["toy-alpha-1234", "latest"]),
        (("tune", "resume", "to"), ["toy-alpha-1234"]),
        (("run", "--from-trial", ""), ["toy-alpha-1234:0"]),
        (("run", "--from-trial", "toy-alpha-1234", ":", ""), ["0"]),
    ],
    ids=_line,
)
def test_what_is_offered(complete: Complete, words: tuple[str, ...], offered: list[str]) -> None:
    assert plain(complete(*words)) == offered


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("--home", "/t"), "dir"),
        (("runs", "list", "--home", "/t"), "dir"),
        (("--registry", "x"), "file"),
        ((*LONG, "--data"), None),  # puzzles have no images
        (("report", "--out", ""), "dir"),
        (("baselines", "add", "sc"), "file"),
        (("claims", ""), "file"),
    ],
    ids=_line,
)
def test_files_are_left_to_the_shell(
    complete: Complete, words: tuple[str, ...], kind: str | None
) -> None:
    assert complete(*words) == ([] if kind is None else [f"{kind},{words[-1]}"])


def test_ids_and_their_ends_are_offered(complete: Complete, finished: Path) -> None:
    (run,) = [path.name for path in finished.glob("runs/toy-*")][:1]
    assert len(plain(complete("runs", "show", "toy-alpha-s0-"))) == 2  # the third is archived
    short = run.rpartition("-")[2]
    offered = [
        plain(complete("runs", "show", short[:6])),
        plain(complete("runs", "show", run[:-1])),
    ]
    assert offered in ([[short], [run]], [[], []])  # the latter if it is the archived one


def test_a_plain_tab_after_a_command_offers_its_options(complete: Complete) -> None:
    offered = plain(complete(*LONG, ""))
    assert {"--puzzle", "--rate", "--no-noisy", "--preset"} <= set(offered)


def test_bash_gets_what_stands_behind_its_breaks(complete: Complete) -> None:
    assert plain(complete(*LONG, "--preset", "=", "qu")) == ["quick"]
    assert plain(complete(*LONG, "--preset", "=")) == list(
        ("paper", "official-code", "recommended", "quick")
    )
    assert plain(complete(*LONG, "--device", "cuda", ":", "")) == ["0"]
    assert plain(complete("runs", "show", "'our f")) == ["our first"]  # the quote is there already


def test_bash_words_are_put_together() -> None:
    assert joined(["--home", "=", "/x", "run"]) == ["--home=/x", "run"]
    assert joined(["run", "--device", "cuda", ":", "0", "--dry-run"]) == [
        *("run", "--device", "cuda:0", "--dry-run")
    ]
    assert joined(["--from-trial", "=", "s", ":", ""]) == ["--from-trial=s:"]
    assert joined(["--home", "=", ""]) == ["--home="]
    assert joined(["--note", ":", "x"]) == ["--note", ":", "x"]
    assert joined(["run", ""]) == ["run", ""]


def test_zsh_and_fish_get_descriptions_and_whole_words(complete: Complete) -> None:
    assert complete(*LONG, "--preset", "qu", shell="zsh") == ["plain", "quick", "a look"]
    assert complete(*LONG, "--preset=qu", shell="zsh") == ["plain", "--preset=quick", "a look"]
    assert complete("--device", "x", shell="zsh") == []
    assert complete(*LONG, "--device", "cuda:", shell="zsh") == ["plain", "cuda:0", "_"]
    assert complete("resume", "sto", shell="fish")[0].startswith("plain,stopped\tinterrupted toy ")
    assert complete(*LONG, "--preset=qu", shell="fish") == ["plain,--preset=quick\ta look"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh", ""])
@pytest.mark.parametrize("number", ["1", "99", "-5", "many", ""])
def test_a_strange_question_gets_no_answer_and_no_error(
    complete: Complete,
    shell: str,
    number: str,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.setenv("_RLVIT_COMPLETE", f"{shell}_complete")
    for words in (
        "",
        "rlvit",
        "rlvit 'run",
        "rlvit \\",
        "rlvit run --plugin=\x01 é",
        "rlvit -- --",
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", number)
        assert invoke([]) == 0
        assert capsysbinary.readouterr().err == b""


@pytest.mark.parametrize("damage", ["garbage", "file", "postgresql", "none", "plugin", "block"])
def test_nothing_broken_shows_in_the_users_line(
    complete: Complete, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    if damage == "file":
        home.write_text("")
    elif damage == "garbage":
        home.mkdir()
        (home / "registry.db").write_text("garbage" * 999)
    elif damage == "postgresql":
        monkeypatch.setenv("RLVIT_REGISTRY", "postgresql://127.0.0.1:1/x")
    elif damage == "plugin":
        source = "import sys\nprint('hello')\nprint('oh', file=sys.stderr)\nraise SystemExit(4)"
        add_plugin(tmp_path / "site", "loud", source)
        monkeypatch.syspath_prepend(tmp_path / "site")
    elif damage == "block":
        monkeypatch.setenv("RLVIT_BLOCK", "nobody")
    monkeypatch.setenv("RLVIT_HOME", str(home))
    assert complete("runs", "show", "") == []
    assert plain(complete("runs", "sh")) == ["show"]
    expected = [] if damage == "block" else ["toy"]
    assert plain(complete("run", "--plugin", "")) == expected
    assert damage in ("file", "garbage") or not home.exists()


def test_nothing_heavy_is_imported(finished: Path) -> None:
    for words in ("run --plugin spirl --selector ", "runs show ", "tune --plugin glimpse --space "):
        program = (
            "import sys\nfrom rlvit.cli.main import invoke\ninvoke([])\n"
            "heavy = {'torch', 'numpy', 'pandas', 'optuna', 'sqlalchemy', 'mlflow', 'psutil'}\n"
            "print(heavy & set(sys.modules), file=sys.stderr)"
        )
        asked = {
            "_RLVIT_COMPLETE": "bash_complete",
            "COMP_WORDS": "rlvit\n" + words.replace(" ", "\n"),
            "COMP_CWORD": str(len(words.split(" "))),
            "RLVIT_HOME": str(finished),
        }
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **asked},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.count("plain,") >= 2, words
        assert done.stderr == "set()\n", words


# The scripts.


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a user who has no settings yet."""
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR", "BASH_COMPLETION_USER_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", ".local/share/bash-completion/completions/rlvit"),
        ("zsh", ".zfunc/_rlvit"),
        ("fish", ".config/fish/completions/rlvit.fish"),
    ],
)
def test_a_script_is_installed_and_told_of(
    shell: str,
    file: str,
    user: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    assert [one.state for one in diagnose()] == ["note"]
    assert invoke(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"~/{file}: rlvit completion {shell} --install" in script
    assert invoke(["completion", "--install"]) == 0  # of the user's own shell
    assert capsys.readouterr().out.startswith(f"{user / file}\n")
    assert (user / file).read_text() == script
    assert [one.state for one in diagnose()] == ["ok"]
    (user / file).write_text(script + "# changed\n")
    assert [one.state for one in diagnose()] == ["note"]
    assert invoke(["completion", shell, "--install"]) == 0
    assert (user / file).read_text() == script


def test_a_file_of_somebody_else_stays(user: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place("fish").parent.mkdir(parents=True)
    place("fish").write_text("complete -c rlvit -a mine\n")
    assert invoke(["completion", "fish", "--install"]) == 2
    assert "is not rlvit's: move it away first" in capsys.readouterr().err
    assert place("fish").read_text() == "complete -c rlvit -a mine\n"


def test_a_shell_that_is_not_known_has_to_be_said(
    user: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert list(diagnose()) == []
    assert invoke(["completion"]) == 2
    assert capsys.readouterr().err == "Error: say which shell: bash, zsh, fish.\n"


def typed(shell: list[str], lines: list[str], begun: str, environment: dict[str, str]) -> str:
    """Type lines into a shell, then one with a TAB behind it, and return what it made of it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(shell[0], shell, environment)
    try:
        for line in lines:
            os.write(terminal, f"{line}; echo re''ady\n".encode())
            _read(terminal, "ready")
        # complete, then go to the start of the line, and print it
        os.write(terminal, f"{begun}\t END\x01printf '<%s>' \n".encode())
        return _read(terminal, "<END>")
    finally:
        os.close(terminal)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def _read(terminal: int, until: str) -> str:
    """Read until a text was seen."""
    text, end = "", time.monotonic() + 60
    while until not in text:
        if not select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
            raise TimeoutError(text)
        text += os.read(terminal, 65536).decode(errors="replace")
    return text


@pytest.mark.parametrize("shell", SHELLS)
def test_real_shells_complete(shell: str, finished: Path, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    scripts = Path(sys.executable).parent
    if not (scripts / "rlvit").exists():
        pytest.skip("the program rlvit is not beside this Python")
    environment = {
        "PATH": f"{scripts}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "RLVIT_HOME": str(finished),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
    }
    if shell == "fish":
        for line, wanted in (("run --plug", "--plugin"), ("runs show our", "our first\t")):
            program = f"rlvit completion fish | source; complete -C 'rlvit {line}'"
            done = subprocess.run(
                ["fish", "--no-config", "-c", program],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            assert done.stdout.startswith(wanted), done.stdout + done.stderr
        return
    start = {"bash": ["bash", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
    lines = ['eval "$(rlvit completion bash)"']
    if shell == "zsh":
        load = "autoload -Uz compinit; compinit -u -D"
        lines = [f'{load}; eval "$(rlvit completion zsh)"']
    for begun, wanted in (
        ("rlvit run --plug", "<rlvit><run><--plugin>"),
        ("rlvit runs show our", "<rlvit><runs><show><our first>"),
        ("rlvit run --plugin spirl --preset=qu", "<rlvit><run><--plugin><spirl><--preset=quick>"),
    ):
        assert wanted in typed(start, lines, begun, environment), begun
