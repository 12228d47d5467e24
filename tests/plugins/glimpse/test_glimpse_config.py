"""Glimpse's configuration: the published values of each variant, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rlvit.config import options
from rlvit.errors import UsageProblem
from rlvit.specs import PRESET_NAMES
from rlvit_glimpse.actions import HybridAction
from rlvit_glimpse.agents import make_network, make_rules
from rlvit_glimpse.config import GlimpseConfig
from rlvit_glimpse.networks import Heads
from rlvit_glimpse.policies import entropy_weights, make_policy
from rlvit_glimpse.rollouts import cut_off, steps_of_rollout

VARIANTS = ("multi-categorical", "greedy-map", "hybrid-vit", "ram")
# Task: images' side, window's side, zooms of the discrete game, pixels of a published move.
SHAPES: dict[str, tuple[int, int, tuple[int, ...], int]] = {
    "digits": (8, 4, (1, 2), 1),
    "mnist": (28, 8, (1, 2), 1),
    "cifar10": (32, 8, (1, 2, 4), 1),
    "imagenette": (224, 28, (1, 2, 4), 7),
}
# Of the files, by rlvit's names.
SHARED: dict[str, Any] = {
    "start": "uniform",
    "reward_right": 1.0,
    "step_share": 1 / 32,
    "encoder": "conv",
    "width": 256,
    "ppo_epochs": 8,
    "gamma": 0.97,
    "gae_lambda": 0.95,
    "clip": 0.2,
    "lr": 1e-4,
    "weight_decay": 0.0,
    "value_weight": 1.0,
    "grad_clip": 1.0,
    "steps": 100_000_000,
    "supervised": 0.0,
    "supervised_at": "last",
    "answer": "last-step",
    "algorithm": "ppo",
    "class_counts": "always",
}
PAPER: dict[str, dict[str, Any]] = {
    "multi-categorical": {
        **SHARED,
        "max_steps": 20,
        "novelty": 0.0,
        "epsilon": 0.0,
        "entropy_move": 0.05,
        "entropy_zoom": 0.005,
        "entropy_class": 0.1,
    },
    "greedy-map": {
        **SHARED,
        "max_steps": 30,
        "novelty": 0.1,
        "epsilon": 0.1,
        "entropy_move": 0.05,
        "entropy_zoom": 0.05,
        "entropy_class": 0.01,
    },
    "hybrid-vit": {
        "max_steps": 20,
        "start": "centre",
        "reward_right": 3.0,
        "width": 256,
        "depth": 6,
        "place": "deterministic",
        "at_limit": "cut",
        "answer_chance": None,
        "supervised_at": "last",
        "dropout": 0.0,
        "ppo_epochs": 3,
        "gamma": 0.99,
        "gae_lambda": 0.98,
        "clip": 0.15,
        "lr": 1e-4,
        "weight_decay": 1e-4,
        "value_weight": 0.5,
        "grad_clip": 0.3,
        "entropy_zoom": 0.02,
        "entropy_class": 0.005,
        "reconstruction": 0.005,
        "memory_tokens": 0,
        "class_counts": "when-read",
    },
    "ram": {"max_steps": 6, "start": "uniform", "width": 256, "gamma": 1.0, "gae_lambda": 1.0},
}
# Environments by steps of a published rollout, and steps of its minibatch.
ROLLOUTS = {
    "multi-categorical": (1024 * 128, 4096),
    "greedy-map": (2048 * 128, 8192),
    "hybrid-vit": (16 * 256, 256),
}
# Fields that mean nothing to a variant.
HYBRID = {"depth", "reconstruction", "at_limit", "answer_chance", "dropout"}
WITHOUT = {
    "multi-categorical": {"place", *HYBRID},
    "greedy-map": {"place", *HYBRID},
    "hybrid-vit": {"encoder", "answer"},
    "ram": {"encoder", "answer", "place", "class_counts", *HYBRID},
}
FAULTS = tuple(name for name in GlimpseConfig.model_fields if name.startswith("fault_"))
FAULTS_OF = {
    "multi-categorical": {"fault_memory", "fault_schedule", "fault_resets"},
    "greedy-map": set(FAULTS) - {"fault_start"},
    "hybrid-vit": {"fault_memory", "fault_start"},
    "ram": set(),
}

Program = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def catalog(tiny_glimpse: Any) -> Any:
    """The installed plugins."""
    return tiny_glimpse.tiny.make_catalog()


@pytest.fixture
def program(catalog: Any, dry_run: Any) -> Program:
    """`rlvit run --plugin glimpse ... --dry-run`: exit code, what it prints, its errors."""
    found: Program = dry_run(catalog, "glimpse")
    return found


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_every_preset_fits_every_dataset_with_every_variant(
    tiny_glimpse: Any, catalog: Any, preset: str, variant: str
) -> None:
    for task, (size, window, zooms, _) in SHAPES.items():
        plan = tiny_glimpse.make(catalog, task=task, preset=preset, variant=variant, small=False)
        config = plan.config
        given = tiny_glimpse.make(
            catalog, task=task, preset=preset, variant=variant, small=False, window=5
        )
        assert (config.window, given.config.window) == (window, 5)
        missing = {name for name, value in dict(config).items() if value is None}
        as_drawn = variant == "hybrid-vit" and preset in ("paper", "official-code")
        assert missing == WITHOUT[variant] | ({"answer_chance"} if as_drawn else set())
        rules = make_rules(config, size)
        discrete = variant in ("multi-categorical", "greedy-map")
        assert rules.variant == ("discrete" if discrete else "continuous")
        assert rules.answer == ("decision" if variant == "hybrid-vit" else "last-step")
        assert rules.zooms == zooms
        assert rules.largest() <= size
        costs = plan.costs()
        assert [stage.stage for stage in costs] == ["learn", "evaluate"]
        assert all(stage.flops > 0 for stage in costs)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_paper_preset_has_the_published_values(
    tiny_glimpse: Any, catalog: Any, variant: str
) -> None:
    plan = tiny_glimpse.make(catalog, task="cifar10", preset="paper", variant=variant, small=False)
    config, expected = plan.config, PAPER[variant]
    assert {name: getattr(config, name) for name in expected} == expected
    assert not any(getattr(config, name) for name in FAULTS)
    assert plan.protocol.name == "full"
    if variant in ROLLOUTS:
        rollout, minibatch = ROLLOUTS[variant]
        assert config.games * config.max_steps == pytest.approx(rollout, rel=0.002)
        assert config.minibatch * config.max_steps == pytest.approx(minibatch, rel=0.02)


@pytest.mark.parametrize("task", SHAPES)
def test_the_games_are_the_published_ones(tiny_glimpse: Any, catalog: Any, task: str) -> None:
    size, window, _, move = SHAPES[task]

    def rules(variant: str) -> Any:
        options = {"task": task, "preset": "paper", "small": False, "variant": variant}
        return make_rules(tiny_glimpse.make(catalog, **options).config, size)

    assert rules("greedy-map").step_pixels == move
    hybrid, ram = rules("hybrid-vit"), rules("ram")
    assert (hybrid.start, hybrid.start_side, hybrid.reward_right) == ("centre", 2 * window, 3.0)
    assert hybrid.zoom_max == ram.zoom_max == size / window
    assert (ram.start, ram.start_side) == ("uniform", window)
    assert (hybrid.motion, hybrid.foveation, hybrid.novelty) == ("none", 0, 0.0)


def test_networks_have_the_published_sizes(tiny_glimpse: Any, catalog: Any) -> None:
    """Counted by hand from the files' layers, on CIFAR-10."""

    def parameters(variant: str, **given: Any) -> int:
        options = {"task": "cifar10", "preset": "paper", "small": False, "variant": variant}
        config = tiny_glimpse.make(catalog, **options, **given).config
        network = make_network(config, 32, 10, torch.Generator())
        return sum(one.numel() for one in network.parameters())

    conv = (9 * 6 + 1) * 32 + (9 * 32 + 1) * 64
    lstm = 4 * 256 * (256 + 256 + 2)
    heads = 257 * 22 + 257
    recurrent = conv + 4097 * 256 + lstm + heads
    assert round(recurrent / 1e6, 2) == 1.60
    assert parameters("multi-categorical") == parameters("greedy-map") == recurrent
    flat = 6 * 64 * 256 + 256 + lstm + heads
    assert parameters("multi-categorical", encoder="linear") == flat
    block = 4 * 256 * 256 + 4 * 256 + 2 * 256 * 1024 + 1024 + 256 + 4 * 256
    ends = 193 * 256 + 25 * 256 + 2 * 256 + 257 * (1 + 10 + 3) + 257 + 2 * 256
    decoder = 257 * 1024 + 1025 * 192
    assert parameters("hybrid-vit") == 6 * block + ends + decoder
    spread, tokens = parameters("hybrid-vit", place="beta"), 4 * 256
    assert spread == 6 * block + ends + decoder + 257 * 3
    with_memory = parameters("hybrid-vit", place="beta", memory_tokens=4)
    assert with_memory == spread + tokens


