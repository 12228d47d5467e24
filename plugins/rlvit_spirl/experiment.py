"""SPIRL from beginning to end: frames, autoencoder, selection, Rainbow, evaluation (Fig. 5)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rlvit.contracts import Examined, Measurement, RunContext, Selector, State
from rlvit_spirl.agent import GreedyPolicy, PatchFeatures, RainbowAgent
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.film import Camera
from rlvit_spirl.frames import load_frames, recorded_frames
from rlvit_spirl.learning import Learnt, at_once, best_median, keep_agent, learn, nothing
from rlvit_spirl.mae import PATCHES
from rlvit_spirl.pictures import Subject
from rlvit_spirl.pretrain import pretrained
from rlvit_spirl.refining import Refining, keep_refined, take_weights
from rlvit_spirl.selection import cap
from rlvit_spirl.showing import show_run


def train(context: RunContext, config: SpirlConfig) -> None:
    """Train and evaluate one agent."""
    mae_seed = config.mae_seed if config.share_mae else context.seed
    mae = pretrained(context, config, mae_seed)
    evaluating = context.restored("evaluate")
    saved = context.restored("learn") or evaluating
    if saved is not None:
        take_weights(mae, saved["features"])
    selector: Selector = context.part("selector").make(mae, config, context.task)
    if saved is not None:
        selector.restore(saved["features"]["selector"])
    elif config.ratio_of(context.task.name) is None:
        recorded = load_frames(recorded_frames(context, config, mae_seed))
        sample = context.generator("ratio", mae_seed).permutation(len(recorded))
        decided = selector.prepare(recorded[sample[: config.ratio_frames]])
        context.log(0, decided)
        context.say(f"{context.task.name} has no published ratio; found {dict(decided)}")

    draws = context.torch_generator("selector")
    rate = cap(config.ratio_of(context.task.name) or 1.0) / PATCHES
    features = PatchFeatures(selector, mae, PATCHES, context.device, rate=rate, generator=draws)
    patches = features.prime()  # L, fixed by the cap
    refining = Refining(context, config, features) if config.refine_every else None
    observe, between = (refining, refining.between) if refining else (features, nothing)
    stream = context.generator("environment")
    settings = {"terminal_on_life_loss": True, **context.protocol.settings}
    environment = context.task.make(settings, int(stream.integers(2**31)))
    agent = RainbowAgent(
        environment.action_count, config, context.device, context.torch_generator("agent")
    )

    def evaluate(step: int) -> Examined:
        return context.evaluate(GreedyPolicy(agent, features, patches, at_once(context)), step)

    if saved is not None:
        observe.restore(saved["features"])
        agent.restore(saved["agent"])
    if evaluating is None:
        learnt = learn(context, config, environment, observe, agent, evaluate, saved, between)
    else:
        learnt = Learnt(evaluating["speed"], evaluating["medians"])

    def state() -> State:
        return {"features": observe.state(), "agent": agent.state(), **vars(learnt)}

    context.checkpoint("evaluate", config.steps, state, every=1)
    trained = json.loads((context.folder / "artifacts" / "mae" / "artifact.json").read_text())
    made_from = {"mae": trained["sha256"]}
    if refining is not None:
        made_from = {"mae-refined": keep_refined(context, config, mae, trained["sha256"]).sha256}
    keep_agent(context, agent, made_from)
    policy = GreedyPolicy(agent, features, patches, at_once(context))
    camera = Camera(policy, games=int(config.figures))
    measured = best_median(context, learnt.medians, context.evaluate(camera, config.steps))
    measured.append(Measurement("select/kept", features.kept / features.frames, features.frames))
    keep_counts(context, features.by_count, patches)
    title = f"{context.task.name}, seed {context.seed}, game 0"
    counted = (features.by_count, "learning and evaluation")
    subject = Subject(context.task.name, title, features, config, patches, *counted)
    show_run(context, camera, subject, title)
    if learnt.speed > 0:  # unknown where an attempt had no step left to take
        measured.append(Measurement("speed/steps", learnt.speed, 1))
    context.record(config.steps, measured)
    shutil.rmtree(context.folder / "replay", ignore_errors=True)  # nothing reads it any more
    agent.forget()
    features.embed.forget()


def keep_counts(context: RunContext, by_count: NDArray[np.int64], cap: int) -> None:
    """Keep how many frames of learning and evaluation kept 0, 1, .. patches, and the cap."""

    def build(folder: Path) -> None:
        np.savez(folder / "kept.npz", frames=by_count, cap=np.array(cap))

    context.keep("kept", {"cap": cap, "frames": int(by_count.sum())}, build)
