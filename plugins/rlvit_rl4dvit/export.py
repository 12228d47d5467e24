"""Writes a trained model as files that need neither rlvit nor timm."""

from __future__ import annotations

import importlib
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rlvit.contracts import TokenBackbone
from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit.nn.ragged import whole
from rlvit.nn.walk import run_block
from rlvit.specs import ExportRequest
from rlvit_rl4dvit.config import Rl4dvitConfig
from rlvit_rl4dvit.standalone import pruned_vit
from rlvit_rl4dvit.standalone.fixed_vit import FixedVit
from rlvit_rl4dvit.standalone.pruned_vit import ACTIVATIONS, Backbone, PrunedVit, attend_densely
from rlvit_rl4dvit.standalone.readme import readme

FORMS = ("onnx", "python", "torch-export")
ONNX_PACKAGES = ("onnx", "onnxscript")
ONE_FILE = 2**30  # bytes of weights; ONNX files end at 2**31
MULTIPLE = 8  # patches: kernels are made for sizes that are multiples of it
EXAMPLE = 2  # images that a graph is traced with; one would be taken for a constant
TOLERANCE = 1e-3  # of the largest logit


def architecture(backbone: TokenBackbone) -> dict[str, Any]:
    """Return all that an exported model must know of a backbone beside its weights.

    Plain JSON. "unsupported" lists what the exported model could not do, [] if it does everything;
    "class_names" are the head's, [] if they are the dataset's.
    """
    try:
        facts = _facts(backbone)
        problems = _differences(backbone, facts)
    except (AttributeError, LookupError, TypeError, ValueError) as problem:
        facts, problems = {}, [f"a backbone that is not laid out like timm's ({problem})"]
    return {**facts, "class_names": list(backbone.class_names), "unsupported": problems}


def _facts(backbone: TokenBackbone) -> dict[str, Any]:
    """Read the architecture from the modules."""
    model: Any = backbone.module
    block: Any = backbone.blocks[0]
    shape, project = backbone.shape, model.patch_embed.proj
    norms = {
        "norm_pre": model.norm_pre,
        "norm1": block.norm1,
        "q_norm": getattr(block.attn, "q_norm", None),
        "k_norm": getattr(block.attn, "k_norm", None),
        "attn_norm": getattr(block.attn, "norm", None),
        "norm2": block.norm2,
        "norm": model.norm,
        "fc_norm": model.fc_norm,
    }
    return {
        "image_size": backbone.image_size,
        "patch_size": project.kernel_size[0],
        "patch_bias": project.bias is not None,
        "patches": shape.patches,
        "grid": list(backbone.grid),
        "cls_has_position": not model.no_embed_class,
        "width": shape.dim,
        "depth": shape.depth,
        "heads": block.attn.num_heads,
        "hidden": shape.hidden,
        "qkv_bias": block.attn.qkv.bias is not None,
        "layer_scale": hasattr(block.ls1, "gamma"),
        "activation": _activation(block.mlp.act),
        "norms": {name: _eps(norm) for name, norm in norms.items()},
        "classes": shape.classes,
        "pixel_scale": model.pixel_scale.flatten().tolist(),  # [3]
        "pixel_shift": model.pixel_shift.flatten().tolist(),
    }


def _eps(norm: Any) -> float | None:
    return None if norm is None or isinstance(norm, nn.Identity) else float(norm.eps)


def _activation(module: nn.Module) -> str:
    """Return the name in ACTIVATIONS, or that of the class if there is none."""
    if getattr(module, "approximate", "none") == "tanh":
        return "gelu_tanh"
    kind = type(module).__name__
    return {"GELU": "gelu", "GELUTanh": "gelu_tanh", "QuickGELU": "quick_gelu"}.get(kind, kind)