def test_foveation_adds_colours_to_what_is_seen(tiny_glimpse: Any) -> None:
    for variant, channels in (("multi-categorical", 2 * 3 + 3), ("ram", 2 * 3)):
        config = tiny_glimpse.config(variant, foveation=2)
        assert tiny_glimpse.game(config).glimpse_channels == channels
        tiny_glimpse.played(config, tiny_glimpse.network(config), 2)


def test_official_code_has_the_faults_and_nothing_else_does(
    tiny_glimpse: Any, catalog: Any
) -> None:
    for preset in PRESET_NAMES:
        for variant in VARIANTS:
            options = {"task": "cifar10", "preset": preset, "small": False, "variant": variant}
            config = tiny_glimpse.make(catalog, **options).config
            official = preset == "official-code"
            found = {name for name in FAULTS if getattr(config, name)}
            assert found == (FAULTS_OF[variant] if official else set())
            if official:
                assert config.novelty == 0
                assert config.place == ("deterministic" if variant == "hybrid-vit" else None)
                assert config.class_counts == (None if variant == "ram" else "always")
                assert config.dropout == (0.1 if variant == "hybrid-vit" else None)
                assert config.at_limit == ("cut" if variant == "hybrid-vit" else None)
                assert make_rules(config, 32).cuts_views == (variant == "greedy-map")
            else:
                assert not config.dropout


