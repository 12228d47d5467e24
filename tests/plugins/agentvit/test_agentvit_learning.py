"""How AgentViT's agent learns, step by step beside naive code, and what either credit can learn."""

from __future__ import annotations

from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rlvit_agentvit.config import AgentvitConfig
from rlvit_agentvit.learning import Losses, MaskLearner, Moment, TdLearner, state_of

PATCHES, COUNT, IMAGES = 16, 6, 5
CPU: Any = SimpleNamespace(device=torch.device("cpu"))


def losses(first: float, *others: float) -> Losses:
    """What has seen those losses."""
    found = Losses()
    for loss in (first, *others):
        found.observe(torch.tensor(loss))
    return found


def test_the_loss_terms_by_hand() -> None:
    seen = losses(2.0, 1.0)
    now = torch.tensor([0.5, 4.0])
    assert seen.term(now, "ratio").tolist() == [4.0, 0.5]  # by the first, not the newest
    assert seen.term(now, "log-likelihood").tolist() == [-0.25, -2.0]
    mean = 0.99 * 2.0 + 0.01 * 1.0
    assert seen.term(now, "ema-ratio").tolist() == pytest.approx([mean / 0.5, mean / 4.0])


def test_the_ema_ratio_stays_at_1_where_the_ratio_grows_with_training() -> None:
    seen = losses(2.3)
    for _ in range(2000):
        seen.observe(torch.tensor(0.1))
    now = torch.tensor(0.1)
    assert seen.term(now, "ratio").item() == pytest.approx(23)
    assert seen.term(now, "ema-ratio").item() == pytest.approx(1, abs=1e-4)
    constant = losses(0.7, *[0.7] * 300)
    assert constant.term(torch.tensor(0.7), "ema-ratio").item() == pytest.approx(1, abs=1e-5)


def test_losses_are_restored() -> None:
    seen, other = losses(2.0, 1.0), Losses()
    other.restore(seen.state(), torch.device("cpu"))
    for one in (seen, other):
        one.observe(torch.tensor(0.3))
    assert seen.state() == other.state()
    empty = Losses()
    empty.restore(Losses().state(), torch.device("cpu"))
    assert empty.first is None


def moment(tiny_agent: Any, vit: Any, number: int = 0) -> Moment:
    """A batch of digits after a walk under the agent's mask; `number` tells batches apart."""
    images, labels = (part[number : number + IMAGES] for part in tiny_agent.digits(IMAGES + number))
    with torch.no_grad():
        walk = vit.walk(images)
    loss = functional.cross_entropy(walk.logits, labels)
    draws = torch.Generator().manual_seed(100 + number)
    return Moment(images, labels, loss, vit.selector.state_seen, walk.alive[-1].sum(1), draws)


