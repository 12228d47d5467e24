"""The command line: what it prints, what it refuses in one line, and what it does not import."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from toy_program import Program

from rlvit.api import Registry
from rlvit.cli.main import invoke
from rlvit.cli.runs import _difference, _final

ROOT = Path(__file__).parents[2]
RUN = ("run", "--plugin", "toy")
ALPHA = (*RUN, "--puzzle", "Alpha", "--preset", "quick", "--device", "cpu", "--threads", "1")

BAD = [
    (("runn",), "unknown command 'runn'. Did you mean 'run'?"),
    (("--nope",), "No such option"),
    (("run",), "Missing option '--plugin'"),
    (("run", "--plugin"), "requires an argument"),
    (("run", "--plugin", "toi"), "unknown plugin 'toi'. Did you mean 'toy'?"),
    (("run", "--plugin", "zzzzzz"), "unknown plugin 'zzzzzz'. Known: toy."),
    (RUN, "toy needs a puzzle: give --puzzle."),
    ((*RUN, "--puzzle", "Alfa"), "unknown puzzle 'Alfa'. Did you mean 'Alpha'?"),
    ((*RUN, "--game", "Alpha"), "No such option"),
    ((*ALPHA, "--preset", "papper"), "unknown preset 'papper'. Did you mean 'paper'?"),
    ((*ALPHA, "--protocol", "brif"), "unknown protocol 'brif'. Did you mean 'brief'?"),
    ((*ALPHA, "--selector", "toy-pik"), "unknown selector 'toy-pik'. Did you mean 'toy-pick'?"),
    ((*ALPHA, "--selector", "toy-needy"), "needs reconstruction, which backbone 'toy-eye'"),
    ((*ALPHA, "--reward", "toy-eye"), "unknown reward 'toy-eye'"),
    ((*ALPHA, "--rate", "fast"), "--rate"),
    ((*ALPHA, "--rate", "0"), "--rate 0.0: should be greater than 0"),
    ((*ALPHA, "--rate", "2"), "--rate 2.0: should be less than or equal to 1"),
    ((*ALPHA, "--rate", "nan"), "--rate nan"),
    ((*ALPHA, "--bound", "inf"), "--bound inf"),
    ((*ALPHA, "--steps", "2.5"), "--steps"),
    ((*ALPHA, "--steps", "-1"), "--steps -1: should be greater than or equal to 1"),
    ((*ALPHA, "--mode", "max"), "--mode"),
    ((*ALPHA, "--rate", "0.5", "--bound", "0.2"), "--bound is smaller than --rate"),
    ((*ALPHA, "--stepps", "3"), "No such option '--stepps'"),
    ((*ALPHA, "--eta", "2"), "--eta 2.0: should be less than or equal to 1"),
    ((*ALPHA, "--step_size", "fast"), "--step-size"),
    ((*ALPHA, "--rate", "1", "--eta", "1"), "give --rate or --eta, not both: they are one option."),
    ((*ALPHA, "--step_size=1", "--eta=1"), "give --eta or --step-size, not both"),
    ((*ALPHA, "--noisy", "--no-with-noise"), "give --noisy or --with-noise, not both"),
    ((*ALPHA, "--log_evry", "3"), "No such option '--log-evry'"),
    ((*ALPHA, "--ete", "1"), "No such option '--ete'"),
    ((*ALPHA, "--steps"), "requires an argument"),
    ((*ALPHA, "--seed", "-1"), "--seed -1: should be 0 or more"),
    ((*ALPHA, "--seed", "one"), "--seed"),
    ((*ALPHA, "--seed", str(10**20)), "--seed"),
    ((*ALPHA, "--seeds", "3-1"), "--seeds 3-1"),
    ((*ALPHA, "--seeds", "1,1"), "--seeds 1,1"),
    ((*ALPHA, "--seeds", "a-b"), "--seeds a-b"),
    ((*ALPHA, "--seeds", ""), "--seeds"),
    ((*ALPHA, "--seeds", "0-1", "--seed", "4"), "--seed"),
    ((*ALPHA, "--device", "abacus"), "--device abacus: expected auto, cpu, cuda or cuda:N."),
    ((*ALPHA, "--device", "meta"), "--device meta"),
    ((*ALPHA, "--device", "cuda:99"), "--device cuda:99"),
    ((*ALPHA, "--device", ""), "--device"),
    ((*ALPHA, "--threads", "0"), "--threads 0: should be 1 or more"),
    ((*ALPHA, "--tag", "=x"), "--tag: expected KEY or KEY=VALUE"),
    ((*ALPHA, "--log-every", "-1"), "--log-every"),
    ((*ALPHA, "stray"), "unexpected extra argument"),
    (("resume",), "Missing argument 'RUN'"),
    (("resume", "latest"), "there is no registry"),
    (("resume", "x", "--threads", "0"), "there is no registry"),
    (("runs", "list"), "there is no registry"),
    (("runs", "list", "--state", "done"), "unknown state 'done'. Known: completed"),
    (("runs", "list", "--state", "runing"), "unknown state 'runing'. Did you mean 'running'?"),
    (("runs", "list", "--limit", "0"), "--limit"),
    (("runs", "list", "--limit", str(10**30)), "--limit"),
    (("runs", "list", "--seed", str(10**30)), "--seed"),
    (("runs", "list", "--format", "xml"), "--format"),
    (("runs", "lst"), "lst"),
    (("runs", "show"), "Missing argument"),
    (("runs", "tag", "latest"), "give a tag to attach"),
    (("plugins", "show", "toi"), "unknown plugin 'toi'. Did you mean 'toy'?"),
    (("--registry", "nonsense://x", "runs", "list"), "--registry nonsense://x"),
    (("--registry", "://", "runs", "list"), "--registry"),
    (("--home", "~nobody-of-this-name/x", "runs", "list"), "--home ~nobody-of-this-name/x"),
]


def _short(value: object) -> str:
    return " ".join(value).removeprefix(" ".join(ALPHA)) if isinstance(value, tuple) else "is told"


@pytest.mark.usefixtures("toy_alone")
@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda value: _short(value))
def test_a_bad_command_line_ends_in_one_line_and_writes_nothing(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RLVIT_HOME", str(tmp_path / "home"))
    code = invoke(list(arguments))
    written = capsys.readouterr()
    assert message in written.err
    assert len(written.err.splitlines()) == 1
    assert "Traceback" not in written.err
    assert code == 2
    assert not list(tmp_path.iterdir()), "something was written"


@pytest.mark.usefixtures("toy_alone")
@pytest.mark.parametrize("where", ["/proc/none/registry.db", "/dev/null/registry.db", "/proc"])
def test_a_registry_that_cannot_be_made_is_told_in_one_line(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ("--home", str(tmp_path / "home"))
    assert invoke([*home, "--registry", f"sqlite:///{where}", *ALPHA]) in (1, 2)
    announced, error = capsys.readouterr().err.splitlines()
    assert announced.startswith("preset quick on cpu")
    assert error.startswith("Error: ")
    assert where in error
    assert not list(tmp_path.rglob("toy-*"))


@pytest.mark.usefixtures("toy_alone")
def test_a_dry_run_of_several_seeds_says_how_many_runs_there_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke([*ALPHA, "--seeds", "0-2", "--jobs", "2", "--dry-run"]) == 0
    assert "about 0 s a run; 3 runs, 2 at a time" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("toy_alone")
def test_a_dry_run_shows_everything_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke([*ALPHA, "--rate", "0.25", "--reward", "TOY-half", "--dry-run"]) == 0
    out = capsys.readouterr().out
    for text in (
        "preset quick on cpu: about 0 s",
        "method toy, puzzle Alpha, seed 0",
        "protocol brief",
        "  episodes = 2",
        "reward toy-half",
        "  rate = 0.25",
        "  steps = 24",
        "  bound = null",
        "learn",
    ):
        assert text in out
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("toy_alone")
def test_without_a_preset_the_other_one_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke([*RUN, "--puzzle", "Alpha", "--device", "cpu", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "preset quick on cpu" in out
    assert "--preset paper would take about" in out


@pytest.mark.usefixtures("toy_alone")
def test_the_help_of_a_method_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke([*RUN, "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for text in (
        "--puzzle NAME The puzzle.",
        "--steps INTEGER",
        "How long to go on. [default: 60 steps; source: T1]",
        "--rate FLOAT",
        "How far to step. [default: 0.1 weights; source: T2; also --eta, --step-size]",
        "--noisy / --no-noisy Add noise. [default: yes; source: T3; also",  # and the flag, wrapped
        "--mode [mean|sum] How to add up. [default: mean; source: T4]",
        "--bound FLOAT Largest weight. [default:",
        "T5]",
        "--selector NAME The part in the slot 'selector'. [default: toy-pick]",
        "--preset official-code as nobody coded it",
        "Work:",
        "Book-keeping:",
        "--dry-run",
    ):
        assert text in out


@pytest.mark.usefixtures("toy_alone")
@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("--eta", "0.25"), "  rate = 0.25\n"),
        (("--eta=0.5", "--eta", "0.25"), "  rate = 0.25\n"),
        (("--step-size", "0.25"), "  rate = 0.25\n"),
        (("--step_size", "0.25"), "  rate = 0.25\n"),
        (("--step_size", "0.5", "--step-size", "0.25"), "  rate = 0.25\n"),
        (("--no-with-noise",), "  noisy = false\n"),
        (("--no-with_noise",), "  noisy = false\n"),
        (("--preset", "official-code", "--with_noise"), "  noisy = true\n"),
    ],
)
def test_an_alias_is_another_spelling_of_its_option(
    arguments: tuple[str, ...], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke([*ALPHA, *arguments, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert shown in out
    assert not any(name in out for name in ("eta =", "step_size", "with_noise"))


@pytest.mark.usefixtures("toy_alone")
@pytest.mark.parametrize(
    ("aliases", "message"),
    [
        (("seed",), "toy has an option that is ours: --seed."),
        (("dry_run",), "toy has an option that is ours: --dry-run."),
        (("help",), "toy has an option that is ours: --help."),
        (("home",), "toy has an option that is ours: --home."),
        (("selector",), "toy has two options --selector."),
        (("puzzle",), "toy has two options --puzzle."),
        (("steps",), "Taken.size: the alias 'steps' is already a name of 'steps'."),
        (("eta",), "Taken.size: the alias 'eta' is already a name of 'rate'."),
    ],
)
def test_an_alias_cannot_take_the_name_of_another_option(
    aliases: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from rlvit_toy.plugin import ToyConfig

    from rlvit.config import setting
    from rlvit.specs import MethodSpec

    class Taken(ToyConfig):
        size: int = setting(1, help="-", unit="-", source="-", group="-", aliases=aliases)

    begin = MethodSpec.__post_init__
    monkeypatch.setattr(
        MethodSpec,
        "__post_init__",
        lambda spec: object.__setattr__(spec, "config", Taken) or begin(spec),
    )
    for more in ((), ("--help",)):
        assert invoke([*ALPHA, *more]) == 2
        assert capsys.readouterr().err == f"Error: {message}\n"


@pytest.mark.usefixtures("toy_alone")
def test_help_of_every_command_works(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [["runs", name] for name in ("list", "show", "diff", "tag", "note", "archive")]
    for command in ([], ["run"], ["resume"], ["runs"], ["plugins"], ["plugins", "list"], *commands):
        assert invoke([*command, "--help"]) == 0
        assert "Usage: rlvit" in capsys.readouterr().out


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, bare_site: Path, toy_site: Path) -> Program:
    """Return a home with four runs; the tests below do not disturb each other."""
    program = Program(tmp_path_factory.mktemp("lived"), [bare_site, toy_site])
    done = program.run("--seeds", "0-2", "--tag", "kind=a", "--note", "three, of one kind")
    assert done.code == 0, done.err
    stopped = program.run("--seed", "7", "--rate", "0.5", "--name", "mine", TOY_AT="9:SIGTERM")
    assert stopped.code == 130
    return program


@pytest.fixture
def lived_home(lived: Program, toy_alone: None, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Make the home with four runs this process's."""
    monkeypatch.setenv("RLVIT_HOME", str(lived.home))
    return lived