def test_the_faulty_cosines_period_is_the_files_number_of_rollouts(
    tiny_glimpse: Any, catalog: Any
) -> None:
    """100 million steps are 762 rollouts of 1,024 x 128 steps, or 381 of 2,048 x 128."""
    for variant, rollouts in (("multi-categorical", 762), ("greedy-map", 381)):
        options = {"preset": "official-code", "small": False, "variant": variant}
        plan = tiny_glimpse.make(catalog, task="cifar10", **options)
        steps = steps_of_rollout(plan.config)
        assert steps == ROLLOUTS[variant][0]
        assert plan.config.steps // steps == rollouts
        learn, _ = plan.costs()
        waits = 0.01 * plan.config.max_steps * plan.config.steps / steps
        assert learn.host_seconds == pytest.approx(waits)
        mended = plan.config.model_copy(update={"fault_resets": False})
        assert steps_of_rollout(mended) == mended.games * mended.max_steps


def test_the_class_of_a_hybrid_counts_as_it_is_asked_to(tiny_glimpse: Any) -> None:
    """One step that looks elsewhere: the class's log-probability at temperature 0.3, or nothing."""
    found = {}
    for counts in ("always", "when-read"):
        config = tiny_glimpse.config("hybrid-vit", class_counts=counts)
        logits = torch.zeros(1, 10)
        logits[0, 3] = 0.3 * math.log(2)  # so that its chance is 2 / 11
        none = torch.zeros(1)
        extra = {"decision": none, "place": torch.zeros(1, 3)}
        heads = Heads(torch.zeros(1, 14), none, logits, extra)
        policy = make_policy(config, heads, torch.tensor(False), explores=False)
        action = HybridAction(torch.tensor([False]), torch.tensor([3]), torch.full((1, 3), 0.5))
        found[counts] = policy.log_prob(action).item()
    assert found["when-read"] == pytest.approx(math.log(0.5))
    assert found["always"] == pytest.approx(math.log(0.5) + math.log(2 / 11))


def test_nothing_is_paid_for_zooms_that_rings_do_not_have(tiny_glimpse: Any) -> None:
    for foveation, zoom in ((0, 0.005), (2, 0.0)):
        config = tiny_glimpse.config("multi-categorical", foveation=foveation)
        weights = entropy_weights(config)
        assert [weights[name] for name in ("zoom_in", "zoom_out")] == [zoom, zoom]
        assert weights["left"] == 0.05
    rules = make_rules(tiny_glimpse.config("hybrid-vit", foveation=2), 8)
    assert (rules.levels, rules.start_side) == ((1,), 4)


def test_rollouts_that_begin_anew_have_the_published_steps(tiny_glimpse: Any, catalog: Any) -> None:
    """128 steps of each environment are 6 games of 20 and 8 steps more, or 4 of 30 and 8."""
    for variant, steps, games, environments in (
        ("multi-categorical", 20, 7, 1024), ("greedy-map", 30, 5, 2048)
    ):  # fmt: skip
        options = {"preset": "official-code", "small": False, "variant": variant}
        config = tiny_glimpse.make(catalog, task="cifar10", **options).config
        limits = cut_off(config.games, steps)
        assert (config.games, config.max_steps) == (games * environments, steps)
        assert int(limits.sum()) == environments * 128 == ROLLOUTS[variant][0]
        assert (limits == 8).sum() == environments
        assert config.minibatch * 128 / games == ROLLOUTS[variant][1]
        assert config.games % config.minibatch == 0


