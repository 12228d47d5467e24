"""Samplers and pruners by name. A sampler is made anew for each trial: it has no state to lose."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
    WilcoxonPruner,
)
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from rlvit.errors import UsageProblem
from rlvit.specs import digest
from rlvit.tune.space import Range

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

Made = TypeVar("Made")
SAMPLERS = ("tpe", "gp", "nsga2", "cmaes", "random", "grid", "qmc")
PRUNERS = ("none", "median", "asha", "hyperband", "wilcoxon", "dominated")
ONE_OBJECTIVE = ("cmaes",)


def _quietly(make: Callable[..., Made], *arguments: Any) -> Made:
    """Make something of Optuna's without its word that it is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(*arguments)


def trial_seed(seed: int, number: int) -> int:
    """Return the 32-bit seed of a trial: those of other trials and studies are independent."""
    return int(digest([seed, number])[:8], 16)


class FreshSampler(BaseSampler):
    """Makes a sampler for each trial from the study's seed and the trial's number.

    Whoever goes on with a study draws what would have been drawn without a stop. What a sampler
    has learnt lies in the trials; what it counts (the grid, CMA-ES, a quasi-random sequence, the
    generations of NSGA-II), Optuna keeps in its storage.
    """

    def __init__(self, make: Callable[[int], BaseSampler]) -> None:
        self._make = make
        self._now = _quietly(make, 0)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Make the sampler of a trial."""
        self._now = _quietly(self._make, trial.number)
        self._now.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the ranges that are drawn together."""
        return self._now.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw values together."""
        return self._now.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one value."""
        return self._now.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Let the sampler note the end of a trial.

        The grid's would only stop `Study.optimize`, which does not run here, and raise.
        """
        if not isinstance(self._now, GridSampler):
            self._now.after_trial(study, trial, state, values)


def grid_size(space: Mapping[str, Range]) -> int:
    """Return how many points a grid has; raises UsageProblem where it has no end."""
    return math.prod(len(one.grid()) for one in space.values())


def point(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return values as a point of a grid, on which 0.3 is 3 * 0.1."""
    values = (params[name] for name in sorted(params))
    return tuple(f"{v:.12g}" if isinstance(v, float) else str(v) for v in values)


class WholeGrid(GridSampler):
    """Takes the points of a grid in turn, but those that the study has, also from older studies."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Choose the point of a trial, unless it has one."""
        if "grid_id" in trial.system_attrs or "fixed_params" in trial.system_attrs:
            return
        places = {point(self._point(n)): n for n in range(len(self._all_grids))}
        taken = {
            one.system_attrs.get("grid_id", places.get(point(one.params)))
            for one in study.get_trials(deepcopy=False)
            if one.number != trial.number
        }
        free = (number for number in range(len(self._all_grids)) if number not in taken)
        chosen, storage = next(free, 0), study._storage
        storage.set_trial_system_attr(trial._trial_id, "search_space", self._search_space)
        storage.set_trial_system_attr(trial._trial_id, "grid_id", chosen)

    def _point(self, number: int) -> dict[str, Any]:
        return dict(zip(self._param_names, self._all_grids[number], strict=True))


def check_sampler(name: str, space: Mapping[str, Range], objectives: Mapping[str, str]) -> None:
    """Refuse a sampler that cannot search this space for these objectives; raises UsageProblem."""
    if name in ONE_OBJECTIVE and len(objectives) > 1:
        raise UsageProblem(
            f"--sampler {name} has one objective; take tpe, nsga2 or gp for several."
        )
    if name == "grid":
        for one in space.values():
            one.grid()
    if name == "cmaes" and all(one.low is None for one in space.values()):
        raise UsageProblem("--sampler cmaes needs a range of numbers; these are choices alone.")


def make_sampler(
    settings: Mapping[str, Any], seed: int, space: Mapping[str, Range]
) -> FreshSampler:
    """Return the sampler that a study's settings mean.

    Args:
        settings: `name`, `startup` (trials drawn at random first) and `population` (of NSGA-II
            and CMA-ES), None for Optuna's own.
        seed: of the study.
        space: where it searches.
    """
    given = {key: settings[key] for key in ("startup", "population") if settings.get(key)}
    startup = {"n_startup_trials": given["startup"]} if "startup" in given else {}
    # Quasi-random sequences and the order of a grid belong to the study, not to a trial.
    makers: dict[str, Callable[[int], BaseSampler]] = {
        "tpe": lambda own: TPESampler(seed=own, **startup),
        "gp": lambda own: GPSampler(seed=own, **startup),
        "nsga2": lambda own: NSGAIISampler(seed=own, population_size=given.get("population", 50)),
        "cmaes": lambda own: CmaEsSampler(
            seed=own, popsize=given.get("population"), warn_independent_sampling=False, **startup
        ),
        "random": lambda own: RandomSampler(seed=own),
        "grid": lambda own: WholeGrid({n: r.grid() for n, r in space.items()}, seed=seed),
        "qmc": lambda own: QMCSampler(
            seed=seed,
            scramble=True,
            independent_sampler=RandomSampler(seed=own),
            warn_independent_sampling=False,
        ),
    }
    make = makers[settings["name"]]
    return FreshSampler(lambda number: make(trial_seed(seed, number)))


def make_pruner(settings: Mapping[str, Any]) -> BasePruner:
    """Return Optuna's pruner that a study's settings mean; rlvit's own is not among them.

    Args:
        settings: `name`, `startup` (finished trials before the first decision) and `start` (the
            step of the first decision), None for Optuna's own.
    """
    startup, start = settings.get("startup"), settings.get("start")
    name = settings["name"]
    if name == "median":
        first = 5 if startup is None else startup
        return MedianPruner(n_startup_trials=first, n_warmup_steps=start or 0)
    if name == "asha":
        return SuccessiveHalvingPruner(min_resource=start or "auto")
    if name == "hyperband":
        return HyperbandPruner(min_resource=start or 1)
    if name == "wilcoxon":
        return _quietly(WilcoxonPruner)
    return NopPruner()
