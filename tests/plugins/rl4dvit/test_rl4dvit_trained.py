"""Trained agents of a completed run decide in other runs, frozen; prepared selectors are shared."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch

from rlvit.contracts import ImageShape, SelectorView
from rlvit.errors import UsageProblem
from rlvit.home import Home
from rlvit.nn.compute import VitShape
from rlvit.registry import queries
from rlvit.registry.store import Store
from rlvit.runs import execute
from rlvit.runs.execute import RunOutcome
from rlvit.runs.plan import Plan, Request, make_plan
from rlvit.runs.trained import COPY, TrainedSelector, find_trained, of_run
from rlvit_rl4dvit.frozen import check, load

AGENTVIT = {"epochs": 1, "batch": 16, "figures": False, "compare_masks": False}


@pytest.fixture(scope="module")
def catalog(tiny_vit: ModuleType) -> Any:
    return tiny_vit.make_catalog()


def found(catalog: Any, home: Home, text: str) -> TrainedSelector:
    store = Store(home.registry_url)
    try:
        return find_trained(catalog, store, home, text)
    finally:
        store.close()


def plan(catalog: Any, plugin: str, values: dict[str, Any], **more: Any) -> Plan:
    slots = {"backbone": "vit_pico_grid4", **more.pop("slots", {})}
    fixed = {"preset": "quick", "protocol": "tiny", "device": "cpu", "threads": 1}
    request = Request(plugin, "digits", values=values, slots=slots, **fixed, **more)
    return make_plan(catalog, request)


def artifacts(home: Home, outcome: RunOutcome) -> dict[str, tuple[str, str, str]]:
    """Role, maker and hash by kind of what a run used or made."""
    store = Store(home.registry_url)
    try:
        rows = queries.artifacts(store.engine, outcome.id)
        return {row.kind: (row.role, row.made_by, row.sha256) for row in rows if row.role == "used"}
    finally:
        store.close()


def test_agents_decide_in_another_method(
    catalog: Any, tiny_vit: ModuleType, whole_run: Any
) -> None:
    home = Home.locate(whole_run.home)
    trained = found(catalog, home, whole_run.id)
    wanted = plan(catalog, "agentvit", AGENTVIT, trained=trained)
    assert wanted.slots["selector"] == f"token-agents@{trained.artifact.sha256[:12]}"
    outcome = execute.start(catalog, home, wanted, tiny_vit.Rehearsal())
    assert outcome.state == "completed", outcome.error
    kept = next(m for m in outcome.results if m.metric == "eval/kept")
    assert (kept.value, kept.spread) == (round(16 * 30 / 64), 0.0)  # the method's own share
    used = artifacts(home, outcome)
    assert used["model"] == ("used", whole_run.id, trained.artifact.sha256)
    copy = outcome.folder / "artifacts" / COPY
    assert (copy / "agents.safetensors").is_file()

    again, others = of_run(catalog, wanted.slots, outcome.folder)
    assert others == {"backbone": "vit_pico_grid4"}
    assert again is not None
    assert again.artifact.folder == copy
    assert plan(catalog, "agentvit", AGENTVIT, trained=again).fingerprint == wanted.fingerprint
    random = plan(catalog, "agentvit", AGENTVIT, slots={"selector": "random"})
    assert random.fingerprint != wanted.fingerprint


def test_frozen_agents_decide_as_they_did_and_keep_the_share_that_is_asked(
    catalog: Any, whole_run: Any
) -> None:
    trained = found(catalog, Home.locate(whole_run.home), whole_run.id)
    spec = catalog.entry("backbone", "vit_pico_grid4").spec
    backbone = spec.make(torch.Generator().manual_seed(0), ImageShape(8, 10), None)
    agents = load(trained.artifact.folder, backbone)
    tokens = torch.randn(2 * 16, 64, generator=torch.Generator().manual_seed(1))
    alive = torch.ones(2, 16, dtype=torch.bool)
    view = SelectorView({"tokens": tokens, "cls": tokens[:2]}, alive, layer=3, grid=(4, 4))
    place = torch.arange(16).repeat(2)
    logit = agents.actor(tokens, tokens[:2], place, torch.arange(2).repeat_interleave(16))
    greedy = agents.select(view).keep
    assert greedy.tolist() == (logit > agents.threshold).view(2, 16).tolist()
    share = SelectorView(view.data, alive, layer=3, grid=(4, 4), rate=0.25)
    best = logit.view(2, 16).topk(4).indices.sort().values
    assert agents.select(share).keep.nonzero()[:, 1].view(2, 4).tolist() == best.tolist()
    assert not any(p.requires_grad for p in agents.actor.parameters())


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (VitShape(12, 192, 768, 16, 48, 10), "made for tokens of width 64, not 192"),
        (VitShape(12, 64, 256, 64, 48, 10), "made for 16 patches, not 64"),
        (VitShape(12, 64, 256, 16, 48, 10, prefix=0), "looks at the class token"),
    ],
)
def test_a_backbone_that_does_not_fit_is_refused(
    catalog: Any, whole_run: Any, shape: VitShape, expected: str
) -> None:
    folder = found(catalog, Home.locate(whole_run.home), whole_run.id).artifact.folder
    with pytest.raises(UsageProblem, match=expected):
        check(folder, shape)


def test_the_refusal_names_run_and_backbone(catalog: Any, whole_run: Any) -> None:
    trained = found(catalog, Home.locate(whole_run.home), whole_run.id)
    slots = {"backbone": "vit_pico_grid8"}
    with pytest.raises(UsageProblem, match=f"run {whole_run.id} does not fit .*vit_pico_grid8"):
        plan(catalog, "agentvit", AGENTVIT, slots=slots, trained=trained)
    with pytest.raises(UsageProblem, match="--selector random and --selector-from contradict"):
        plan(catalog, "agentvit", AGENTVIT, slots={"selector": "random"}, trained=trained)
    with pytest.raises(UsageProblem, match="trained by rl4dvit, not by agentvit"):
        plan(catalog, "agentvit", AGENTVIT, slots={"selector": "mappo"})


def test_an_autoencoder_is_trained_once_for_all_methods_and_found_again(
    catalog: Any, tiny_vit: ModuleType, tmp_path: Any
) -> None:
    home, salient = Home.locate(tmp_path), {"selector": "mae-salient"}
    own = {**tiny_vit.VALUES, "finetune_epochs": 0.0, "figures": False}
    outcomes = [
        execute.start(
            catalog, home, plan(catalog, name, values, slots=salient), tiny_vit.Rehearsal()
        )
        for name, values in (("rl4dvit", own), ("agentvit", AGENTVIT))
    ]
    assert [outcome.state for outcome in outcomes] == ["completed"] * 2
    assert len(list(home.shared.glob("mae-*"))) == 1
    assert artifacts(home, outcomes[1])["mae"][1] == outcomes[0].id
    with pytest.raises(UsageProblem, match="learns nothing that could be kept; expected one of"):
        found(catalog, home, outcomes[0].id)