@pytest.mark.usefixtures("lived_home")
def test_seeds_make_one_run_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["runs", "list", "--format", "json", "--tag", "kind=a"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert sorted(row["run"].split("-")[2] for row in rows) == ["s0", "s1", "s2"]
    assert {row["state"] for row in rows} == {"completed"}


@pytest.mark.usefixtures("lived_home")
@pytest.mark.parametrize("style", ["table", "json", "csv"])
def test_runs_are_listed_in_every_format(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["runs", "list", "--format", style, "--state", "interrupted"]) == 0
    out = capsys.readouterr().out
    if style == "table":
        assert "mine" in out
        assert "interrupted" in out
    else:
        rows = json.loads(out) if style == "json" else list(csv.DictReader(io.StringIO(out)))
        (row,) = rows
        assert (row["name"], row["state"], row["preset"]) == ("mine", "interrupted", "quick")


@pytest.mark.usefixtures("lived_home")
@pytest.mark.parametrize("style", ["table", "json", "csv"])
def test_an_empty_list_is_readable_too(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["runs", "list", "--format", style, "--seed", "99"]) == 0
    out = capsys.readouterr().out
    if style == "table":
        assert out == "Nothing to show.\n"
    elif style == "json":
        assert json.loads(out) == []
    else:
        assert out == "run,name,parts,preset,protocol,state,result,started,seconds,tags\n"


@pytest.mark.usefixtures("lived_home")
@pytest.mark.parametrize("style", ["table", "json", "csv"])
def test_a_run_is_shown_in_every_format(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["runs", "list", "--format", "json", "--seed", "1"]) == 0
    run_id = json.loads(capsys.readouterr().out)[0]["run"]
    assert invoke(["runs", "show", run_id, "--format", style]) == 0
    out = capsys.readouterr().out
    if style == "table":
        for text in (run_id, "toy/score", "three, of one kind", "kind=a", "Artifacts", "rate"):
            assert text in out
    elif style == "json":
        (whole,) = json.loads(out)
        assert whole["config"]["rate"] == 0.1
        assert [move["to_state"] for move in whole["transitions"]][-1] == "completed"
        assert len(whole["episodes"]) == 2
    else:
        (row,) = csv.DictReader(io.StringIO(out))
        assert row["id"] == run_id
        assert json.loads(row["config"])["rate"] == 0.1


@pytest.mark.usefixtures("lived_home")
@pytest.mark.parametrize("style", ["table", "json", "csv"])
def test_the_difference_of_two_runs_is_shown(
    style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["runs", "list", "--format", "json", "--seed", "0"]) == 0
    run_id = json.loads(capsys.readouterr().out)[0]["run"]
    assert invoke(["runs", "diff", run_id, "mine", "--format", style]) == 0
    out = capsys.readouterr().out
    if style == "table":
        assert "config/rate" in out
        return
    rows = json.loads(out) if style == "json" else list(csv.DictReader(io.StringIO(out)))
    found = {row["what"]: (str(row[run_id]), str(row["mine"])) for row in rows}
    assert found["config/rate"] == ("0.1", "0.5")
    assert not any("@" in what for what in found)
    assert found["run/seed"] == ("0", "7")
    assert found["run/state"] == ("completed", "interrupted")
    assert "config/steps" not in found
    assert "run/method" not in found


@pytest.mark.usefixtures("lived_home")
def test_a_run_does_not_differ_from_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["runs", "list", "--format", "json", "--name", "mine"]) == 0
    run_id = json.loads(capsys.readouterr().out)[0]["run"]
    for other in ("mine", run_id, run_id[-8:]):
        assert invoke(["runs", "diff", "mine", other]) == 2
        assert "the same run" in capsys.readouterr().err


