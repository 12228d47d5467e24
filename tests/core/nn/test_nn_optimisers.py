"""Weight decay reaches matrices and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rlvit.nn.optimisers import adamw


class Net(nn.Module):
    """One of each kind of parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.ones(1, 1, 4))
        self.pos_embed = nn.Parameter(torch.ones(1, 3, 4))
        self.cut = nn.Conv2d(3, 4, 2, bias=False)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)


def names_of(net: nn.Module, parameters: list[Tensor]) -> set[str]:
    by_id = {id(parameter): name for name, parameter in net.named_parameters()}
    return {by_id[id(parameter)] for parameter in parameters}


def test_groups_hold_what_can_learn_once() -> None:
    net = Net()
    optimiser = adamw(net, lr=0.01, weight_decay=0.3)
    decayed, others = optimiser.param_groups
    assert names_of(net, decayed["params"]) == {"cut.weight", "head.weight"}
    undecayed = {"cls_token", "pos_embed", "norm.weight", "norm.bias", "head.bias"}
    assert names_of(net, others["params"]) == undecayed
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    assert decayed["lr"] == others["lr"] == 0.01


def test_a_step_without_a_gradient_shrinks_matrices_alone() -> None:
    net = Net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimiser = adamw(net, lr=0.1, weight_decay=0.5)
    sum(p.sum() * 0 for p in net.parameters() if p.requires_grad).backward()
    optimiser.step()
    for name, value in net.state_dict().items():
        factor = 1 - 0.1 * 0.5 if name in ("cut.weight", "head.weight") else 1
        torch.testing.assert_close(value, before[name] * factor, rtol=1e-6, atol=0)
