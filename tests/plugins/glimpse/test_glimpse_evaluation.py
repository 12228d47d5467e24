"""How an agent is measured: scores by hand, the images that are meant, controls, costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from rlvit_glimpse import evaluation
from rlvit_glimpse.evaluation import (
    GlimpseClassifier,
    Score,
    final,
    game_of,
    measured_images,
    score,
)

IMAGES = 40  # of the protocol `tiny`
Run = Callable[[str], Any]


def table_of(run: Any) -> dict[str, Any]:
    (folder,) = (run.folder / "artifacts").glob("predictions-*")
    with np.load(folder / "predictions.npz") as table:
        return dict(table)


def results_of(tiny_glimpse: Any, run: Any) -> dict[str, float]:
    found = tiny_glimpse.tiny.results_of(run.home, run.id)
    return {name: value for (name, _), value in found.items()}


def looked(confidence: list[float], likeliest: list[int], right: list[int]) -> Score:
    count = len(confidence)
    by_step = torch.tensor([[0, one] for one in likeliest]).bool()
    return Score(
        torch.tensor(right).bool(), torch.ones(count), torch.ones(count),
        torch.tensor(confidence), torch.zeros(count).bool(), by_step,
    )  # fmt: skip


def test_the_calibration_error_is_that_by_hand() -> None:
    """Bins of a fifteenth: 0.95 and 0.97 lie in the last, 0.5 in the eighth, 0.1 in the second."""
    confidence, right = [0.95, 0.97, 0.5, 0.5, 0.1], [1, 0, 1, 1, 0]
    found = looked(confidence, right, right)
    last, eighth, second = 1 - 1.92, 2 - 1.0, 0 - 0.1
    expected = (abs(last) + abs(eighth) + abs(second)) / 5
    assert found.calibration_error == pytest.approx(expected, abs=1e-6)
    assert looked([1.0, 1.0], [1, 1], [1, 1]).calibration_error == 0
    assert looked([1.0], [0], [0]).calibration_error == 1


def test_calibration_is_of_the_likeliest_class_not_of_one_that_was_drawn() -> None:
    assert looked([1.0, 1.0], [1, 1], [0, 0]).calibration_error == 0


@pytest.mark.parametrize("variant", ["multi-categorical", "hybrid-vit", "ram"])
def test_measured_images_are_those_of_the_names(whole_run: Run, variant: str) -> None:
    run = whole_run(variant)
    table, context = table_of(run), run.measured["context"]
    images, labels = run.measured["looks"].images, run.measured["looks"].labels
    split = context.data().split("test")
    assert len(table["name"]) == len(images) == IMAGES
    assert labels.tolist() == table["label"].tolist()
    for name, image in zip(table["name"], images, strict=True):
        number = list(split.names).index(str(name))
        (expected,) = split.batches([np.array([number])], 8)
        assert torch.equal(image, expected[0])


def test_names_may_come_in_any_order(whole_run: Run) -> None:
    run = whole_run("multi-categorical")
    names, context = table_of(run)["name"][::-3], run.measured["context"]
    images, labels = measured_images(context, 8, names)
    looks = run.measured["looks"]
    assert torch.equal(images, looks.images.flip(0)[::3])
    assert torch.equal(labels, looks.labels.flip(0)[::3])


@pytest.mark.parametrize("variant", ["multi-categorical", "greedy-map", "ram"])
def test_multiply_adds_are_the_networks(tiny_glimpse: Any, whole_run: Run, variant: str) -> None:
    run = whole_run(variant)
    macs = run.measured["network"].macs(3)
    assert (table_of(run)["macs"] == macs).all()
    found = results_of(tiny_glimpse, run)
    assert found["eval/gmacs"] == pytest.approx(macs / 1e9)
    assert found["look/greedy_glimpses"] == 3
    assert found["look/greedy_undecided"] == 0


def test_multiply_adds_of_a_hybrid_are_of_the_glimpses_it_took(
    tiny_glimpse: Any, whole_run: Run
) -> None:
    """Its games start in the centre, so that evaluation and greedy look play the same ones."""
    run = whole_run("hybrid-vit")
    looks, network = run.measured["looks"], run.measured["network"]
    table, found = table_of(run), results_of(tiny_glimpse, run)
    lengths = looks.greedy.lengths.tolist()
    assert table["macs"].tolist() == [network.macs(length) for length in lengths]
    assert found["eval/gmacs"] == pytest.approx(np.mean(table["macs"]) / 1e9)
    assert found["look/greedy_glimpses"] == pytest.approx(np.mean(lengths))
    assert found["look/greedy"] == found["eval/top1"]
    assert table["correct"].tolist() == looks.greedy.right.tolist()


def test_cost_follows_the_number_of_glimpses(tiny_glimpse: Any, whole_run: Run) -> None:
    context, config = (whole_run("hybrid-vit").measured[key] for key in ("context", "config"))
    config = config.model_copy(update={"at_limit": "cut"})
    images, labels = tiny_glimpse.digits(10, "test")
    for bias, length in ((20.0, 1), (-20.0, config.max_steps)):
        network = tiny_glimpse.deciding(tiny_glimpse.network(config), bias)
        with torch.no_grad():
            found = GlimpseClassifier(context, config, network, 8).classify(images)
        assert found.macs.tolist() == [network.macs(length)] * 10
        assert found.logits.shape == (10, 10)
        assert found.kept.shape == (10, 0)
        seen = score(context, config, network, 8, images, labels)
        assert seen.lengths.tolist() == [length] * 10
        assert seen.undecided.all() == seen.undecided.any() == (length > 1)
        assert seen.right.tolist() == (found.logits.argmax(1) == labels).tolist()
    decided = config.model_copy(update={"at_limit": "answer"})
    seen = score(context, decided, network, 8, images, labels)
    assert (seen.lengths == config.max_steps).all()
    assert not seen.undecided.any()


def played_again(run: Any, stream: str, batch: int) -> tuple[list[Tensor], Tensor, Tensor]:
    """The classes after each glimpse T x [S], the last logits and the seen shares, by stepping."""
    from rlvit_glimpse.rollouts import play

    context, config, network = (run.measured[key] for key in ("context", "config", "network"))
    images, labels = run.measured["looks"].images, run.measured["looks"].labels
    named, logits, seen = [], [], []
    for number, (some, wanted) in enumerate(
        zip(images.split(batch), labels.split(batch), strict=True)
    ):
        draws = context.torch_generator(f"{stream}/{number}")
        games = game_of(context, config, 8)
        episodes = play(games, network, config, some, wanted, draws, start=draws, greedy=True)
        memory, steps = network.begin(len(some), "cpu"), []
        with torch.no_grad():
            for glimpse, place in zip(episodes.glimpses, episodes.places, strict=True):
                heads, memory = network.step(glimpse, place, memory)
                steps.append(heads.classes.argmax(1))
        torch.testing.assert_close(final(episodes), heads.classes)
        named.append(torch.stack(steps))
        logits.append(heads.classes)
        seen.append(episodes.seen)
    return list(torch.cat(named, 1)), torch.cat(logits), torch.cat(seen)


def test_the_class_head_is_followed_glimpse_by_glimpse(tiny_glimpse: Any, whole_run: Run) -> None:
    """The greedy look is of the evaluation's own games; others have other first places."""
    run = whole_run("multi-categorical")
    given = [run.measured[key] for key in ("context", "config", "network", "size")]
    looks, batch = run.measured["looks"], int(given[0].protocol.settings["batch"])
    other = score(*given, looks.images, looks.labels)
    assert not torch.equal(looks.greedy.confidence, other.confidence)
    for found, stream, many in ((looks.greedy, "classify", batch), (other, "look", 512)):
        named, logits, seen = played_again(run, stream, many)
        assert torch.equal(found.by_step, torch.stack(named, 1) == looks.labels[:, None])
        assert torch.equal(found.right, named[-1] == looks.labels)
        torch.testing.assert_close(found.confidence, logits.softmax(1).amax(1))
        torch.testing.assert_close(found.seen, seen)
    results = results_of(tiny_glimpse, run)
    assert results["look/greedy"] == results["eval/top1"]
    half = looks.greedy.by_step[:, 0].float().mean().item()
    assert results["look/after_half"] == pytest.approx(100 * half)
    assert results["look/greedy_seen"] == pytest.approx(100 * looks.greedy.seen.mean().item())