@pytest.mark.usefixtures("lived_home")
@pytest.mark.parametrize(
    ("option", "wanted", "runs"),
    [
        ("--game", "ALPHA", 4),
        ("--task", "beta", 0),  # no run had it, but a plugin has
        ("--plugin", "Toy", 4),
        ("--protocol", "BRIEF", 4),
        ("--preset", "Quick", 4),
        ("--preset", "paper", 0),
        ("--state", "Interrupted", 1),
    ],
)
def test_a_filter_ignores_case(
    option: str, wanted: str, runs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["runs", "list", "--format", "json", option, wanted]) == 0
    assert len(json.loads(capsys.readouterr().out)) == runs


@pytest.mark.usefixtures("lived_home")
@pytest.mark.parametrize(
    ("option", "wanted", "message"),
    [
        ("--game", "Alfa", "unknown task 'Alfa'. Did you mean 'Alpha'?"),
        ("--plugin", "toi", "unknown plugin 'toi'. Did you mean 'toy'?"),
        ("--protocol", "brif", "unknown protocol 'brif'. Did you mean 'brief'?"),
        ("--preset", "quik", "unknown preset 'quik'. Did you mean 'quick'?"),
    ],
)
def test_a_filter_that_nothing_has_is_refused(
    option: str, wanted: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["runs", "list", option, wanted]) == 2
    assert capsys.readouterr().err == f"Error: {message}\n"