def weights(network: Any) -> list[Tensor]:
    """A copy of a network's parameters."""
    return [parameter.detach().clone() for parameter in network.parameters()]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    """Whether parameters are equal bit by bit."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def td(tiny_agent: Any, **values: Any) -> tuple[Any, TdLearner]:
    """A network and what teaches its agent by Q-learning."""
    vit = tiny_agent.network(select="mean-threshold", **values)
    config = AgentvitConfig(n_patch_desired=COUNT, **values)
    return vit, TdLearner(CPU, config, vit)


def test_a_reward_is_what_the_readme_says(tiny_agent: Any) -> None:
    vit, learner = td(tiny_agent, alpha=0.25)
    paid_for = moment(tiny_agent, vit)
    found = learner.learn(paid_for, losses(3.0))
    ratio = 3.0 / float(paid_for.loss)
    kept = paid_for.kept.double()
    terms = -(kept - COUNT).abs() / (PATCHES - COUNT)  # dropped ones, but the difference is one
    assert float(found["loss_term"]) == pytest.approx(ratio)
    assert float(found["patch_term"]) == pytest.approx(float(terms.mean()))
    reward = 0.25 * ratio + 0.75 * terms
    (held,) = learner.replay.state()["transitions"]
    assert held["reward"].tolist() == pytest.approx(reward.tolist())
    assert float(found["reward"]) == pytest.approx(float(reward.mean()))


def test_the_replay_holds_states_before_and_after_the_step(tiny_agent: Any) -> None:
    vit, learner = td(tiny_agent)
    paid_for = moment(tiny_agent, vit)
    with torch.no_grad():
        vit.backbone.module.to_patch_embedding[1].weight.mul_(1.5)  # a step of the ViT's
    learner.learn(paid_for, losses(1.0))
    (held,) = learner.replay.state()["transitions"]
    assert torch.equal(held["state"], paid_for.state)
    with torch.no_grad():
        vit.walk(paid_for.images)
    torch.testing.assert_close(held["next_state"], vit.selector.state_seen)
    torch.testing.assert_close(held["next_state"], state_of(vit, paid_for.images))
    assert not torch.allclose(held["next_state"], held["state"])


def test_nothing_is_learnt_before_enough_is_remembered(tiny_agent: Any) -> None:
    vit, learner = td(tiny_agent, buffer_size=4, buffer_batch_size=3)
    before = weights(learner.network)
    for number in range(2):
        found = learner.learn(moment(tiny_agent, vit, number), losses(1.0))
        assert "loss" not in found
        assert same(before, weights(learner.network))
    found = learner.learn(moment(tiny_agent, vit, 2), losses(1.0))
    assert "loss" in found
    assert not same(before, weights(learner.network))
    for number in range(3, 6):
        learner.learn(moment(tiny_agent, vit, number), losses(1.0))
    assert len(learner.replay) == 4


def test_the_target_network_follows_every_update_every_steps(tiny_agent: Any) -> None:
    values = {"buffer_size": 2, "buffer_batch_size": 1, "update_every": 3, "tau": 0.25}
    vit, learner = td(tiny_agent, **values)
    target = weights(learner.target)
    assert same(target, weights(learner.network))
    for step in range(1, 7):
        learner.learn(moment(tiny_agent, vit, step), losses(1.0))
        if step % 3 == 0:
            online = weights(learner.network)
            target = [0.75 * old + 0.25 * new for old, new in zip(target, online, strict=True)]
        for found, expected in zip(weights(learner.target), target, strict=True):
            torch.testing.assert_close(found, expected)


def test_a_td_step_is_a_naive_one(tiny_agent: Any) -> None:
    """Two rounds with everything that is held, so that what is drawn makes no difference."""
    values = {"buffer_size": 4, "buffer_batch_size": 2, "gamma": 0.9, "grad_clip": 1e-3}
    vit, learner = td(tiny_agent, **values)
    online, target = deepcopy(learner.network), deepcopy(learner.target)
    rate = {"lr": 0.01, "amsgrad": True, "foreach": False, "fused": False}
    optimiser = torch.optim.AdamW(online.parameters(), **rate)
    learner.learn(moment(tiny_agent, vit), losses(2.0))
    found = learner.learn(moment(tiny_agent, vit, 1), losses(2.0))
    held = learner.replay.state()["transitions"]
    errors = []
    for one in held:
        y = one["reward"][:, None] + 0.9 * target(one["next_state"]).detach()
        errors.append((online(one["state"]) - y).flatten())
    error = torch.cat(errors).abs()
    loss = torch.where(error < 1, error**2 / 2, error - 0.5).mean()
    assert float(found["loss"]) == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    for parameter in online.parameters():
        assert parameter.grad is not None
        parameter.grad.clamp_(-1e-3, 1e-3)
    optimiser.step()
    for got, expected in zip(weights(learner.network), weights(online), strict=True):
        torch.testing.assert_close(got, expected, atol=2e-5, rtol=0)


def test_a_restored_td_learner_takes_the_same_steps(tiny_agent: Any) -> None:
    values = {"buffer_size": 3, "buffer_batch_size": 2}
    vit, learner = td(tiny_agent, **values)
    for number in range(4):
        learner.learn(moment(tiny_agent, vit, number), losses(1.0))
    other_vit, other = td(tiny_agent, **values)
    other_vit.selector.restore(vit.selector.state())
    other.restore(deepcopy(learner.state()))
    for number in range(4, 7):
        one = learner.learn(moment(tiny_agent, vit, number), losses(1.0))
        two = other.learn(moment(tiny_agent, other_vit, number), losses(1.0))
        assert one == two
    assert same(weights(learner.network), weights(other.network))
    assert same(weights(learner.target), weights(other.target))


def masks(tiny_agent: Any, **values: Any) -> tuple[Any, MaskLearner]:
    """A network and what teaches its agent by comparing masks."""
    values = {"credit": "bernoulli", "loss_reward": "log-likelihood", **values}
    vit = tiny_agent.network(mask_scope="image", **values)
    return vit, MaskLearner(AgentvitConfig(n_patch_desired=COUNT, **values), vit)


def naive_nll(vit: Any, images: Tensor, labels: Tensor, keep: Tensor) -> Tensor:
    """The loss of each image [B] when only its patches `keep` [B, N] are computed."""
    found = []
    for image, label, mask in zip(images, labels, keep, strict=True):
        tokens = vit.backbone.embed(image[None])[:, mask]
        for block in vit.backbone.blocks:
            tokens = block(tokens)
        logits = vit.backbone.readout(tokens.mean(1))
        found.append(functional.cross_entropy(logits, label[None]))
    return torch.stack(found)


def test_a_step_by_comparing_masks_is_a_naive_one(tiny_agent: Any) -> None:
    values = {"samples": 3, "alpha": 0.7, "entropy": 0.05, "agent_lr": 1e-3}
    vit, learner = masks(tiny_agent, **values)
    paid_for = moment(tiny_agent, vit)
    online = deepcopy(learner.network)
    rate = {"lr": 1e-3, "amsgrad": True, "foreach": False, "fused": False}
    optimiser = torch.optim.AdamW(online.parameters(), **rate)
    logit = online(paid_for.state).repeat_interleave(3, 0)  # [B * S, N]
    draws = torch.rand(logit.shape, generator=torch.Generator().manual_seed(4))
    keep = draws < logit.detach().sigmoid()
    assert keep.any(1).all()
    with torch.no_grad():
        nll = naive_nll(
            vit,
            paid_for.images.repeat_interleave(3, 0),
            paid_for.labels.repeat_interleave(3),
            keep,
        )
    terms = -(keep.sum(1) - COUNT).abs() / (PATCHES - COUNT)
    reward = (0.7 * -nll / 2.5 + 0.3 * terms).view(IMAGES, 3)
    others = (reward.sum(1, keepdim=True) - reward) / 2
    advantage = (reward - others).flatten()
    advantage = advantage / advantage.std()
    p = logit.sigmoid()
    log_prob = torch.where(keep, p, 1 - p).log().sum(1)
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).mean()
    loss = -(advantage * log_prob).mean() / PATCHES - 0.05 * entropy
    loss.backward()
    optimiser.step()

    vit.generator = torch.Generator().manual_seed(4)
    found = learner.learn(paid_for, losses(2.5))
    assert float(found["drawn"]) == float(keep.sum(1).double().mean())
    assert float(found["loss_term"]) == pytest.approx(float(-nll.mean() / 2.5), rel=1e-4)
    assert float(found["patch_term"]) == pytest.approx(float(terms.mean()), rel=1e-5)
    assert float(found["reward"]) == pytest.approx(float(reward.mean()), rel=1e-4)
    assert float(found["entropy"]) == pytest.approx(entropy.item(), rel=1e-5)
    assert float(found["loss"]) == pytest.approx(loss.item(), abs=1e-5)
    for got, expected in zip(weights(learner.network), weights(online), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)
    assert learner.agent.mode == "greedy"


@pytest.mark.parametrize("credit", ["td", "masks"])
def test_learning_leaves_the_network_of_the_images_alone(tiny_agent: Any, credit: str) -> None:
    values = {"buffer_size": 1, "buffer_batch_size": 1} if credit == "td" else {}
    vit, learner = (td if credit == "td" else masks)(tiny_agent, **values)
    module = vit.backbone.module
    before, agent = weights(module), weights(learner.network)
    vit.generator = torch.Generator().manual_seed(0)
    learner.learn(moment(tiny_agent, vit), losses(1.0))
    assert same(before, weights(module))
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not same(agent, weights(learner.network))


@pytest.mark.parametrize("baseline", ["image", "batch"])
@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("entropy", [0.0, 0.1])
def test_equal_rewards_teach_nothing_but_entropy(
    tiny_agent: Any, entropy: float, samples: int, baseline: str
) -> None:
    values = {"samples": samples, "alpha": 1.0, "entropy": entropy, "baseline": baseline}
    vit, learner = masks(tiny_agent, **values)
    with torch.no_grad():
        vit.backbone.module.head.weight.zero_()  # the same answer whatever is seen
        vit.backbone.module.head.bias.zero_()
    online = deepcopy(learner.network)
    gradients: list[Tensor] = []
    learner.network.layers[-1].bias.register_hook(gradients.append)
    vit.generator = torch.Generator().manual_seed(0)
    paid_for = moment(tiny_agent, vit)
    learner.learn(paid_for, losses(2.0))
    logit = online(paid_for.state).detach()
    p = logit.sigmoid()
    # Of the entropy h of a decision, dh / dlogit = -logit p (1 - p).
    expected = entropy * (logit * p * (1 - p)).mean(0) / PATCHES
    torch.testing.assert_close(gradients[0], expected, atol=1e-6, rtol=1e-4)


def test_a_restored_mask_learner_takes_the_same_steps(tiny_agent: Any) -> None:
    vit, learner = masks(tiny_agent)
    other_vit, other = masks(tiny_agent)
    for number in range(3):
        vit.generator = torch.Generator().manual_seed(number)
        learner.learn(moment(tiny_agent, vit, number), losses(1.0))
    other_vit.selector.restore(vit.selector.state())
    other.restore(deepcopy(learner.state()))
    found = []
    for one, its in ((vit, learner), (other_vit, other)):
        one.generator = torch.Generator().manual_seed(9)
        found.append(its.learn(moment(tiny_agent, one, 9), losses(1.0)))
    assert found[0] == found[1]
    assert same(weights(learner.network), weights(other.network))


TOLD: dict[str, Any] = {
    "preset": "paper",
    "epochs": 2,
    "batch": 32,
    "depth": 1,
    "lr": 3e-3,
    "augment": "none",
    "frequency": 1,
    "replay_from": 1,
    "n_patch_desired": 4,
    "select": "topk",
    "mask_scope": "image",
    "eps_start": 0.5,
    "eps_end": 0.5,
    "validate_every": 100,
    "compare_masks": False,
    "log_every": 1000,
    "checkpoint_every": 1000,
}
COMPARED: dict[str, Any] = {
    "credit": "bernoulli",
    "loss_reward": "log-likelihood",
    "normalise_state": True,
    "samples": 2,
    "alpha": 0.5,
    "entropy": 0.01,
    "agent_lr": 1e-3,
}
FAITHFUL: dict[str, Any] = {"credit": "faithful", "buffer_size": 16, "buffer_batch_size": 4}


def scores_of(tiny_agent: Any, home: Any, place: int, values: dict[str, Any]) -> Any:
    """The agent's scores [N], mean of the last epoch, where one patch shows the class."""
    images = tiny_agent.told_by_one_patch(place, 800)
    outcome = tiny_agent.start(home, images=images, **{**TOLD, **values})
    assert outcome.state == "completed", outcome.error
    return tiny_agent.history_of(home, outcome.id)["score"][-1]


def rank_of(place: int, scores: Any) -> int:
    """1 if the patch has the highest score."""
    return int((scores > scores[place]).sum()) + 1


@pytest.mark.parametrize("place", [6, 13])
def test_comparing_masks_finds_the_patch_that_shows_the_class(
    tiny_agent: Any, tmp_path: Any, place: int
) -> None:
    scores = scores_of(tiny_agent, tmp_path, place, COMPARED)
    assert rank_of(place, scores) == 1
    assert scores[place] > scores.mean() + 1.5 * scores.std()


def test_the_notebooks_credit_does_not(tiny_agent: Any, tmp_path: Any) -> None:
    """Scores go alike whichever patch shows the class: their order is that of the first weights."""
    found = [scores_of(tiny_agent, tmp_path / str(place), place, FAITHFUL) for place in (6, 13)]
    assert rank_of(6, found[0]) > 4
    assert rank_of(13, found[1]) > 4
    assert np.corrcoef(found[0], found[1])[0, 1] > 0.9
