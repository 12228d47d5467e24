"""The 26 Atari-100k games and their reference scores, importable without any heavy dependency."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Game:
    """One game: its published name, its ale-py ROM id, and its two reference scores.

    The scores are raw game points per full game. The human-normalised score of a result x is
    (x - random_score) / (human_score - random_score).
    """

    name: str
    rom: str
    random_score: float
    human_score: float


# Points per full game: uniform random play, and a human tester under 30 random no-ops and 108K
# frames. Read in danijar/dreamerv3 baselines.yaml (atari57_gamer) and in eloialonso/iris
# results/data RANDOM.json and HUMAN.json, which agree on all 26 games.
ATARI_100K: tuple[Game, ...] = (
    Game("Alien", "alien", 227.8, 7127.7),
    Game("Amidar", "amidar", 5.8, 1719.5),
    Game("Assault", "assault", 222.4, 742.0),
    Game("Asterix", "asterix", 210.0, 8503.3),
    Game("BankHeist", "bank_heist", 14.2, 753.1),
    Game("BattleZone", "battle_zone", 2360.0, 37187.5),
    Game("Boxing", "boxing", 0.1, 12.1),
    Game("Breakout", "breakout", 1.7, 30.5),
    Game("ChopperCommand", "chopper_command", 811.0, 7387.8),
    Game("CrazyClimber", "crazy_climber", 10780.5, 35829.4),
    Game("DemonAttack", "demon_attack", 152.1, 1971.0),
    Game("Freeway", "freeway", 0.0, 29.6),
    Game("Frostbite", "frostbite", 65.2, 4334.7),
    Game("Gopher", "gopher", 257.6, 2412.5),
    Game("Hero", "hero", 1027.0, 30826.4),
    Game("Jamesbond", "jamesbond", 29.0, 302.8),
    Game("Kangaroo", "kangaroo", 52.0, 3035.0),
    Game("Krull", "krull", 1598.0, 2665.5),
    Game("KungFuMaster", "kung_fu_master", 258.5, 22736.3),
    Game("MsPacman", "ms_pacman", 307.3, 6951.6),
    Game("Pong", "pong", -20.7, 14.6),
    Game("PrivateEye", "private_eye", 24.9, 69571.3),
    Game("Qbert", "qbert", 163.9, 13455.0),
    Game("RoadRunner", "road_runner", 11.5, 7845.0),
    Game("Seaquest", "seaquest", 68.4, 42054.7),
    Game("UpNDown", "up_n_down", 533.4, 11693.2),
)