def test_a_task_whose_plugin_is_gone_is_still_found(program: Program, bare_site: Path) -> None:
    assert program.run().code == 0
    bare = Program(program.folder, [bare_site])
    (row,) = json.loads(bare("runs", "list", "--game", "alpha", "--format", "json").out)
    assert row["state"] == "completed"


@pytest.mark.parametrize("command", [("list",), ("show", "latest")])
def test_a_registry_is_read_even_if_a_dead_run_cannot_be_marked(
    program: Program, command: tuple[str, ...]
) -> None:
    assert program.run(TOY_AT="17:SIGKILL").code == -9
    locks = program.home / "runs" / ".locks"
    shutil.rmtree(locks)
    locks.touch()
    done = program("runs", *command)
    assert done.code == 0, done.err
    assert "running" in done.out
    (said,) = done.errors
    assert said.startswith("runs whose process is gone could not be marked as interrupted: ")
    with pytest.warns(UserWarning, match="could not be marked"):
        assert list(Registry(program.home).runs()["state"]) == ["running"]
    locks.unlink()
    assert "interrupted" in program("runs", *command).out


@pytest.mark.usefixtures("lived_home")
@pytest.mark.parametrize(
    ("text", "message"), [("%", "unknown run"), ("toy-alpha", "fits 4 runs"), ("", "run")]
)
def test_a_run_that_is_not_clear_is_asked_for(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("show", "delete"):
        assert invoke(["runs", command, text]) == 2
        err = capsys.readouterr().err
        assert message in err
        assert len(err.splitlines()) == 1


def test_annotations_reach_registry_and_folder(
    lived_home: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["runs", "tag", "mine", "good", "kind=b"]) == 0
    assert invoke(["runs", "tag", "mine", "--remove", "good"]) == 0
    assert invoke(["runs", "note", "mine", 'böse, "quoted"\nand long']) == 0
    assert invoke(["runs", "archive", "mine"]) == 0
    capsys.readouterr()
    assert invoke(["runs", "list", "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3
    assert invoke(["runs", "list", "--archived", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["tags"]) == ("mine", "kind=b")
    (folder,) = (lived_home.home / "runs").glob("toy-alpha-s7-*")
    written = json.loads((folder / "run.json").read_text())
    assert written["tags"] == {"kind": "b"}
    assert written["note"] == 'böse, "quoted"\nand long'
    assert written["archived"] is True
    assert invoke(["runs", "archive", "mine", "--undo"]) == 0
    assert json.loads((folder / "run.json").read_text())["archived"] is False


def test_a_deleted_run_is_gone(program: Program) -> None:
    assert program.run("--name", "doomed").code == 0
    assert program.run("--name", "other").code == 0
    folders = program.home / "runs"
    refused = program("runs", "delete", "doomed")
    assert refused.code == 2
    assert "--yes does not ask" in refused.err
    assert len(list(folders.glob("toy-*"))) == 2
    done = program("runs", "delete", "doomed", "--yes")
    assert done.code == 0, done.err
    (left,) = folders.glob("toy-*")
    assert json.loads((left / "run.json").read_text())["name"] == "other"
    (row,) = json.loads(program("runs", "list", "--format", "json").out)
    assert row["name"] == "other"


def test_text_that_is_not_unicode_is_refused_in_one_line(program: Program) -> None:
    """A terminal of another encoding gives such bytes; nothing half-made may stay behind."""
    done = program.run("--note", os.fsdecode(b"caf\xe9"))
    assert done.code == 2
    assert "Traceback" not in done.err
    assert done.errors[-1].startswith("Error: ")
    assert not list(program.home.rglob("toy-*"))


def test_a_failed_seed_is_the_exit_code(program: Program) -> None:
    done = program.run("--seeds", "0,4", TOY_AT="3:fail")
    assert done.code == 1


LIGHT = """
import sys
from rlvit.cli.main import invoke
code = invoke(sys.argv[1:])
heavy = {"torch", "sqlalchemy", "mlflow", "pandas", "alembic"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["plugins", "list"],
        ["plugins", "show", "toy"],
        ["run", "--help"],
        ["run", "--plugin", "toy", "--help"],
        ["runs", "--help"],
        ["runs", "list", "--help"],
    ],
    ids=" ".join,
)
def test_looking_imports_nothing_heavy(
    arguments: list[str], tmp_path: Path, toy_site: Path
) -> None:
    """The built-in plugins are there too."""
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *arguments],
        env={**os.environ, "PYTHONPATH": str(toy_site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not list(tmp_path.iterdir())


def test_the_help_of_every_installed_method_imports_nothing_heavy(tmp_path: Path) -> None:
    source = """
import sys
from rlvit.catalog import build_catalog
from rlvit.cli.main import invoke
from rlvit.manager import create_plugin_manager
names = list(build_catalog(create_plugin_manager()).entries["method"])
assert names
for name in names:
    assert invoke(["run", "--plugin", name, "--help"]) == 0
heavy = {"torch", "sqlalchemy", "mlflow", "pandas", "alembic"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_core_spells_no_method() -> None:
    words = ("spirl", "rl4dvit", "agentvit", "glimpse")
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in (ROOT / "core").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
        for word in words
        if word in path.read_text(errors="replace").lower() + path.name.lower()
    ]
    assert found == []


@pytest.mark.parametrize("arguments", [["--help"], ["runs", "list"], ["runs", "show", "mine"]])
def test_a_reader_that_went_away_is_no_error(
    lived: Program, bare_site: Path, toy_site: Path, arguments: list[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [Path(sys.executable).with_name("rlvit"), *arguments],
            env={
                **os.environ,
                "PYTHONPATH": f"{bare_site}{os.pathsep}{toy_site}",
                "RLVIT_HOME": str(lived.home),
            },
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode in (0, 141)


def test_final_results_are_compared_whatever_their_steps() -> None:
    def measured(*rows: tuple[str, int, float | None, bool]) -> list[SimpleNamespace]:
        names = ("metric", "step", "value", "superseded")
        return [SimpleNamespace(**dict(zip(names, row, strict=True))) for row in rows]

    first = _final(measured(("top1", 98, 91.0, False), ("top1", 49, 80.0, False)))
    second = _final(measured(("top1", 38, 86.5, False), ("top1", 76, 99.0, True)))
    assert (first, second) == ({"result/top1": 91.0}, {"result/top1": 86.5})
    assert _difference("result/top1", 91.0, 86.5) == -4.5
    assert _difference("result/top1", 91.0, None) is None
    assert _difference("config/steps", 98, 38) is None
