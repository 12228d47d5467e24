"""The listed experiments are the paper's: every table and figure, with the paper's numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import pytest

from rlvit.catalog import Catalog, build_catalog
from rlvit.cli.main import invoke
from rlvit.config import resolve
from rlvit.errors import UsageProblem
from rlvit.manager import create_plugin_manager
from rlvit.specs import Experiment, MethodSpec
from rlvit.testing.surroundings import plan_experiment
from rlvit_spirl.config import KEEP_RATIO, OFFICIAL_CODE, SpirlConfig
from rlvit_spirl.experiments import CODE_ANGLE, ELSEWHERE, EXPERIMENTS, LACKS, MR, WHOLE_FRAMES

GAMES = ("Frostbite", "MsPacman", "Seaquest", "BattleZone")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return build_catalog(create_plugin_manager())


def about(where: str, experiments: tuple[Experiment, ...] = EXPERIMENTS) -> list[Experiment]:
    """Return the runs that reproduce a table or figure."""
    return [one for one in experiments if one.preset and one.reproduces == where]


def config_of(one: Experiment, method: MethodSpec) -> SpirlConfig:
    """Return what a run is configured with, before its game fills in the rest."""
    found = resolve(method.config, method.preset(one.preset).values, one.values)
    assert isinstance(found, SpirlConfig)
    return found


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("Tables 1 right, 2", 2),
        ("Table 1 right", 1),
        ("Table 2", 2),
        ("Table 3", 6),
        ("Table 13", 1),
        ("Table 14", 3),
        ("Table 15", 4),
        ("section 4.2", 1),
        ("the code", 3),
        ("appendix B.5", 1),
        ("Fig. 2", 1),
        ("Fig. 3", 1),
        ("Fig. 6", 1),
        ("Fig. 8", 3),
        (LACKS, 8),
    ],
)
def test_every_table_and_figure_has_its_runs(where: str, count: int) -> None:
    assert len(about(where)) == count


def test_what_is_not_here_stays_published() -> None:
    without = [one for one in EXPERIMENTS if not one.preset]
    assert [one.reproduces for one in without] == [
        "Tables 1 left, 8",
        "Table 2",
        "Table 7",
        "Figs. 4, 7",
    ]
    for one in without:
        assert "Transporter" in one.name
        assert "PermaKey" in one.name


def test_table_3_is_both_rules_at_three_ratios(catalog: Catalog) -> None:
    """Its columns are mr* + 5 %, mr*, mr* - 5 % of the patches kept."""
    found = [config_of(one, catalog.method("spirl")) for one in about("Table 3")]
    assert [(one.keep_ratio, one.k) for one in found] == [
        (0.25, "dynamic"),
        (0.25, "fixed"),
        (0.2, "dynamic"),
        (0.2, "fixed"),
        (0.15, "dynamic"),
        (0.15, "fixed"),
    ]


def test_mr_of_table_3_agrees_with_the_ratios_of_table_13() -> None:
    """Table 13 adopts mr* in Seaquest and BattleZone, 5 % less in the other two."""
    assert KEEP_RATIO["Seaquest"] == MR
    said = {"Frostbite": 0.4, "MsPacman": 0.35, "BattleZone": 0.3}
    assert all(f"{ratio} in {game}" in ELSEWHERE for game, ratio in said.items())
    adopted = {game: ratio - KEEP_RATIO[game] for game, ratio in said.items()}
    assert adopted == pytest.approx({"Frostbite": 0.05, "MsPacman": 0.05, "BattleZone": 0.0})


def test_tables_14_and_15_try_every_choice(catalog: Catalog) -> None:
    method, fields = catalog.method("spirl"), SpirlConfig.model_fields
    padded = [config_of(one, method).padding for one in about("Table 14")]
    assert sorted(padded) == sorted(get_args(fields["padding"].annotation))
    assert {one.task for one in about("Table 14")} == {"Seaquest"}
    pooled = [(one.preset, config_of(one, method)) for one in about("Table 15")]
    assert {config.keep_ratio for _, config in pooled} == {0.5}
    assert sorted((preset, config.pooling, config.steps) for preset, config in pooled) == [
        ("paper", "average", 100_000),
        ("paper", "cls", 100_000),
        ("paper-400k", "average", 400_000),
        ("paper-400k", "cls", 400_000),
    ]


def test_the_400k_regimes_have_the_papers_and_the_codes_updates(catalog: Catalog) -> None:
    updates = []
    for one in about("Table 2"):
        config = config_of(one, catalog.method("spirl"))
        assert catalog.method("spirl").preset(one.preset).protocol == "atari400k-best-median"
        updates.append((config.steps - config.learn_start) // config.steps_per_update)
    assert updates == [99_600, 398_400]


def test_the_slopes_are_the_texts_and_the_codes() -> None:
    assert math.tan(math.radians(CODE_ANGLE)) == pytest.approx(0.5, abs=1e-5)
    assert OFFICIAL_CODE["angle"] == pytest.approx(CODE_ANGLE, abs=1e-3)
    tried = [one.values["angle"] for one in EXPERIMENTS if "angle" in one.values]
    assert tried == [45, CODE_ANGLE]


def test_one_option_apart_from_the_paper(catalog: Catalog) -> None:
    """What a run of "the code" changes is the published code's value, and that alone."""
    method = catalog.method("spirl")
    paper = resolve(method.config, {}, {}).model_dump()
    for one in about("the code"):
        given = config_of(one, method).model_dump()
        (changed,) = [name for name, value in given.items() if value != paper[name]]
        assert given[changed] == pytest.approx(OFFICIAL_CODE[changed], abs=1e-3)