def test_who_may_answer_at_any_time_has_two_more_logits(tiny_glimpse: Any) -> None:
    for variant in ("multi-categorical", "greedy-map"):
        config = tiny_glimpse.config(variant, answer="any-time", answer_chance=0.2)
        assert make_rules(config, 8).answer == "any-time"
        assert make_rules(config, 8).may_end_early
        policy = tiny_glimpse.network(config).policy
        assert policy.out_features == 2 * 7 + 10
        assert policy.bias[12:14].tolist() == pytest.approx([0, math.log(0.2 / 0.8)])
        plain = tiny_glimpse.config(variant)
        assert (plain.answer, plain.answer_chance) == ("last-step", None)
        assert not make_rules(plain, 8).may_end_early
        assert tiny_glimpse.network(plain).policy.out_features == 2 * 6 + 10
    hybrid = tiny_glimpse.config("hybrid-vit", answer_chance=0.2)
    assert tiny_glimpse.network(hybrid).policy.bias[0].item() == pytest.approx(math.log(0.25))


def test_the_recommended_presets_say_that_they_are_supervised(
    tiny_glimpse: Any, catalog: Any
) -> None:
    for preset, steps, move in (("recommended", 8, 8), ("quick", 4, 4)):
        for variant in VARIANTS:
            options = {"task": "cifar10", "preset": preset, "small": False, "variant": variant}
            config = tiny_glimpse.make(catalog, **options).config
            counts = None if variant == "ram" else "when-read"
            assert (config.supervised, config.class_counts) == (1.0, counts)
            assert config.place == ("tanh-normal" if variant == "hybrid-vit" else None)
            assert config.max_steps == steps
            assert make_rules(config, 32).step_pixels == move


REFUSED: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("--window", "9"), ("--window 9", "digits", "8 pixels")),
    (("--window", "1"), ("--window 1", "greater than or equal to 2")),
    (("--variant", "hybrid"), ("--variant", "'hybrid-vit'")),
    (("--variant", "ram", "--depth", "2"), ("--depth", "ram")),
    (("--variant", "ram", "--reconstruction", "0.1"), ("--reconstruction", "ram")),
    (("--variant", "ram", "--answer", "any-time"), ("--answer", "ram has none of it")),
    (("--variant", "hybrid-vit", "--answer", "last-step"), ("--answer", "hybrid-vit has none")),
    (("--answer", "always"), ("--answer", "'any-time'")),
    (("--variant", "ram", "--at-limit", "cut"), ("--at-limit", "ram has none of it")),
    (("--at-limit", "cut"), ("--at-limit", "multi-categorical has none of it")),
    (("--answer-chance", "0.37"), ("--answer-chance", "multi-categorical has none of it")),
    (("--variant", "ram", "--answer-chance", "0.37"), ("--answer-chance", "ram has none")),
    (("--answer", "any-time", "--answer-chance", "1"), ("--answer-chance 1.0", "less than 1")),
    (("--dropout", "0.37"), ("--dropout", "multi-categorical has none of it")),
    (("--variant", "hybrid-vit", "--dropout", "1"), ("--dropout 1.0", "less than 1")),
    (("--place", "beta"), ("--place", "multi-categorical has none of it")),
    (("--variant", "ram", "--place", "beta"), ("--place", "ram has none of it")),
    (("--variant", "ram", "--place", "deterministic"), ("--place", "ram has none of it")),
    (("--place-std", "0"), ("--place-std 0.0", "greater than or equal to 0.001")),
    (("--place-std", "3"), ("--place-std 3.0", "less than or equal to 2")),
    (("--fault-crop",), ("--fault-crop", "multi-categorical has no such fault")),
    (("--variant", "greedy-map", "--fault-start"), ("--fault-start", "greedy-map has no such")),
    (("--variant", "hybrid-vit", "--fault-resets"), ("--fault-resets", "hybrid-vit has no such")),
    (("--variant", "ram", "--fault-memory"), ("--fault-memory", "ram has no such fault")),
    (("--supervised-at", "first"), ("--supervised-at", "'last', 'every'")),
    (("--variant", "ram", "--epsilon", "0.1"), ("--epsilon", "ram")),
    (("--variant", "hybrid-vit", "--epsilon", "0.1"), ("--epsilon", "hybrid-vit")),
    (("--variant", "hybrid-vit", "--width", "100"), ("--width 100", "multiple of 32")),
    (("--memory-tokens", "2"), ("--memory-tokens", "hybrid-vit")),
    (("--foveation", "3"), ("--foveation 3", "16 pixels", "digits 8")),
    (("--foveation", "7"), ("--foveation 7", "less than or equal to 6")),
    (("--epsilon", "1"), ("--epsilon 1.0", "less than 1")),
    (("--reward-right", "0"), ("--reward-right 0.0", "greater than 0")),
    (("--gamma", "1.5"), ("--gamma 1.5", "less than or equal to 1")),
    (("--max-steps", "0"), ("--max-steps 0", "greater than or equal to 1")),
    (("--motion", "float"), ("--motion", "'none', 'drift'")),
    (("--entropy-mov", "0.1"), ("No such option", "--entropy-move")),
]


