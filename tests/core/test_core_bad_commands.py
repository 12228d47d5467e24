"""Bad command lines, of every command: one line says what is wrong, exit 2, nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_program import Program

from rlvit.cli.main import invoke

TOY = ("run", "--plugin", "toy", "--puzzle", "Alpha", "--preset", "quick", "--device", "cpu")
TUNE = ("tune", "--plugin", "toy", "--puzzle", "Alpha", "--preset", "quick", "--device", "cpu")
SEARCH = (*TUNE, "--space", "rate=0.1..0.5")
MATRIX = ("matrix", "--plugin", "toy", "--puzzle", "Alpha", "--preset", "quick", "--device", "cpu")

BAD = [
    # numbers
    ((*TOY, "--rate", "1e999"), "--rate inf: should be a finite number"),
    ((*TOY, "--rate", "-0"), "--rate -0.0: should be greater than 0"),
    ((*TOY, "--rate", "-inf"), "--rate -inf: should be a finite number"),
    ((*TOY, "--bound", "nan"), "--bound nan: should be a finite number"),
    ((*TOY, "--steps", "9" * 400), "should be less than or equal to 9007199254740992"),
    ((*TOY, "--steps", "1_0.5"), "'1_0.5' is not a valid integer"),
    ((*TOY, "--steps", "½"), "'½' is not a valid integer"),
    ((*TOY, "--rate", ""), "'' is not a valid float"),
    ((*TOY, "--seed", "-1"), "--seed -1: should be 0 or more and less than 2**31"),
    ((*TOY, "--seed", str(2**31)), "--seed 2147483648: should be 0 or more and less than 2**31"),
    ((*TOY, "--seeds", "0-1000000000"), "--seeds 0-1000000000: at most 10,000 seeds at a time"),
    ((*TOY, "--seeds", "-3"), "--seeds -3: expected a range such as 0-4 or a list 0,2,7"),
    ((*TOY, "--seeds", "0,,1"), "--seeds 0,,1: expected a range such as 0-4 or a list 0,2,7"),
    ((*TOY, "--seeds", "0-1" + "0" * 4400), "expected a range such as 0-4 or a list 0,2,7"),
    ((*TOY, "--threads", "-2"), "--threads -2: should be 1 or more"),
    ((*TOY, "--print-every", "nan"), "'--print-every': 'nan' is not a number"),
    # names
    ((*TOY, "--preset", "quíck"), "unknown preset 'quíck'. Did you mean 'quick'?"),
    ((*TOY, "--puzzle", ""), "unknown puzzle ''. Known: Alpha, Beta."),
    ((*TOY, "--plugin", "toy\0"), r"unknown plugin 'toy\x00'. Did you mean 'toy'?"),
    ((*TOY, "--glimpses", "3"), "No such option '--glimpses'"),
    ((*TOY, "--learning-rate", "1"), "No such option '--learning-rate'"),
    ((*TOY, "--selector", "💥"), "unknown selector '💥'. Known: toy-needy, toy-pick."),
    ((*TOY, "--from-trial", "x:1"), "--from-trial decides --"),
    ((*TOY, "--selector-from", "nobody"), "unknown run 'nobody'"),
    ((*TOY, "--data-root", "/nowhere"), "No such option '--data-root'"),
    (("run", "--plugin", "toy", "--", "--puzzle", "Alpha"), "unexpected extra argument"),
    (("resume", "-x"), "No such option '-x'"),
    (("resume", "nobody"), "unknown run 'nobody'"),
    (("resume", ""), "unknown run ''"),
    (("resume", "latest", "--threads", "many"), "'many' is not a valid integer"),
    # studies and the matrix
    ((*TUNE, "--space", "rate"), "--space rate: expected NAME=LOW..HIGH"),
    ((*TUNE, "--space", "rat=0.1..0.2"), "unknown setting 'rat'. Did you mean 'rate'?"),
    ((*TUNE, "--space", "rate=0.2..0.1"), "the first end, 0.2, has to be below the second, 0.1"),
    ((*TUNE, "--space", "rate=nan..0.1"), "the ends of a range are finite numbers"),
    ((*TUNE, "--space", "bound=1..1e28:1"), "bound: the range has more than 2**53 steps"),
    ((*TUNE, "--space", "rate=0.1..2"), "--rate 2.0: should be less than or equal to 1"),
    ((*TUNE, "--fix", "rate"), "--fix rate: expected NAME=VALUE"),
    ((*SEARCH, "--objective", "toy/scor"), "Did you mean 'toy/score'?"),
    ((*TUNE, "--sampler", "best"), "'best' is not one of 'tpe'"),
    ((*TUNE, "--trials", "0"), "'--trials': 0 is not in the range x>=1"),
    (
        (*SEARCH, "--objective", "toy/score", "--storage", "mysql://h/db"),
        "--storage: expected postgresql+psycopg://",
    ),
    (("tune", "show", "nothing"), "unknown study 'nothing'. There are none."),
    (("tune", "best", "x", "--fresh-seeds", "-0"), "'--fresh-seeds': 0 is not in the range 1<=x"),
    ((*MATRIX, "--selector", "toy-pick,,"), "expected names with commas between them"),
    ((*MATRIX, "--selector", "toy-pik"), "Did you mean 'toy-pick'?"),
    (("matrix",), "give --plugin, one of toy"),
    # given twice: the last counts
    ((*TOY, "--puzzle", "Alfa"), "unknown puzzle 'Alfa'. Did you mean 'Alpha'?"),
    ((*TOY, "--rate", "0.5", "--rate", "fast"), "'fast' is not a valid float"),
    ((*TOY, "--rate", "0.5", "--eta", "0.5"), "give --rate or --eta, not both"),
    # the registry
    (("runs", "list", "--state", "complet"), "unknown state 'complet'. Did you mean 'completed'?"),
    (("runs", "list", "--query", "seed <"), "query 'seed <' cannot be read (invalid syntax)"),
    (("runs", "list", "--query", "__import__('os')"), "a query cannot use \"__import__('os')\""),
    (("runs", "list", "--limit", "-0"), "'--limit': 0 is not in the range 1<=x"),
    (("runs", "list", "--plugin", "tou"), "unknown plugin 'tou'. Did you mean 'toy'?"),
    (("runs", "show", "no\0body"), "unknown run 'no"),
    (("runs", "diff", "latest", "latest"), "'latest' and 'latest' are the same run"),
    (("runs", "tag", "latest", "=x"), "--tag: expected KEY or KEY=VALUE, the key is empty"),
    (("runs", "delete", "--yes", "nobody"), "unknown run 'nobody'"),
    (("runs", "note", "latest"), "Missing argument 'TEXT'"),
    (("registry", "nonsense"), "No such command 'nonsense'"),
    (("registry", "query", "SELECT 1", "--timeout", "nan"), "'nan' is not a number"),
    (("export", "nobody"), "unknown run 'nobody'"),
    (("export",), "give RUNs, or --study, or filters"),
    (("export", "latest", "--out", "."), "--out .: a file was expected, this is a folder"),
    (("import", "."), ".: it is no file"),
    (("import", "/nowhere.rlvit"), "/nowhere.rlvit: No such file"),
    (("import",), "Missing argument"),
    (("export-model", "latest"), "toy has no model to export"),
    (("export-model", "latest", "--out", "."), "toy has no model to export"),
    # reports
    (("report", "--name", "../x"), "--name '../x': expected the name of a folder"),
    (("report", "--name", ""), "--name '': expected the name of a folder"),
    (("report", "--name", "x", "--out", "y"), "--name and --out both say where the report goes"),
    (("report", "--seed", "-1"), "-1 is not in the range 0<=x<=2147483647"),
    (("report", "--format", "pdf"), "'pdf' is not one of 'html'"),
    (("report", "--method", "tou"), "unknown method 'tou'. Did you mean 'toy'?"),
    (("baselines", "add", "."), ". cannot be read: Is a directory"),
    (("baselines", "add", "/nowhere.csv"), "/nowhere.csv cannot be read: No such file"),
    (("baselines", "remove", "nothing"), "unknown baseline 'nothing'. There are none."),
    (("claims", "."), ". cannot be read: Is a directory"),
    (("claims", "/nowhere.toml"), "/nowhere.toml cannot be read: No such file"),
    (("plan", "seeds", "A is better"), "claim 'A is better': expected 'A > B on TASK under"),
    (
        ("plan", "seeds", "A > B on T under P by M", "--power", "1"),
        "'--power': 1.0 is not in the range 0<x<1",
    ),
    (("plan", "seeds", "A > B on T under P by M", "--power", "nan"), "'nan' is not a number"),
    # plugins and the rest
    (("plugins", "check", "toi"), "unknown plugin 'toi'. Did you mean 'toy'?"),
    (("plugins", "check", "toy", "--data-root", "/nowhere"), "'/nowhere' does not exist"),
    (("plugins", "new", "../x", "--kind", "selector"), "'../x' is no name for a plugin; expected"),
    (("plugins", "new", "x", "--kind", "thing"), "'thing' is not one of 'selector'"),
    (("doctor", "--format", "xml"), "'xml' is not one of 'table', 'json'"),
    (("doctor", "me"), "unexpected extra argument (me)"),
    (("completion", "csh"), "'csh' is not one of 'bash', 'zsh', 'fish'"),
    (("--home", __file__, "runs", "list"), "a folder was expected, this is a file"),
    (("--home", "a\0b", "runs", "list"), r"--home 'a\x00b': embedded null byte"),
    (("runs", "list", "--home"), "--home needs a value."),
    (
        ("--registry", "mysql://me:secret@h/db", "runs", "list"),
        "a registry is SQLite or PostgreSQL",
    ),
    (("--registry", "sqlite://", "runs", "list"), "a registry is a file, memory forgets"),
    (("--registry", "", "frobnicate"), "unknown command 'frobnicate'"),
    (("ruń",), "unknown command 'ruń'. Did you mean 'run'?"),
    (("",), "unknown command ''"),
    (("-x",), "No such option '-x'"),
]


def _words(value: object) -> str:
    if not isinstance(value, tuple):
        return ""
    return ascii(" ".join(value).replace("\0", "^"))[1:60]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, bare_site: Path, toy_site: Path) -> Path:
    """Return a home with one completed run, which no command here may change."""
    program = Program(tmp_path_factory.mktemp("bad"), [bare_site, toy_site])
    done = program.run("--steps", "5")
    assert done.code == 0, done.err
    return program.home


def content(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Return all that is in a folder, but for SQLite's index of its log and empty logs."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


@pytest.mark.usefixtures("toy_alone")
@pytest.mark.parametrize(("arguments", "message"), BAD, ids=_words)
def test_a_bad_command_line_is_told_in_one_line(
    arguments: tuple[str, ...],
    message: str,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RLVIT_HOME", str(finished))
    monkeypatch.chdir(tmp_path)
    before = content(finished)
    code = invoke(list(arguments))
    written = capsys.readouterr()
    assert len(written.err.splitlines()) == 1, written.err
    assert written.err.startswith("Error: ")
    assert message in written.err
    assert "secret" not in written.err
    assert len(written.err) < 1000 + max(map(len, arguments))
    assert code == 2
    assert written.out == ""
    assert content(finished) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("toy_alone")
@pytest.mark.parametrize("group", ["runs", "tune", "baselines", "plan", "plugins", "registry"])
def test_a_group_alone_shows_its_help(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke([group]) == 2
    written = capsys.readouterr()
    assert written.err.startswith(f"Usage: rlvit {group} [OPTIONS] COMMAND [ARGS]...\n")
    assert written.err.endswith("\n")
    assert "Error" not in written.err
    assert written.out == ""
