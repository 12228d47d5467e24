"""Exported models give the run's logits where neither rlvit nor timm can be imported."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rlvit.contracts import Selection, SelectorView
from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit.nn.pruning import PrunedVit
from rlvit.nn.vision import import_timm
from rlvit.specs import DATASET, ExportRequest, TaskSpec
from rlvit_rl4dvit.config import Rl4dvitConfig
from rlvit_rl4dvit.export import architecture, export
from rlvit_rl4dvit.selector import TokenAgents
from rlvit_timm.backbone import TimmBackbone

NEEDS = frozenset({"tokens", "cls"})
CLASSES = ("ant", "bee", "cat", "dog", "eel")
TASK = TaskSpec("pets", DATASET, "-", "-", (), "-", {})
STEP = 7
KEPT = np.array([[30, 17, 9], [10, 8, 8]])  # [S, L]; means 20, 12.5 and 8.5

ALONE = """
import json, sys
for name in ("rlvit", "rlvit_rl4dvit", "timm", "torchvision"):
    sys.modules[name] = None  # importing it fails
import torch
torch.set_num_threads(1)
for folder in json.loads(sys.argv[1]):
    sys.path.insert(0, folder)
    from pruned_vit import load
    model = load(folder)
    images = torch.load(folder + "/images.pt")
    logits, kept = model(images, return_kept=True)
    found = {"logits": logits, "kept": kept, "one": model(images[3:4]), "again": model(images)}
    torch.save({**found, "classes": model.class_names}, folder + "/found.pt")
    del sys.modules[sys.path.pop(0) and "pruned_vit"]
"""
GRAPH = """
import json, sys
for name in ("rlvit", "rlvit_rl4dvit", "timm", "torchvision"):
    sys.modules[name] = None
import torch
torch.set_num_threads(1)
for folder in json.loads(sys.argv[1]):
    model = torch.export.load(folder + "/model.pt2").module()
    images = torch.load(folder + "/images.pt")
    torch.save([model(images), model(images[2:3])], folder + "/found.pt")
"""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stirred(module: nn.Module, size: float = 0.1) -> Any:
    """A module in whose initialisation no bias, norm, scale or token is left 0 or 1."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += size * torch.randn(parameter.shape, generator=seeded(parameter.numel()))
    return module.eval()


def opened(build: Callable[..., Any], *arguments: Any, **settings: Any) -> TimmBackbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # timm draws from torch's own generator
        model = stirred(build(*arguments, **settings))
    return TimmBackbone(model, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), (), "f" * 64)


def small(**more: Any) -> TimmBackbone:
    """An 8x8 grid of patches of 4 pixels."""
    import_timm()
    from timm.models.vision_transformer import VisionTransformer

    settings = {"img_size": 32, "patch_size": 4, "num_classes": 5, "embed_dim": 24, "depth": 4}
    return opened(VisionTransformer, **{**settings, "num_heads": 3, **more})


def named(name: str) -> TimmBackbone:
    """A published architecture, short and for small images."""
    timm = import_timm()
    return opened(timm.create_model, name, depth=4, img_size=96, num_classes=5)


@dataclass
class Case:
    """A run's model, and what it says of images."""

    vit: PrunedVit
    config: Rl4dvitConfig
    images: Tensor

    @property
    def agents(self) -> Any:
        return self.vit.selector

    def write(self, folder: Path) -> ExportRequest:
        """Lay the run's files out as a completed run leaves them; return the request."""
        model, data = folder / "run/artifacts/model", folder / "run/artifacts/data"
        table = folder / f"run/artifacts/predictions-{STEP}"
        for path in (model, data, table, folder / "out"):
            path.mkdir(parents=True)
        state = self.agents.state()
        save_file(self.vit.backbone.module.state_dict(), model / "backbone.safetensors")
        agents = {**state["actor"], "threshold": torch.tensor(state["threshold"])}
        save_file(agents, model / "agents.safetensors")
        (model / "architecture.json").write_text(json.dumps(architecture(self.vit.backbone)))
        inputs = {"weights": "f" * 64, "selector": "token-agents", "seed": 3, "step": STEP}
        (model / "artifact.json").write_text(json.dumps({"inputs": inputs}))
        (data / "data.json").write_text(json.dumps({"classes": CLASSES}))
        np.savez_compressed(table / "predictions.npz", kept=KEPT)
        row = {"metric": "eval/top1", "unit": "%", "value": 61.5, "superseded": False}
        rows = [{**row, "step": STEP}, {**row, "step": 2, "value": 1.0}]
        run = {"id": "run-1", "protocol": "full", "results": rows}
        (folder / "run/run.json").write_text(json.dumps(run))
        slots = {"backbone": "vit", "selector": "token-agents"}
        say = (folder / "said").write_text
        return ExportRequest(
            folder / "run", self.config, TASK, slots, folder / "out", "python", say
        )