@pytest.mark.parametrize("game", GAMES)
def test_control_arms_fit_every_game_of_the_paper(catalog: Catalog, game: str) -> None:
    method, arms = catalog.method("spirl"), []
    for one in about(LACKS):
        plan = plan_experiment(catalog, method, replace(one, task=game), None)
        arms.append(plan.slots["selector"])
    assert arms[:4] == ["random", "pixel-variance", "uniform", "cls-attention"]
    assert [one.protocol for one in about(LACKS)[4:6]] == ["atari100k", "machado18"]
    assert [[*one.values] for one in about(LACKS)[6:]] == [["frames_from"], ["refine_every"]]


def test_what_needs_a_ratio_in_other_games_says_so(catalog: Catalog) -> None:
    method, refused = catalog.method("spirl"), []
    for one in EXPERIMENTS:
        if one.preset and not one.task:
            try:
                plan_experiment(catalog, method, replace(one, task="Breakout"), None)
            except UsageProblem:
                refused.append(one)
    selectors = ["all", "random", "pixel-variance", "uniform", "cls-attention"]
    assert [one.slots["selector"] for one in refused] == selectors
    for one in refused:
        assert all(word in one.note for word in (*KEEP_RATIO, "--keep-ratio"))


def test_fig_8_is_counted_by_the_texts_rule_and_by_the_codes(catalog: Catalog) -> None:
    """Which of the two the figure was made with is not known."""
    _, text, code = (config_of(one, catalog.method("spirl")) for one in about("Fig. 8"))
    assert (text.keep_ratio, text.random_steps) == (1.0, text.steps)
    assert code == text.model_copy(update=dict(OFFICIAL_CODE))
    assert [one.protocol for one in about("Fig. 8")] == ["", "quick", "quick"]


def test_a_run_that_differs_from_the_papers_in_more_than_its_name_says_so() -> None:
    (own, updates), (code,) = about("Table 2"), about("Tables 1 right, 2")[1:]
    assert not own.note
    assert all(word in updates.note for word in ("slope", "pixels", "residual", "1,600"))
    assert "not known" in code.note
    (prefilled,) = about("Tables 2, 12", WHOLE_FRAMES)
    assert "drops the oldest" in prefilled.note


def test_de_rainbow_has_its_tables() -> None:
    assert [one.preset for one in about("Tables 2, 11", WHOLE_FRAMES)] == ["paper"]
    assert [one.preset for one in about("Tables 2, 12", WHOLE_FRAMES)] == ["prefilled"]


def test_plugins_show_prints_every_command(
    catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["plugins", "show", "spirl"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    printed = [line for line in lines if line.startswith("rlvit run ")]
    methods = ((catalog.method("de-rainbow"), WHOLE_FRAMES), (catalog.method("spirl"), EXPERIMENTS))
    assert printed == [
        one.command(method) for method, listed in methods for one in listed if one.preset
    ]
    assert "rlvit run --plugin spirl --preset paper --padding masked --game Seaquest" in printed
