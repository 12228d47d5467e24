"""The configuration of PPO glimpse: one class for three published variants and RAM.

What differs between variants has no default of its own: `adapt` fills it in from
`presets.VARIANTS`, whose values are those of the published files ("multi-categorical file",
"greedy-map file", "vit_rl.py"). "text" is the description beside them. The plugin's README explains
each preset.
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from rlvit.config import MethodConfig, Search, setting

GAME = "The game"
NETWORK = "Network"
LEARN = "Learning"
FAULTS = "Faults of the published code, off unless asked for"
KEEPING = "Measuring and book-keeping"
BY_VARIANT = "the variant's published file"

Variant = Literal["multi-categorical", "greedy-map", "hybrid-vit", "ram"]


class GlimpseConfig(MethodConfig):
    """All that decides a glimpse run but its dataset, protocol and seed."""

    variant: Variant = setting(
        "multi-categorical",
        help="Which agent: a CNN and LSTM with six moves and a class, the same with random actions "
        "and a novelty bonus, a ViT over past glimpses that decides when to answer, or RAM.",
        unit="-",
        source="text; ram: Mnih et al. 2014",
        group=GAME,
    )
    window: int | None = setting(
        None,
        help="Side of what the agent sees of a view, whatever the view's size; by default 8, half "
        "of an image below 16 pixels, an eighth of one above 64.",
        unit="pixels",
        source="text",
        group=GAME,
        ge=2,
        le=128,
    )
    max_steps: int | None = setting(
        None,
        help="Glimpses of a game at most.",
        unit="glimpses",
        source=BY_VARIANT,
        group=GAME,
        ge=1,
        le=1000,
    )
    start: Literal["uniform", "centre"] | None = setting(
        None, help="Where the first glimpse is.", unit="-", source=BY_VARIANT, group=GAME
    )
    step_share: float = setting(
        1 / 32,
        help="How far a move goes, for the variants with moves; a pixel at least.",
        unit="of the image's side",
        source="multi-categorical file: 1 pixel of 32",
        group=GAME,
        gt=0,
        le=1,
    )
    reward_right: float | None = setting(
        None, help="For a right answer.", unit="reward", source=BY_VARIANT, group=GAME, gt=0
    )
    novelty: float | None = setting(
        None,
        help="For seeing the whole image for the first time; a part of it earns its share.",
        unit="reward",
        source="greedy-map file (0.1, which it never pays)",
        group=GAME,
        ge=0,
    )
    novelty_of: Literal["pixels", "detail"] = setting(
        "pixels",
        help="What is new: pixels in no view before, or detail: pixels seen more finely than "
        "before (a view, or a ring, z times as wide as the window counts 1 / z).",
        unit="-",
        source="greedy-map file: pixels (detail: rlvit)",
        group=GAME,
    )
    epsilon: float | None = setting(
        None,
        help="Chance that a whole action is random while learning; its log-probability is that of "
        "the mixture, and there is none when measured.",
        unit="-",
        source="text; greedy-map file (0.1)",
        group=GAME,
        ge=0,
        lt=1,
    )
    at_limit: Literal["cut", "answer"] | None = setting(
        None,
        help="What becomes of a game of hybrid-vit that is not answered within --max-steps: it is "
        "cut off and earns nothing, or its last glimpse answers.",
        unit="-",
        source="vit_rl.py: cut (answer: rlvit)",
        group=GAME,
    )
    answer: Literal["last-step", "any-time"] | None = setting(
        None,
        help="When the variants with moves answer: with the class of their last action, or "
        "whenever an eighth head says so, and at --max-steps in any case.",
        unit="-",
        source="files: last-step (any-time: text)",
        group=GAME,
    )
    foveation: int = setting(
        0,
        help="See squares around the point of view of twice the side each, so many, instead of one "
        "(0: off); zooming then changes nothing.",
        unit="rings",
        source="text: named as future work",
        group=GAME,
        ge=0,
        le=6,
    )
    motion: Literal["none", "drift"] = setting(
        "none",
        help="Whether the image drifts over a canvas of twice its side while it is looked at.",
        unit="-",
        source="text: video, named as the most promising direction",
        group=GAME,
    )
    augment: Literal["none", "shift-flip", "shift"] = setting(
        "none",
        help="Training images: as they are, moved by up to an eighth of a side, or also mirrored.",
        unit="-",
        source="rlvit (the files do not say)",
        group=GAME,
    )

    encoder: Literal["conv", "linear"] | None = setting(
        None,
        help="What reads a glimpse in the recurrent network: two convolutions, or one layer.",
        unit="-",
        source=BY_VARIANT,
        group=NETWORK,
    )
    width: int | None = setting(
        None,
        help="Features of a glimpse and of the memory, or of a token.",
        unit="features",
        source=BY_VARIANT,
        group=NETWORK,
        ge=8,
        le=2048,
    )
    depth: int | None = setting(
        None,
        help="Blocks of the ViT over glimpses.",
        unit="blocks",
        source="vit_rl.py",
        group=NETWORK,
        ge=1,
        le=48,
    )
    memory_tokens: int = setting(
        0,
        help="Tokens that hybrid-vit carries from one segment of glimpses to the next (0: all past "
        "glimpses are read again at every step).",
        unit="tokens",
        source="text; Bulatov et al. 2022, Recurrent Memory Transformer",
        group=NETWORK,
        ge=0,
        le=64,
    )
    segment: int = setting(
        4,
        help="Glimpses of a segment, with --memory-tokens.",
        unit="glimpses",
        source="rlvit",
        group=NETWORK,
        ge=1,
    )
    place: Literal["deterministic", "beta", "tanh-normal"] | None = setting(
        None,
        help="How hybrid-vit chooses where to look: exactly (which no gradient reaches), or drawn "
        "from a density; ram's is always a normal of fixed deviation.",
        unit="-",
        source="text: deterministic",
        group=NETWORK,
    )
    answer_chance: float | None = setting(
        None,
        help="Chance that hybrid-vit, or who may answer at any time, answers after a glimpse, "
        "before it has learnt anything.",
        unit="-",
        source="vit_rl.py: a layer's usual initialisation, so about a half",
        group=NETWORK,
        gt=0,
        lt=1,
    )
    dropout: float | None = setting(
        None,
        help="Chance that hybrid-vit drops a feature, while it plays to learn, too, so that the "
        "policy that acts is not quite the one that is updated; none is dropped when measured.",
        unit="-",
        source="vit_rl.py: 0.1 (0 by default: rlvit)",
        group=NETWORK,
        ge=0,
        lt=1,
    )
    place_std: float = setting(
        0.15,
        help="Standard deviation of the place, of half the image's side: ram's always, that of "
        "hybrid-vit's tanh-normal to begin with (in the middle, where it is not yet squeezed).",
        unit="-",
        source="Mnih et al. 2014, section 4 (found by search there)",
        group=NETWORK,
        ge=1e-3,
        le=2,
    )

    algorithm: Literal["ppo", "reinforce"] = setting(
        "ppo",
        help="PPO, or one step of REINFORCE with a learnt baseline for each game, which has no use "
        "for --ppo-epochs, and for --clip in the log alone.",
        unit="-",
        source="text; Mnih et al. 2014",
        group=LEARN,
    )
    steps: int = setting(
        100_000_000,
        help="Glimpses to learn from, in all.",
        unit="environment steps",
        source="multi-categorical and greedy-map files",
        group=LEARN,
        aliases=("total_steps",),
        ge=1,
    )
    games: int | None = setting(
        None,
        help="Games of a rollout, all played to their end.",
        unit="games",
        source=BY_VARIANT,
        group=LEARN,
        ge=1,
    )
    minibatch: int | None = setting(
        None,
        help="Games of a minibatch: whole ones, so that memory learns through time.",
        unit="games",
        source=BY_VARIANT,
        group=LEARN,
        ge=1,
    )
    ppo_epochs: int | None = setting(
        None, help="PPO's passes over a rollout.", unit="-", source=BY_VARIANT, group=LEARN, ge=1
    )
    lr: float = setting(
        1e-4,
        help="Adam's step size.",
        unit="-",
        source="files",
        group=LEARN,
        gt=0,
        search=Search(3e-5, 1e-3, log=True),
    )
    schedule: Literal["constant", "cosine"] = setting(
        "constant",
        help="The step size over the run.",
        unit="-",
        source="rlvit (the files' cosine oscillates by mistake)",
        group=LEARN,
    )
    weight_decay: float | None = setting(
        None, help="AdamW's; at 0 it is Adam.", unit="-", source=BY_VARIANT, group=LEARN, ge=0
    )
    gamma: float | None = setting(
        None,
        help="Discount of a step.",
        unit="-",
        source=BY_VARIANT,
        group=LEARN,
        ge=0,
        le=1,
        search=Search(0.9, 1.0),
    )
    gae_lambda: float | None = setting(
        None,
        help="Decay of GAE.",
        unit="-",
        source=BY_VARIANT,
        group=LEARN,
        ge=0,
        le=1,
        search=Search(0.8, 1.0),
    )
    clip: float | None = setting(
        None,
        help="How far PPO's ratio may leave 1.",
        unit="-",
        source=BY_VARIANT,
        group=LEARN,
        gt=0,
        search=Search(0.1, 0.3),
    )
    value_weight: float | None = setting(
        None, help="Weight of the value's loss.", unit="-", source=BY_VARIANT, group=LEARN, ge=0
    )
    entropy_move: float | None = setting(
        None,
        help="Weight of the entropy of moves, or of the place.",
        unit="reward a nat",
        source=BY_VARIANT,
        group=LEARN,
        ge=0,
        search=Search(1e-4, 0.1, log=True),
    )
    entropy_zoom: float | None = setting(
        None,
        help="Weight of the entropy of zooming, or of the decision to answer.",
        unit="reward a nat",
        source=BY_VARIANT,
        group=LEARN,
        ge=0,
    )
    entropy_class: float | None = setting(
        None,
        help="Weight of the entropy of the class.",
        unit="reward a nat",
        source=BY_VARIANT,
        group=LEARN,
        ge=0,
    )
    grad_clip: float | None = setting(
        None, help="Largest norm of the gradient.", unit="-", source=BY_VARIANT, group=LEARN, gt=0
    )
    reconstruction: float | None = setting(
        None,
        help="Weight of hybrid-vit's squared error in drawing the present glimpse.",
        unit="-",
        source="vit_rl.py",
        group=LEARN,
        ge=0,
    )
    supervised: float | None = setting(
        None,
        help="Weight of the cross-entropy of the class head with the label, a term of its own "
        "beside the reward (by default 0, and 1 for ram, which learns its class by nothing else).",
        unit="-",
        source="Mnih et al. 2014, section 3 (hybrid loss); 0: the files'",
        group=LEARN,
        ge=0,
    )
    supervised_at: Literal["last", "every"] = setting(
        "last",
        help="Glimpses after which the supervised term asks for the class: a game's last, or every "
        "one, of which it is then the mean.",
        unit="-",
        source="Mnih et al. 2014, section 3 (every: rlvit)",
        group=LEARN,
    )
    class_counts: Literal["always", "when-read"] | None = setting(
        None,
        help="Whether the class belongs to every action's log-probability, or to that of the "
        "action which answers alone; ram draws no class.",
        unit="-",
        source="files: always (when-read, also of hybrid-vit by default: rlvit)",
        group=LEARN,
    )

    fault_epsilon: bool = setting(
        False,
        help="Random actions are taken for the policy's own, also when games are sampled to "
        "measure (greedy-map; no other variant has them).",
        unit="-",
        source="greedy-map file",
        group=FAULTS,
    )
    fault_memory: bool = setting(
        False,
        help="Each step learns from the memory of the rollout, alone: nothing through time; of "
        "hybrid-vit's history only the present glimpse.",
        unit="-",
        source="multi-categorical and greedy-map files; vit_rl.py",
        group=FAULTS,
    )
    fault_schedule: bool = setting(
        False,
        help="The cosine of the step size is advanced by minibatch, with the period of rollouts "
        "(multi-categorical and greedy-map).",
        unit="-",
        source="multi-categorical and greedy-map files",
        group=FAULTS,
    )
    fault_crop: bool = setting(
        False,
        help="Corners of zoomed views go as far as those of plain ones, so that views are cut off "
        "at the border and what is left of them is stretched (greedy-map).",
        unit="-",
        source="greedy-map file",
        group=FAULTS,
    )
    fault_resets: bool = setting(
        False,
        help="All games begin anew with a rollout of 128 steps, so that the last of each "
        "environment is cut off: one of 7 of 20 steps, or of 5 of 30, after 8 steps "
        "(multi-categorical and greedy-map).",
        unit="-",
        source="multi-categorical and greedy-map files",
        group=FAULTS,
    )
    fault_start: bool = setting(
        False,
        help="A game begins with a view as large as the last one of the game before (hybrid-vit).",
        unit="-",
        source="vit_rl.py",
        group=FAULTS,
    )

    validate_every: int = setting(
        20,
        help="Rollouts from one validation to the next.",
        unit="rollouts",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
    )
    validation_images: int = setting(
        1000,
        help="Validation images that are looked at then.",
        unit="images",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
    )
    figures: bool = setting(
        True,
        help="Draw trajectories, gaze maps, curves and a film.",
        unit="-",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
    )
    log_every: int = setting(
        5,
        help="Rollouts from one logged row to the next.",
        unit="rollouts",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
    )
    checkpoint_every: int = setting(
        20,
        help="Rollouts from one checkpoint to the next.",
        unit="rollouts",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
    )

    @model_validator(mode="after")
    def _agree(self) -> GlimpseConfig:
        if self.memory_tokens and self.variant != "hybrid-vit":
            raise ValueError("--memory-tokens: only hybrid-vit has tokens")
        return self
