"""Double Q-learning: who chooses and who judges."""

import torch

from rlvit.rl.double_q import double_q_target_distribution


def test_online_chooses_and_target_judges() -> None:
    support = torch.tensor([-1.0, 0.0, 1.0])
    good, bad = [0.0, 0.25, 0.75], [0.5, 0.5, 0.0]
    online = torch.tensor([[bad, good], [good, bad]])  # prefers action 1, then action 0
    target = torch.tensor([[good, bad], [bad, good]])  # prefers the opposite
    chosen = double_q_target_distribution(online, target, support)
    assert chosen.tolist() == [bad, bad]


def test_the_mean_decides_not_the_mode() -> None:
    support = torch.tensor([-1.0, 0.0, 1.0])
    # action 0 most often returns 1 but has mean 0.1; action 1 has mean 0.2
    online = torch.tensor([[[0.45, 0.0, 0.55], [0.0, 0.8, 0.2]]])
    target = torch.tensor([[[1.0, 0.0, 0.0], [0.1, 0.2, 0.7]]])
    chosen = double_q_target_distribution(online, target, support)
    assert torch.equal(chosen, target[:, 1])


def test_equals_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    online = torch.randn(8, 18, 51, generator=generator).softmax(2)
    target = torch.randn(8, 18, 51, generator=generator).softmax(2)
    support = torch.linspace(-10, 10, 51)
    chosen = double_q_target_distribution(online, target, support)
    assert chosen.shape == (8, 51)
    for row in range(8):
        values = [float((online[row, a].double() * support.double()).sum()) for a in range(18)]
        assert torch.equal(chosen[row], target[row, values.index(max(values))])