def case(backbone: TimmBackbone, threshold: float = 0.0, **settings: Any) -> Case:
    config = Rl4dvitConfig(decision_blocks="1,2,3", **settings)
    agents = TokenAgents(backbone, config)
    with torch.no_grad():
        stirred(agents.create(seeded(4)), 0.05).head.weight.mul_(100)  # they disagree
    agents.threshold = threshold
    bf16 = config.precision == "bf16"
    targets = torch.arange(5)
    vit = PrunedVit(backbone, agents, NEEDS, config.blocks(), targets=targets, bf16=bf16)
    size = backbone.image_size
    images = torch.randint(256, (11, 3, size, size), dtype=torch.uint8, generator=seeded(8))
    images[:5] = images[:5] // 4 + 40 * torch.arange(5, dtype=torch.uint8)[:, None, None, None]
    return Case(vit, config, images)


def cases() -> dict[str, Case]:
    target = {"decide": "calibrated", "target_keep": 0.5}
    fine = {"actor_state": "agent_specific", "normalise_tokens": True}
    return {
        "plain": case(small()),
        "calibrated": case(small(), 1.8, **target, **fine),
        "bf16": case(small(), precision="bf16"),
        "qk-norm": case(small(qk_norm=True, scale_attn_norm=True, qkv_bias=False)),
        "fc-norm": case(small(fc_norm=True, init_values=0.5), -0.5, normalise_tokens=True),
        "all-die": case(small(), 1e6),
        "all-live": case(small(), -1e6),
        "deit3": case(named("deit3_small_patch16_224")),  # layer scale, no position for cls
        "clip": case(named("vit_xsmall_patch16_clip_224")),  # norm_pre, no patch bias
        "quickgelu": case(named("vit_base_patch32_clip_quickgelu_224")),
    }


NAMES = ("plain", "calibrated", "bf16", "qk-norm", "fc-norm", "all-die", "all-live")
NAMES += ("deit3", "clip", "quickgelu")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Case, Path]]:
    """Every case, exported and run in one process that has neither rlvit nor timm."""
    found = {}
    for name, one in cases().items():
        folder = tmp_path_factory.mktemp(name)
        export(one.write(folder))
        torch.save(one.images, folder / "out/images.pt")
        found[name] = (one, folder / "out")
    alone(ALONE, [folder for _, folder in found.values()])
    return found