def _differences(backbone: TokenBackbone, facts: Mapping[str, Any]) -> list[str]:
    """Return in what the exported model would differ from the backbone."""
    if facts["activation"] not in ACTIVATIONS:
        return [f"the activation {facts['activation']}"]
    with torch.device("meta"):
        copy = Backbone(facts)
    state = backbone.module.state_dict()
    wanted = {name: list(tensor.shape) for name, tensor in copy.state_dict().items()}
    given = {name: list(tensor.shape) for name, tensor in state.items()}
    names = [n for n in {**given, **wanted} if given.get(n) != wanted.get(n)]
    if names:
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        return [f"a backbone with other weights than a plain ViT's: {shown}"]
    copy.load_state_dict(state, assign=True)
    difference = _difference(backbone, copy.to(next(iter(state.values())).device).eval())
    if difference < TOLERANCE:
        return []
    return [f"a backbone that computes something else: logits differ by {difference:.2g}"]


@torch.no_grad()
def _difference(backbone: TokenBackbone, copy: Backbone) -> float:
    """Compare logits of one random image, as a share of the largest."""
    device, size = copy.cls_token.device, backbone.image_size
    draws = torch.Generator().manual_seed(0)
    image = torch.randint(256, (1, 3, size, size), dtype=torch.uint8, generator=draws).to(device)
    trains = backbone.module.training
    backbone.module.eval()
    ragged, x = whole(backbone.embed(image)), copy.embed(image)
    for theirs, mine in zip(backbone.blocks, copy.blocks, strict=True):
        ragged, x = run_block(theirs, ragged), mine(x, attend_densely)
    expected, found = backbone.readout(ragged.cls), copy.readout(x[:, 0])
    backbone.module.train(trains)
    return float((found - expected).abs().max() / expected.abs().max())


def export(request: ExportRequest) -> None:
    """Write the model of a completed run into `request.out`.

    "python": weights, configuration and a module that needs PyTorch and safetensors only.
    "torch-export" and "onnx": a graph in which every image keeps the same number of patches.

    Raises:
        UnknownName: the form is none of these.
        UsageProblem: the run has no agents, or the packages for the form are missing.
        RlvitError: the run's files are missing, or its backbone cannot be exported.
    """
    if request.form not in FORMS:
        raise UnknownName("form", request.form, FORMS)
    _check_selector(request.slots["selector"])
    if request.form == "onnx":
        _check_onnx()
    weights, threshold = _weights(request.folder / "artifacts" / "model")
    config = _config(request, threshold)
    if config["decide"] == "sample":
        request.say(
            "The run drew its decisions when it was measured; the exported model takes the "
            "likelier one, so that its accuracy and cost differ from the run's."
        )
    if request.form == "python":
        shutil.copyfile(pruned_vit.__file__, request.out / "pruned_vit.py")
        save_file(weights, request.out / "model.safetensors")
    else:
        config["kept"] = _counts(request.folder, config)
        config["bf16"] = False
        _write_graph(request, config, weights)
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (request.out / "config.json").write_text(text + "\n", encoding="utf-8")
    (request.out / "README.md").write_text(readme(config), encoding="utf-8")


def _check_selector(name: str) -> None:
    """Raise UsageProblem unless trained agents decide."""
    if name == "random":
        raise UsageProblem("selector 'random' draws anew each time: there is no model to export.")
    if name != "token-agents":
        raise UsageProblem(
            f"only runs of selector 'token-agents' can be exported yet; this run's is {name!r}."
        )


def _check_onnx() -> None:
    """Raise UsageProblem unless torch can write ONNX."""
    try:
        for package in ONNX_PACKAGES:
            importlib.import_module(package)
    except ImportError:
        raise UsageProblem(f"--form onnx needs: pip install {' '.join(ONNX_PACKAGES)}") from None


def _weights(folder: Path) -> tuple[dict[str, Tensor], float]:
    """Return the exported model's weights, and the log-odds above which a patch stays."""
    weights = {f"backbone.{n}": t for n, t in _tensors(folder / "backbone.safetensors").items()}
    agents = _tensors(folder / "agents.safetensors")
    threshold = float(agents.pop("threshold"))
    return {**weights, **{f"actor.{n}": t for n, t in agents.items()}}, threshold


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as problem:
        raise RlvitError(f"the run's {path} cannot be read: {problem}") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise RlvitError(f"the run's {path} cannot be read: {problem}") from None
    return found


