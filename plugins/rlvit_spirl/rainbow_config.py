"""Data-efficient Rainbow: the paper's value of everything that all of its agents share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import model_validator

from rlvit.config import MethodConfig, Search, setting

LEARN = "Learning (data-efficient Rainbow)"
NETWORK = "Network"
KEEPING = "Book-keeping"

# The paper's second regime (section 5, "Atari Benchmark"): nearly as many updates (99,600) as
# in the first (98,400).
REGIME_400K: Mapping[str, Any] = {"steps": 400_000, "steps_per_update": 4}


class RainbowConfig(MethodConfig):
    """How an agent learns, whatever it sees."""

    steps: int = setting(
        100_000,
        help="Steps in the game.",
        unit="agent steps",
        source="section 5",
        group=LEARN,
        ge=1,
    )
    random_steps: int = setting(
        1_600,
        help="Steps at the start with random actions.",
        unit="agent steps",
        source="Table 10",
        group=LEARN,
        ge=0,
    )
    learn_start: int = setting(
        1_600,
        help="Steps before the first update.",
        unit="agent steps",
        source="Table 10",
        group=LEARN,
        ge=0,
    )
    steps_per_update: int = setting(
        1,
        help="Steps between updates (4 in the paper's 400K regime).",
        unit="agent steps",
        source="Table 10",
        group=LEARN,
        ge=1,
    )
    batch_size: int = setting(
        32, help="Transitions an update.", unit="transitions", source="code", group=LEARN, ge=1
    )
    lr: float = setting(
        1e-4,
        help="Adam's step size.",
        unit="-",
        source="Table 10",
        group=LEARN,
        gt=0,
        search=Search(2e-5, 5e-4, log=True),
    )
    adam_eps: float = setting(
        1.5e-4,
        help="Adam's epsilon.",
        unit="-",
        source="Hessel et al. 2018, Table 1",
        group=LEARN,
        gt=0,
    )
    grad_clip: float = setting(
        10.0, help="Largest gradient norm.", unit="-", source="code", group=LEARN, gt=0
    )
    gamma: float = setting(
        0.99,
        help="Discount a step.",
        unit="-",
        source="Hessel et al. 2018, Table 1",
        group=LEARN,
        gt=0,
        le=1,
        search=Search(choices=(0.97, 0.99, 0.995)),
    )
    n_step: int = setting(
        20,
        help="Length of returns.",
        unit="agent steps",
        source="Table 10",
        group=LEARN,
        ge=1,
        search=Search(choices=(3, 10, 20)),
    )
    atoms: int = setting(
        51,
        help="Atoms of the return distribution.",
        unit="atoms",
        source="Hessel et al. 2018, Table 1",
        group=LEARN,
        ge=2,
    )
    v_max: float = setting(
        10.0,
        help="The atoms span minus to plus this.",
        unit="discounted reward",
        source="Hessel et al. 2018, Table 1",
        group=LEARN,
        gt=0,
    )
    target_every: int = setting(
        2_000,
        help="Updates between copies to the target network.",
        unit="updates",
        source="code",
        group=LEARN,
        ge=1,
    )
    priority_exponent: float = setting(
        0.5,
        help="Alpha of prioritised replay.",
        unit="-",
        source="Hessel et al. 2018, Table 1",
        group=LEARN,
        ge=0,
        le=1,
        search=Search(0.3, 0.8),
    )
    importance_exponent: float = setting(
        0.4,
        help="Beta of prioritised replay at the first update; rises linearly to 1 at the end.",
        unit="-",
        source="Hessel et al. 2018, Table 1; Table 10",
        group=LEARN,
        ge=0,
        le=1,
    )
    acting_noise: Literal["update", "step"] = setting(
        "update",
        help="Act under the last update's noise, or draw new noise each step.",
        unit="-",
        source="code",
        group=LEARN,
    )
    hidden: int = setting(
        256, help="Width of the head.", unit="features", source="Table 10", group=NETWORK, ge=1
    )
    noise: float = setting(
        0.5,
        help="Initial scale of the noisy layers.",
        unit="-",
        source="Hessel et al. 2018, Table 1; code",
        group=NETWORK,
        ge=0,
    )
    checkpoint_every: int = setting(
        10_000,
        help="Steps between checkpoints while playing.",
        unit="agent steps",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
    )
    figures: bool = setting(
        True,
        help="Draw pictures and a film of the first evaluation game at the end.",
        unit="-",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
    )
    log_every: int = setting(
        100,
        help="Steps (or iterations) between logged rows.",
        unit="agent steps",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
    )

    @model_validator(mode="after")
    def _something_to_learn(self) -> RainbowConfig:
        """Refuse values that contradict each other."""
        if self.random_steps > self.steps:
            raise ValueError(
                f"--random-steps {self.random_steps} is more than --steps {self.steps}"
            )
        if self.learn_start < self.n_step + 1:
            raise ValueError(
                f"--learn-start {self.learn_start} leaves nothing to sample: "
                f"it must exceed --n-step {self.n_step}"
            )
        if self.learn_start >= self.steps:
            raise ValueError(
                f"--learn-start {self.learn_start} is not less than --steps {self.steps}: "
                "nothing would be learnt"
            )
        return self
