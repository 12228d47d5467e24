"""What was spent on tuning, from the tables of the registry."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

import rlvit
from rlvit.registry import queries, schema
from rlvit.registry.store import Store
from rlvit.registry.tuning import tuning_trials


def a_study(name: str) -> schema.Study:
    """Return a study; what it searches does not matter here."""
    words = {"stem": name, "space_hash": "0" * 64, "preset": "quick", "stop": "", "storage": ""}
    tried = {"method": "toy", "task": "Alpha", "protocol": "brief"}
    empty = ("request", "space", "objectives", "sampler", "pruner", "seeds")
    return schema.Study(
        name=name, seed=0, trials=3, created_at=0.0, **words, **tried, **{one: {} for one in empty}
    )


def a_trial(study: str, number: int, state: str = "completed", source: str = "") -> schema.Trial:
    return schema.Trial(
        study=study, number=number, state=state, params={}, values=None, reason="", source=source,
        process={}, heartbeat_at=0.0, started_at=0.0, ended_at=None,
    )  # fmt: skip


@pytest.mark.usefixtures("toy_alone")
def test_all_trials_of_the_studies_that_tried_a_configuration(tmp_path: Path) -> None:
    home = tmp_path / "home"
    known = {"puzzle": "Alpha", "preset": "quick", "device": "cpu", "threads": 1}
    tried = rlvit.run("toy", home=home, seed=0, **known)
    other = rlvit.run("toy", home=home, seed=0, slots={"reward": "toy-half"}, **known)
    store = Store(f"sqlite:///{home / 'registry.db'}")
    prints = [queries.find_run(store.engine, one.id).fingerprint for one in (tried, other)]
    assert tuning_trials(store.engine, prints) == {}
    with Session(store.engine) as session:
        session.add_all([a_study("one"), a_study("two")])
        session.flush()
        session.add_all(
            [
                a_trial("one", 0),
                a_trial("one", 1, state="failed"),  # spent all the same
                a_trial("one", 2, source="two:0"),  # taken over: spent there
                a_trial("two", 0),
            ]
        )
        session.flush()
        session.add(schema.TrialRun(study="one", number=0, seed=0, run_id=tried.id))
        session.commit()
    assert tuning_trials(store.engine, prints) == {prints[0]: 2}
    assert tuning_trials(store.engine, prints[1:]) == {}
    with Session(store.engine) as session:  # another study tried it, too
        session.add(schema.TrialRun(study="two", number=0, seed=0, run_id=tried.id))
        session.commit()
    assert tuning_trials(store.engine, prints) == {prints[0]: 3}
    store.close()