def _config(request: ExportRequest, threshold: float) -> dict[str, Any]:
    """Return what goes into config.json.

    Raises:
        RlvitError: a file of the run is missing, or its backbone is not supported.
    """
    assert isinstance(request.config, Rl4dvitConfig)
    config, artifacts = request.config, request.folder / "artifacts"
    found = _json(artifacts / "model" / "architecture.json")
    head, unsupported = found.pop("class_names"), found.pop("unsupported")
    if unsupported:
        raise RlvitError(f"this model cannot be exported: it has {'; '.join(unsupported)}.")
    classes = _json(artifacts / "data" / "data.json")["classes"]
    return {
        "form": request.form,
        "class_names": head or classes,
        "dataset_classes": classes,
        "decision_blocks": list(config.blocks()),
        "decide": config.decide,
        "threshold": threshold,
        "bf16": config.precision == "bf16",
        "actor": {
            "sees_cls": config.actor_state == "agent_specific",
            "normalises": config.normalise_tokens,
        },
        "architecture": found,
        "trained": _trained(request),
    }


def _trained(request: ExportRequest) -> dict[str, Any]:
    """Return where the model comes from, and what was measured of it."""
    run = _json(request.folder / "run.json")
    inputs = _json(request.folder / "artifacts" / "model" / "artifact.json")["inputs"]
    results = {
        row["metric"]: (row["value"], row["unit"])
        for row in run["results"]
        if row["step"] == inputs["step"] and not row["superseded"] and row["value"] is not None
    }
    return {
        "run": run["id"],
        "task": request.task.name,
        "protocol": run["protocol"],
        "backbone": request.slots["backbone"],
        "weights": inputs["weights"],
        "seed": inputs["seed"],
        "step": inputs["step"],
        "results": results,
    }


def _counts(folder: Path, config: Mapping[str, Any]) -> list[int]:
    """Return how many patches a graph keeps after each decision: the run's means, rounded up.

    Raises:
        RlvitError: the run's predictions are missing.
    """
    step, patches = config["trained"]["step"], config["architecture"]["patches"]
    path = folder / "artifacts" / f"predictions-{step}" / "predictions.npz"
    try:
        with np.load(path) as table:
            means = table["kept"].mean(0)  # [L]
    except (OSError, ValueError, KeyError) as problem:
        raise RlvitError(f"the run's {path} cannot be read: {problem}") from None
    return [min(patches, MULTIPLE * max(1, math.ceil(mean / MULTIPLE))) for mean in means]


def _write_graph(
    request: ExportRequest, config: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> None:
    """Trace the model with a fixed number of patches, for any number of images."""
    with torch.device("meta"):
        model = PrunedVit(config)
    model.load_state_dict(dict(weights), assign=True)
    fixed = FixedVit(model, config["kept"]).eval().requires_grad_(False)
    size = model.backbone.image_size
    images = torch.zeros(EXAMPLE, 3, size, size, dtype=torch.uint8)
    shapes = {"images": {0: torch.export.Dim("batch", min=1)}}
    shown = ", ".join(map(str, config["kept"]))
    request.say(f"Every image keeps {shown} patches in this form, unlike in the run (README.md).")
    with torch.no_grad():
        program = torch.export.export(fixed, (images,), dynamic_shapes=shapes)
    if request.form == "torch-export":
        torch.export.save(program, request.out / "model.pt2")
        return
    heavy = sum(t.nbytes for t in weights.values()) > ONE_FILE
    torch.onnx.export(
        program,
        (),
        request.out / "model.onnx",
        input_names=["images"],
        output_names=["logits"],
        dynamo=True,
        external_data=heavy,
        verbose=False,
    )