def alone(program: str, folders: Sequence[Path]) -> None:
    """Run a program on exported folders in a process of its own."""
    command = [sys.executable, "-I", "-B", "-c", program, json.dumps([str(f) for f in folders])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_exported_model_gives_the_runs_logits_alone(
    name: str, exported: dict[str, tuple[Case, Path]]
) -> None:
    one, folder = exported[name]
    found = torch.load(folder / "found.pt")
    with torch.inference_mode():
        walk = one.vit.walk(one.images)
    largest = walk.logits.abs().max()
    exactness = 1e-2 if name == "bf16" else 1e-5  # bf16 has 8 bits
    assert (found["logits"] - walk.logits).abs().max() <= exactness * largest
    assert walk.logits.std(0).min() > 1e-3  # images differ, so there is something to get wrong
    assert torch.equal(found["kept"], walk.alive.transpose(0, 1))
    counts = found["kept"].sum(2)  # [B, L]
    if not name.startswith("all"):
        assert len(set(counts[:, 0].tolist())) > 1  # images keep different numbers
        assert 0 < counts[:, -1].sum() <= counts[:, 0].sum() < found["kept"][:, 0].numel()
    if name != "bf16":  # in which a batch of another size may tip a decision
        assert (found["one"] - walk.logits[3:4]).abs().max() <= exactness * largest
    assert torch.equal(found["again"], found["logits"])
    assert found["classes"] == list(CLASSES)


def test_thresholds_that_keep_nothing_or_everything_are_no_special_case(
    exported: dict[str, tuple[Case, Path]],
) -> None:
    for name, count in (("all-die", 0), ("all-live", 64)):
        kept = torch.load(exported[name][1] / "found.pt")["kept"]
        assert set(kept.sum(2).flatten().tolist()) == {count}


def test_the_folder_explains_itself(exported: dict[str, tuple[Case, Path]]) -> None:
    folder = exported["calibrated"][1]
    written = {path.name for path in folder.iterdir()} - {"images.pt", "found.pt"}
    assert written == {"README.md", "config.json", "model.safetensors", "pruned_vit.py"}
    text = (folder / "README.md").read_text()
    program = text.split("```python\n")[1].split("```")[0]
    assert "uint8 [B, 3, 32, 32]" in text
    assert "above 1.8" in text
    assert "eval/top1: 61.5 %" in text
    assert "blocks 1, 2, 3" in text
    assert program.count("\n") == 3
    config = json.loads((folder / "config.json").read_text())
    assert config["class_names"] == list(CLASSES)
    assert config["threshold"] == pytest.approx(1.8, rel=1e-6)
    assert config["trained"]["run"] == "run-1"
    assert config["trained"]["results"] == {"eval/top1": [61.5, "%"]}
    # 255 * 0.2 is the deviation of the first channel in bytes, and 0.4 its mean.
    assert config["architecture"]["pixel_scale"][0] == pytest.approx(1 / 51)
    assert config["architecture"]["pixel_shift"][0] == pytest.approx(-2)


def test_the_programs_in_the_readme_run(
    exported: dict[str, tuple[Case, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, folder = exported["plain"]
    text = (folder / "README.md").read_text()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    names: dict[str, Any] = {"images": one.images}
    exec(text.split("```python\n")[1].split("```")[0], names)
    monkeypatch.delitem(sys.modules, "pruned_vit")
    assert names["logits"].shape == (11, 5)
    assert names["model"].class_names == list(CLASSES)
    assert not any(p.requires_grad for p in names["model"].parameters())


@pytest.mark.parametrize(
    ("images", "given"),
    [
        (torch.zeros(2, 3, 32, 32), "float32 [2, 3, 32, 32]"),
        (torch.zeros(2, 3, 32, 31, dtype=torch.uint8), "uint8 [2, 3, 32, 31]"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), "uint8 [3, 32, 32]"),
        (torch.zeros(0, 3, 32, 32, dtype=torch.uint8), "uint8 [0, 3, 32, 32]"),
    ],
)
def test_other_images_are_refused(
    images: Tensor, given: str, exported: dict[str, tuple[Case, Path]]
) -> None:
    from rlvit_rl4dvit.standalone.pruned_vit import load

    model = load(exported["plain"][1])
    with pytest.raises(ValueError, match="must be uint8") as problem:
        model(images)
    assert str(problem.value) == f"images must be uint8 [B, 3, 32, 32], got {given}"


def test_a_head_with_more_classes_than_the_dataset_keeps_its_own_names(tmp_path: Path) -> None:
    names = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")
    one = case(small(num_classes=7))
    one.vit.backbone.class_names = names
    request = one.write(tmp_path)
    export(request)
    config = json.loads((request.out / "config.json").read_text())
    assert config["class_names"] == list(names)
    assert config["dataset_classes"] == list(CLASSES)
    assert "The dataset has 5 of these classes" in (request.out / "README.md").read_text()


def test_a_run_that_drew_its_decisions_is_exported_greedy_and_says_so(tmp_path: Path) -> None:
    one = case(small(), decide="sample")
    request = one.write(tmp_path)
    export(request)
    assert "takes the likelier one" in (tmp_path / "said").read_text()
    assert "drew its decisions" in (request.out / "README.md").read_text()
    assert json.loads((request.out / "config.json").read_text())["threshold"] == 0


class TopAgents:
    """Keeps the patches that the actor likes best, as many as it is told."""

    def __init__(self, agents: TokenAgents, counts: dict[int, int]) -> None:
        self.agents, self.counts = agents, counts

    def select(self, view: SelectorView) -> Selection:
        image, position = view.alive.nonzero().unbind(1)
        assert self.agents.actor is not None
        logit = self.agents.actor(view.data["tokens"], view.data["cls"], position, image)
        scores = torch.full(view.alive.shape, -torch.inf)
        scores[image, position] = logit
        keep = torch.zeros_like(view.alive)
        return Selection(keep.scatter(1, scores.topk(self.counts[view.layer]).indices, True))

    def macs(self, view: SelectorView) -> Tensor:
        return torch.zeros(len(view.alive))


# The means 20, 12.5 and 8.5, rounded up to multiples of 8; a 6x6 grid has 36 patches.
COUNTS = {1: 24, 2: 16, 3: 16}


def graph_case(name: str) -> tuple[Case, Tensor]:
    """A case, and the logits when the best 24, 16 and 16 patches stay."""
    one = {
        "plain": lambda: case(small(), 0.3, decide="calibrated", target_keep=0.5),
        "deit3": lambda: case(named("deit3_small_patch16_224"), actor_state="agent_specific"),
    }[name]()
    agents: Any = TopAgents(one.agents, COUNTS)
    vit = PrunedVit(one.vit.backbone, agents, NEEDS, (1, 2, 3), targets=torch.arange(5))
    return one, vit.classify(one.images).logits


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Case, Tensor, Path]]:
    """Two graphs, exported and run in one process that has neither rlvit nor timm."""
    found = {}
    for name in ("plain", "deit3"):
        folder = tmp_path_factory.mktemp(name)
        one, expected = graph_case(name)
        export(replace(one.write(folder), form="torch-export"))
        torch.save(one.images, folder / "out/images.pt")
        found[name] = (one, expected, folder / "out")
    alone(GRAPH, [folder for *_, folder in found.values()])
    return found


@pytest.mark.parametrize("name", ["plain", "deit3"])
def test_a_graph_keeps_the_same_number_in_every_image(
    name: str, graphs: dict[str, tuple[Case, Tensor, Path]]
) -> None:
    one, expected, folder = graphs[name]
    several, single = torch.load(folder / "found.pt")
    largest = expected.abs().max()
    assert (several - expected).abs().max() <= 1e-5 * largest
    assert (single - expected[2:3]).abs().max() <= 1e-5 * largest
    whole = one.vit.classify(one.images).logits
    assert (whole - expected).abs().max() > 1e-3 * largest  # it is another model


def test_a_graph_explains_itself(graphs: dict[str, tuple[Case, Tensor, Path]]) -> None:
    folder = graphs["plain"][2]
    written = {path.name for path in folder.iterdir()} - {"images.pt", "found.pt"}
    assert written == {"README.md", "config.json", "model.pt2"}
    assert json.loads((folder / "config.json").read_text())["kept"] == [24, 16, 16]
    text = (folder / "README.md").read_text()
    assert "not exactly the trained model" in text
    assert "keeps 24, 16, 16 patches" in text
    assert "24, 16, 16" in (folder.parent / "said").read_text()


def test_counts_never_exceed_the_patches_there_are(tmp_path: Path) -> None:
    one = case(named("deit3_small_patch16_224"))  # 36 patches
    request = replace(one.write(tmp_path), form="torch-export")
    table = request.folder / f"artifacts/predictions-{STEP}/predictions.npz"
    np.savez_compressed(table, kept=np.array([[36, 32, 0]]))
    export(request)
    assert json.loads((request.out / "config.json").read_text())["kept"] == [36, 32, 8]


def test_onnx_gives_the_same_logits(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="ONNX export needs onnx and onnxscript")
    runtime = pytest.importorskip("onnxruntime", reason="nothing here runs ONNX files")
    one, expected = graph_case("plain")
    request = replace(one.write(tmp_path), form="onnx")
    export(request)
    assert {p.name for p in request.out.iterdir()} == {"README.md", "config.json", "model.onnx"}
    session = runtime.InferenceSession(request.out / "model.onnx")
    for images, wanted in ((one.images, expected), (one.images[2:3], expected[2:3])):
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        assert abs(logits - wanted.numpy()).max() <= 1e-5 * float(expected.abs().max())


@pytest.fixture
def request_of_a_run(tmp_path: Path) -> ExportRequest:
    return case(small()).write(tmp_path)


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_onnx_without_its_packages_says_what_to_install(
    missing: str, request_of_a_run: ExportRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UsageProblem, match="pip install onnx onnxscript"):
        export(replace(request_of_a_run, form="onnx"))
    assert not list(request_of_a_run.out.iterdir())


def test_an_unknown_form_is_refused(request_of_a_run: ExportRequest) -> None:
    with pytest.raises(UnknownName, match=r"unknown form 'pyton'\. Did you mean 'python'\?"):
        export(replace(request_of_a_run, form="pyton"))


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("random", "draws anew each time"),
        ("all", "only runs of selector 'token-agents' can be exported yet; this run's is 'all'"),
        ("cls-attention", "only runs of selector 'token-agents'"),
    ],
)
def test_control_arms_are_refused(
    selector: str, message: str, request_of_a_run: ExportRequest
) -> None:
    slots = {**request_of_a_run.slots, "selector": selector}
    with pytest.raises(UsageProblem, match=message):
        export(replace(request_of_a_run, slots=slots))


