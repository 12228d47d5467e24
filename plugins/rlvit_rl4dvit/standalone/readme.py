"""The README.md of an exported model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PYTHON = """\
A Vision Transformer that drops patches of an image where it need not compute them.
It needs PyTorch and safetensors:

```python
from pruned_vit import load
model = load(".")  # this folder; load(".", "cuda") for a GPU
logits = model(images)  # uint8 [B, 3, {size}, {size}]
```

- `images`: RGB, {size} pixels a side, values 0 to 255. The model normalises them itself.
- `logits`: float32 [B, {classes}]; `model.class_names[k]` names class k, as config.json does.
- `logits, kept = model(images, return_kept=True)`: `kept` is bool [B, {decisions}, {patches}], the
  patches left after the decisions before blocks {blocks} (counted from 0), row by row.

Each image keeps as many patches as its own patches decide: one stays if
{how}.
"""

GRAPH = """\
A Vision Transformer that drops patches of an image, as a graph of fixed shapes:

```python
{code}
```

- `images`: uint8 [B, 3, {size}, {size}], RGB, for any B from 1. The graph normalises them itself.
- `logits`: float32 [B, {classes}]; `class_names[k]` in config.json names class k.

**This is not exactly the trained model.** There, each image keeps as many patches as its own
patches decide. Here every image keeps {counts} patches after the decisions before blocks {blocks}
(counted from 0): those that the actor likes best. These are the means of the run's evaluation,
rounded up to multiples of 8, so that accuracy and cost differ from the run's.
"""

CODE = {
    "torch-export": """\
import torch
model = torch.export.load("model.pt2").module()
logits = model(images)""",
    "onnx": """\
import onnxruntime
model = onnxruntime.InferenceSession("model.onnx")
(logits,) = model.run(["logits"], {"images": images})  # NumPy arrays""",
}
HOW = {
    "greedy": "the actor finds that likelier than not",
    "sample": (
        "the actor finds that likelier than not. The run itself drew its decisions when it was\n"
        "measured, so that accuracy and cost differ from the run's"
    ),
    "calibrated": (
        "its log-odds of staying are above {threshold:.4g}, which was calibrated on training images"
    ),
}


def readme(config: Mapping[str, Any]) -> str:
    """Return the text for the content of a config.json."""
    architecture, trained = config["architecture"], config["trained"]
    facts = {
        "size": architecture["image_size"],
        "classes": architecture["classes"],
        "patches": architecture["patches"],
        "decisions": len(config["decision_blocks"]),
        "blocks": _listed(config["decision_blocks"]),
        "how": HOW[config["decide"]].format(threshold=config["threshold"]),
        "counts": _listed(config.get("kept", [])),
        "code": CODE.get(config["form"]),
    }
    body = (PYTHON if config["form"] == "python" else GRAPH).format(**facts)
    title = f"# {trained['backbone']} on {trained['task']}, pruned by RL4DViT\n\n"
    return f"{title}{body}{_answers(config)}\n{_results(trained)}"


def _answers(config: Mapping[str, Any]) -> str:
    """Say which classes are the dataset's, where the head has others besides."""
    if config["dataset_classes"] == config["class_names"]:
        return ""
    return (
        f"\nThe dataset has {len(config['dataset_classes'])} of these classes, `dataset_classes` "
        "in config.json. To choose among\nthose alone, take the largest of their logits.\n"
    )


def _results(trained: Mapping[str, Any]) -> str:
    """Return the run's own measurements."""
    lines = [
        f"- {name}: {value:.6g} {unit}\n" for name, (value, unit) in trained["results"].items()
    ]
    head = f"Trained by run {trained['run']}, which measured under protocol {trained['protocol']}"
    return f"{head}:\n\n{''.join(lines)}" if lines else f"{head}.\n"


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