@pytest.mark.parametrize(("given", "expected"), REFUSED)
def test_what_cannot_be_ends_in_one_clear_line(
    program: Program, given: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    code, _, err = program("--dataset", "digits", *given)
    assert code == 2
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("Error: ")
    for text in expected:
        assert text in lines[0]


@pytest.mark.parametrize(
    ("option", "variant", "value"),
    [
        ("place", "hybrid-vit", "beta"),
        ("start", "hybrid-vit", "uniform"),
        ("encoder", "multi-categorical", "linear"),
        ("answer", "greedy-map", "any-time"),
        ("at-limit", "hybrid-vit", "cut"),
        ("supervised-at", "ram", "last"),
    ],
)
def test_choices_that_depend_on_the_variant_are_options(
    program: Program, option: str, variant: str, value: str
) -> None:
    given = ("--dataset", "digits", "--variant", variant)
    code, out, err = program(*given, f"--{option}", value)
    assert code == 0, err
    assert f'  {option.replace("-", "_")} = "{value}"\n' in out
    code, _, err = program(*given, f"--{option}", "other")
    assert code == 2
    assert f"'{value}'" in err


def test_an_encoder_is_refused_where_there_is_none(tiny_glimpse: Any) -> None:
    for variant in ("hybrid-vit", "ram"):
        with pytest.raises(UsageProblem, match=f"--encoder: {variant} has none of it"):
            tiny_glimpse.config(variant, encoder="conv")
    with pytest.raises(UsageProblem, match=r"--place .*'tanh-normal'"):
        tiny_glimpse.config("hybrid-vit", place="gamma")


def test_the_readmes_commands_are_accepted(program: Program) -> None:
    text = (Path(__file__).parents[3] / "plugins" / "rlvit_glimpse" / "README.md").read_text()
    lines = [line.split("#")[0].split() for line in text.splitlines() if "rlvit run" in line]
    assert len(lines) >= 6
    for words in lines:
        given = [word for word in words[4:] if word not in ("--data-root", "DIR")]
        if "--device" in given:
            place = given.index("--device")
            del given[place : place + 2]
        code, out, err = program(*given)
        assert code == 0, (given, err)
        assert "variant" in out


def test_widths_that_heads_can_share_are_accepted(tiny_glimpse: Any) -> None:
    for width in (8, 31, 33, 63, 64, 66, 96):
        config = tiny_glimpse.config("hybrid-vit", width=width)
        assert tiny_glimpse.network(config).shape.dim == width
    for width in (65, 97, 130):
        with pytest.raises(UsageProblem, match=f"--width {width}: .* multiple of 32"):
            tiny_glimpse.config("hybrid-vit", width=width)


def test_book_keeping_is_left_out_of_the_fingerprint(tiny_glimpse: Any, catalog: Any) -> None:
    def fingerprint(**given: Any) -> str:
        return str(tiny_glimpse.make(catalog, **given).fingerprint)

    first = fingerprint()
    kept = {"validate_every": 5, "validation_images": 9, "figures": True, "checkpoint_every": 9}
    for name, value in kept.items():
        assert fingerprint(**{name: value}) == first
    assert fingerprint(steps=99) != first
    assert fingerprint(gamma=0.97) == first  # what it is without being given
    assert fingerprint(supervised=0.5) != first


def test_every_option_says_what_it_is_and_where_its_value_comes_from() -> None:
    for info in options(GlimpseConfig):
        assert info.help.endswith("."), info.field
        assert info.unit
        assert info.source != "-", info.field
