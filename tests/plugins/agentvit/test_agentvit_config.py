"""AgentViT's configuration: the paper's values, names of its parameters, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rlvit.config import flat, options, resolve
from rlvit.errors import UsageProblem
from rlvit.specs import PRESET_NAMES
from rlvit_agentvit.adapt import patch_side
from rlvit_agentvit.config import PRESETS, SHARE_OF_RUN, AgentvitConfig

# What the notebook's code says (nb 6, 12, 18, 36, 37), by rlvit's names.
PAPER: dict[str, Any] = {
    "patch_size": 4,
    "dim": 128,
    "depth": 6,
    "heads": 16,
    "head_dim": 64,
    "mlp_dim": 512,
    "epochs": 100,
    "batch": 128,
    "lr": 1e-3,
    "schedule": "constant",
    "weight_decay": 0.0,
    "augment": "shift-flip",
    "n_patch_desired": 30,
    "select": "mean-threshold",
    "mask_scope": "batch",
    "normalise_state": False,
    "frequency": 50,
    "loss_reward": "ratio",
    "credit": "faithful",
    "agent_lr": 0.01,
    "gamma": 0.95,
    "tau": 0.1,
    "update_every": 2,
    "buffer_size": 64,
    "buffer_batch_size": 8,
    "replay_from": 2,
    "grad_clip": 100.0,
    "eps_start": 1.0,
    "eps_end": 0.01,
    "eps_decay": 20_000.0,
}
# The readme's parameters: name there, field here, a value that no preset has.
README: list[tuple[str, str, int | float]] = [
    ("buffer_size", "buffer_size", 33),
    ("buffer_batch_size", "buffer_batch_size", 3),
    ("gamma", "gamma", 0.77),
    ("eps_start", "eps_start", 0.83),
    ("eps_end", "eps_end", 0.07),
    ("eps_decay", "eps_decay", 123.0),
    ("eta", "agent_lr", 0.037),
    ("tau", "tau", 0.29),
    ("update_every", "update_every", 7),
    ("frequency", "frequency", 17),
    ("alpha", "alpha", 0.31),
    ("n_patch_desired", "n_patch_desired", 5),
    ("patch_size", "patch_size", 8),
    ("att_dim", "dim", 24),
    ("depth", "depth", 3),
    ("heads", "heads", 5),
    ("mlp_dim", "mlp_dim", 56),
    ("epoche", "epochs", 9),
    ("learning_rate", "lr", 0.0023),
]
NOTEBOOK = [("get_reward_every", "frequency", 17), ("n_patch_selected", "n_patch_desired", 5)]
SHAPES = {"digits": (2, 8), "mnist": (4, 23), "cifar10": (4, 30)}  # patch_size, n_patch_desired

Program = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def catalog(tiny_agent: Any) -> Any:
    """The installed plugins."""
    return tiny_agent.tiny.make_catalog()


@pytest.fixture
def program(catalog: Any, dry_run: Any) -> Program:
    """`rlvit run --plugin agentvit ... --dry-run`: exit code, what it prints, its errors."""
    found: Program = dry_run(catalog, "agentvit")
    return found


@pytest.mark.parametrize("preset", PRESET_NAMES)
@pytest.mark.parametrize("task", SHAPES)
def test_every_preset_fits_the_small_datasets(
    tiny_agent: Any, catalog: Any, task: str, preset: str
) -> None:
    plan = tiny_agent.make(catalog, task=task, preset=preset, small=False)
    assert (plan.config.patch_size, plan.config.n_patch_desired) == SHAPES[task]
    assert None not in plan.config.sizes.values()
    assert len(plan.config.sizes) == 6
    stages = plan.costs()
    assert [stage.stage for stage in stages] == ["train", "evaluate"]
    assert all(stage.flops > 0 for stage in stages)


def test_the_paper_preset_has_the_values_of_the_notebooks_code(
    tiny_agent: Any, catalog: Any
) -> None:
    plan = tiny_agent.make(catalog, task="cifar10", preset="paper", small=False)
    found = flat(plan.config)
    assert {name: found[name] for name in PAPER} == PAPER
    # loss_weight 1, time_weight 20 (nb 36)
    assert found["alpha"] / (1 - found["alpha"]) == pytest.approx(1 / 20)
    assert plan.slots == {"backbone": "simple-vit", "selector": "patch-agent"}
    assert plan.protocol.name == "full"


def test_the_official_code_preset_is_the_papers_but_for_the_frequency() -> None:
    by_name = {preset.name: dict(preset.values) for preset in PRESETS}
    assert by_name["paper"] == {}
    assert by_name["official-code"] == {"frequency": 10}


def test_a_simple_vit_of_the_paper_has_its_multiply_adds(tiny_agent: Any, catalog: Any) -> None:
    """By hand: 6 blocks on 64 tokens of 128, inner width 16 x 64."""
    plan = tiny_agent.make(catalog, task="cifar10", preset="paper", small=False)
    from rlvit.contracts import ImageShape
    from rlvit.nn.compute import dense_macs

    shape = plan.parts["backbone"].shape(ImageShape(32, 10, plan.config.sizes))
    block = 64 * (4 * 128 * 1024 + 2 * 128 * 512) + 2 * 64 * 64 * 1024
    assert dense_macs(shape) == 64 * 48 * 128 + 6 * block + 128 * 10
    assert (shape.patches, shape.prefix) == (64, 0)


@pytest.mark.parametrize(("name", "field", "value"), README + NOTEBOOK)
def test_names_of_the_readme_are_options(
    program: Program, name: str, field: str, value: float
) -> None:
    assert flat(resolve(AgentvitConfig, {}, {name: value}))[field] == value
    for flag in {f"--{name}", f"--{name.replace('_', '-')}"}:
        code, out, err = program("--dataset", "cifar10", "--preset", "paper", flag, str(value))
        assert code == 0, err
        assert f"  {field} = {value}\n" in out


def test_a_flag_and_its_alias_exclude_each_other(program: Program) -> None:
    code, _, err = program("--dataset", "digits", "--eta", "0.1", "--agent-lr", "0.2")
    assert code == 2
    assert "give --eta or --agent-lr, not both" in err or "give --agent-lr or --eta" in err


@pytest.mark.parametrize(
    ("pixels", "side"),
    [(32, 4), (8, 2), (28, 4), (224, 28), (96, 12), (64, 8), (4, 2), (9, 3), (15, 3)],
)
def test_patches_are_cut_so_that_there_are_about_8_by_8(pixels: int, side: int) -> None:
    assert patch_side(pixels) == side


@pytest.mark.parametrize("pixels", [2, 7, 31, 97])
def test_prime_sizes_of_images_are_refused(pixels: int) -> None:
    with pytest.raises(UsageProblem, match=f"images of {pixels} pixels a side"):
        patch_side(pixels)


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_a_backbone_of_fixed_sizes_goes_with_every_preset(
    tiny_agent: Any, catalog: Any, preset: str
) -> None:
    plan = tiny_agent.make(catalog, preset=preset, small=False, backbone="vit_pico_grid4")
    assert plan.config.sizes == {}
    assert plan.config.n_patch_desired == 8
    assert plan.costs()[0].flops > 0


def test_the_wanted_number_of_patches_goes_with_their_size(tiny_agent: Any, catalog: Any) -> None:
    def wanted(**given: Any) -> int:
        plan = tiny_agent.make(catalog, task="cifar10", preset="paper", small=False, **given)
        return int(plan.config.n_patch_desired)

    assert wanted(patch_size=2) == 120  # 30 / 64 of 256
    assert wanted(patch_size=16) == 2
    assert wanted(backbone="vit_pico_grid4") == 8
    assert wanted(n_patch_desired=63) == 63


REFUSED: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("--n-patch-desired", "16"), ("--n-patch-desired 16", "fewer than the 16 patches", "all")),
    (("--n-patch-desired", "0"), ("--n-patch-desired 0", "greater than or equal to 1")),
    (
        ("--backbone", "vit_pico_grid4", "--n-patch-desired", "17"),
        ("--n-patch-desired 17", "fewer than the 16"),
    ),
    (
        ("--preset", "paper", "--backbone", "vit_pico_grid4", "--att-dim", "64"),
        ("--dim 64", "the sizes of vit_pico_grid4 are fixed", "simple-vit"),
    ),
    (
        ("--preset", "paper", "--backbone", "vit_pico_grid4", "--patch-size", "2"),
        ("--patch-size 2", "vit_pico_grid4"),
    ),
    (
        ("--preset", "quick", "--backbone", "vit_pico_grid4", "--heads", "3"),
        ("--heads 3", "the sizes of vit_pico_grid4 are fixed"),
    ),
    (("--backbone", "mae-96"), ("mae-96", "does not provide")),
    (("--backbone", "mae-96", "--selector", "all"), ("mae-96", "no blocks", "simple-vit")),
    (("--selector", "cls-attention"), ("cls-attention", "needs attention", "'simple-vit-small'")),
    (
        ("--selector", "token-agents", "--backbone", "vit_pico_grid4"),
        ("'token-agents'", "trained by rl4dvit", "--selector-from RUN"),
    ),
    (("--selector", "patch-agnt"), ("unknown selector", "Did you mean 'patch-agent'?")),
    (("--select", "best"), ("--select", "'mean-threshold', 'topk'")),
    (("--mask-scope", "patch"), ("--mask-scope", "'batch', 'image'")),
    (("--credit", "td"), ("--credit", "'faithful', 'bernoulli'")),
    (("--alpha", "2"), ("--alpha 2.0", "less than or equal to 1")),
    (("--gamma", "1"), ("--gamma 1.0", "less than 1")),
    (("--eps-start", "1.5"), ("--eps-start 1.5", "less than or equal to 1")),
    (("--eta", "0"), ("--eta 0.0", "greater than 0")),
    (
        ("--buffer-size", "4", "--buffer-batch-size", "5"),
        ("--buffer-batch-size 5", "holds only 4 batches"),
    ),
    (
        ("--credit", "bernoulli", "--samples", "1", "--baseline", "image"),
        ("--samples 1", "at least 2 masks"),
    ),
    (("--patch-size", "3"), ("--patch-size 3", "8 pixels a side")),
    (("--patch-size", "8"), ("--patch-size 8", "more than one such patch")),
    (("--dim", "10"), ("--dim 10", "multiple of 4")),
    (("--n-patch-desird", "3"), ("No such option", "--n-patch-desired")),
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


def test_one_sample_is_enough_with_a_baseline_of_the_batch() -> None:
    given = {"credit": "bernoulli", "samples": 1, "baseline": "batch"}
    assert flat(resolve(AgentvitConfig, {}, given))["samples"] == 1


def test_book_keeping_is_left_out_of_the_fingerprint(tiny_agent: Any, catalog: Any) -> None:
    def fingerprint(**given: Any) -> str:
        return str(tiny_agent.make(catalog, **given).fingerprint)

    first = fingerprint()
    kept = {"validate_every": 5, "target_accuracy": 50.0, "compare_masks": False, "log_every": 9}
    for name, value in kept.items():
        assert fingerprint(**{name: value}) == first
    assert fingerprint(eta=0.5) != first
    assert fingerprint(eta=0.5) == fingerprint(agent_lr=0.5)
    assert fingerprint(n_patch_desired=8) == first  # what it is without being given


def test_every_option_says_what_it_is_and_where_its_value_comes_from() -> None:
    for info in options(AgentvitConfig):
        assert info.help.endswith("."), info.field
        assert info.unit
        assert info.source != "-", info.field


def test_half_of_the_run_is_the_notebooks_share() -> None:
    """eps_decay 20,000 in 100 epochs of 391 iterations."""
    assert pytest.approx(20_000 / (100 * 391)) == SHARE_OF_RUN