def test_images_are_measured_greedily_once(whole_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the evaluation played is what is scored: nothing is played again."""
    run, played = whole_run("multi-categorical"), []
    context, config, network = (run.measured[key] for key in ("context", "config", "network"))
    play = evaluation.play

    def watched(*given: Any, **how: Any) -> Any:
        played.append((len(given[3]), given[0].rules.max_steps, how["greedy"]))
        return play(*given, **how)

    monkeypatch.setattr(evaluation, "play", watched)
    agent = GlimpseClassifier(context, config, network, 8)
    looks = run.measured["looks"]
    batch = int(context.protocol.settings["batch"])
    with torch.no_grad():
        for some in looks.images.split(batch):
            agent.classify(some)
    found = agent.score(looks.labels)
    assert sum(count for count, _, _ in played) == IMAGES
    assert all(greedy and steps == 3 for _, steps, greedy in played)
    for name, one in vars(found).items():
        assert torch.equal(one, getattr(looks.greedy, name)), name


def half_decide_at_once(network: Any, images: Tensor) -> None:
    """Let a hybrid network answer half of the images after one glimpse, of the whole digit."""
    glimpse = avg_pool2d(images / 255, 2)
    place = torch.tensor([0.5, 0.5, 1.0]).expand(len(images), 3)
    with torch.no_grad():
        heads, _ = network.step(glimpse, place, network.begin(len(images), "cpu"))
        ranked = heads.extra["decision"].sort().values
        middle = len(images) // 2  # midway between two, so that rounding decides for none
        network.policy.bias[0] -= ranked[middle - 1 : middle + 1].mean()


def test_batches_of_games_of_unequal_lengths_are_joined(
    whole_run: Run, tiny_glimpse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some batches are over before the last step; what they would say then is their answer."""
    run = whole_run("hybrid-vit")
    context, config = run.measured["context"], run.measured["config"]
    network = tiny_glimpse.network(config)
    images, labels = run.measured["looks"].images, run.measured["looks"].labels
    half_decide_at_once(network, images)
    whole = score(context, config, network, 8, images, labels)
    assert whole.lengths.unique().numel() > 1
    monkeypatch.setattr(evaluation, "BATCH", 1)
    found = score(context, config, network, 8, images, labels)
    assert found.by_step.shape == (IMAGES, config.max_steps)
    for name, one in vars(whole).items():
        torch.testing.assert_close(getattr(found, name), one)
    at_once = tiny_glimpse.deciding(tiny_glimpse.network(config), 20.0)
    seen = score(context, config, at_once, 8, images, labels)
    assert torch.equal(seen.by_step, seen.right[:, None].expand(-1, config.max_steps))


def glimpsed_once(run: Any, glimpse: Tensor, place: list[float]) -> float:
    """Share in % that the network names rightly after one glimpse [S, 3, 4, 4]."""
    network, labels = run.measured["network"], run.measured["looks"].labels
    where = torch.tensor(place).expand(len(glimpse), 3)
    with torch.no_grad():
        heads, _ = network.step(glimpse, where, network.begin(len(glimpse), "cpu"))
    return 100 * (heads.classes.argmax(1) == labels).float().mean().item()


def planes(glimpse: Tensor, corner: float, zoom: float) -> Tensor:
    """Add the three planes of the discrete game: left, top and zoom."""
    values = torch.tensor([corner, corner, zoom])[:, None, None]
    return torch.cat([glimpse, values.expand(len(glimpse), 3, 4, 4)], 1)


@pytest.mark.parametrize("variant", ["multi-categorical", "hybrid-vit"])
def test_controls_look_once_at_the_middle_or_at_the_whole(
    tiny_glimpse: Any, whole_run: Run, variant: str
) -> None:
    run = whole_run(variant)
    pixels = run.measured["looks"].images / 255  # [S, 3, 8, 8]
    # Bilinear to half the size takes the mean of four pixels.
    middle, halved = pixels[:, :, 2:6, 2:6], avg_pool2d(pixels, 2)
    found = results_of(tiny_glimpse, run)
    if variant == "multi-categorical":
        middle, whole, sides = planes(middle, 0.5, 0.0), planes(halved, 0.0, 1.0), (0.0, 1.0)
    else:  # whose first glimpse is of twice the window: all of a digit
        middle = whole = halved
        sides = (1.0, 1.0)
    assert found["look/central"] == pytest.approx(glimpsed_once(run, middle, [0.5, 0.5, sides[0]]))
    assert found["look/whole"] == pytest.approx(glimpsed_once(run, whole, [0.5, 0.5, sides[1]]))
    controls = run.measured["looks"].controls
    expected = {name: found[f"look/{name}"] for name in ("random", "central", "whole")}
    assert controls == pytest.approx(expected)


@pytest.mark.parametrize(
    ("size", "window", "side", "plane"),
    [(32, 8, 32, 1), (224, 28, 224, 7 / 3), (28, 8, 24, 2)],
)
def test_the_whole_image_is_seen_whole_at_other_sizes(
    tiny_glimpse: Any, size: int, window: int, side: int, plane: float
) -> None:
    """Of MNIST 24 of 28 pixels: discrete views are whole multiples of the window.

    The plane is (zoom - 1) / (largest known zoom - 1): 3 / 3 at a zoom of 4, 7 / 3 at 8 where the
    agent has 4 at most, and 2 / 1 at 3 where it has 2.
    """
    from rlvit_glimpse.agents import make_rules
    from rlvit_glimpse.evaluation import once_whole
    from rlvit_glimpse.game import GlimpseGames

    config = tiny_glimpse.config("multi-categorical").model_copy(update={"window": window})
    games = GlimpseGames(once_whole(make_rules(config, size), size), size, 3)
    images = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    seen = games.begin(images, torch.zeros(2, dtype=torch.int64), tiny_glimpse.stream(0))
    assert seen.glimpse[:, 5].unique().tolist() == pytest.approx([plane])
    edge = (size - side) // 2
    assert games.boxes().tolist() == [[edge, edge, side]] * 2


def test_random_places_are_random_and_repeatable(whole_run: Run) -> None:
    run = whole_run("multi-categorical")
    given = [run.measured[key] for key in ("context", "config", "network", "size")]
    looks = run.measured["looks"]
    first = score(*given, looks.images, looks.labels, wander=True)
    again = score(*given, looks.images, looks.labels, wander=True)
    assert torch.equal(first.by_step, again.by_step)
    assert 100 * first.right.float().mean() == pytest.approx(looks.controls["random"])
    assert not torch.equal(first.seen, looks.greedy.seen)


def test_other_rules_may_be_asked_for(whole_run: Run) -> None:
    run = whole_run("multi-categorical")
    given = [run.measured[key] for key in ("context", "config", "network", "size")]
    looks = run.measured["looks"]
    found = score(
        *given, looks.images, looks.labels, change=lambda rules: replace(rules, max_steps=7)
    )
    assert (found.lengths == 7).all()
    assert found.by_step.shape == (IMAGES, 7)


def test_spreads_are_of_images(tiny_glimpse: Any, whole_run: Run) -> None:
    run = whole_run("ram")
    looks = run.measured["looks"]
    rows = {row[0]: row for row in run.story["results"]}
    _, step, value, samples, spread = rows["look/greedy"]
    right = 100 * looks.greedy.right.double().numpy()
    assert (step, samples) == (run.measured["step"], IMAGES)
    assert value == pytest.approx(right.mean())
    assert spread == pytest.approx(right.std(ddof=1))
    assert rows["look/greedy_ece"][4] is None