@pytest.mark.parametrize(
    "lost",
    [
        "run.json",
        "artifacts/data/data.json",
        "artifacts/model/architecture.json",
        "artifacts/model/agents.safetensors",
        "artifacts/model/backbone.safetensors",
    ],
)
@pytest.mark.parametrize("damage", ["gone", "torn"])
def test_a_lost_or_damaged_file_is_named_in_one_line(
    lost: str, damage: str, request_of_a_run: ExportRequest
) -> None:
    path = request_of_a_run.folder / lost
    path.unlink()
    if damage == "torn":
        path.write_bytes(b"{")
    with pytest.raises(RlvitError) as problem:
        export(request_of_a_run)
    assert str(path) in str(problem.value)
    assert "\n" not in str(problem.value)


def test_a_graph_needs_the_runs_predictions(request_of_a_run: ExportRequest) -> None:
    table = request_of_a_run.folder / f"artifacts/predictions-{STEP}/predictions.npz"
    table.unlink()
    with pytest.raises(RlvitError, match=r"predictions\.npz cannot be read"):
        export(replace(request_of_a_run, form="torch-export"))


class Mirrored(TimmBackbone):
    """A backbone whose embedding is not what its modules suggest."""

    def embed(self, images: Tensor) -> Tensor:
        return super().embed(images.flip(3))


def mirrored() -> TimmBackbone:
    plain: Any = small()
    return Mirrored(plain.module, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), (), "f" * 64)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: small(act_layer=nn.SiLU), "the activation SiLU"),
        (lambda: small(reg_tokens=2), "other weights than a plain ViT's: reg_token"),
        (
            lambda: small(norm_layer=partial(nn.RMSNorm, eps=1e-6)),
            "other weights than a plain ViT's: ",
        ),
        (lambda: mirrored(), "computes something else: logits differ by"),
        (lambda: headless(small()), "not laid out like timm's"),
    ],
)
def test_what_cannot_be_exported_is_recorded_and_refused_at_export(
    build: Any, message: str, request_of_a_run: ExportRequest
) -> None:
    found = architecture(build())
    assert len(found["unsupported"]) == 1
    assert message in found["unsupported"][0]
    path = request_of_a_run.folder / "artifacts/model/architecture.json"
    path.write_text(json.dumps(found))
    with pytest.raises(RlvitError, match="this model cannot be exported: it has") as problem:
        export(request_of_a_run)
    assert message in str(problem.value)


def headless(backbone: TimmBackbone) -> TimmBackbone:
    del backbone.module.patch_embed
    return backbone


def test_reading_the_architecture_changes_nothing() -> None:
    backbone = small()
    before = copy.deepcopy(backbone.module.state_dict())
    backbone.module.train()
    found = architecture(backbone)
    assert found["unsupported"] == []
    assert json.loads(json.dumps(found)) == found
    assert backbone.module.training
    assert all(p.requires_grad for p in backbone.module.parameters())
    for name, tensor in backbone.module.state_dict().items():
        assert torch.equal(tensor, before[name])
