"""Views for people who ask in SQL; docs/registry.md has their columns.

A later migration that changes a table drops the views that read it first (SQLite renames no table
under a view), and makes them again with the same columns: what people wrote must go on working.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

# The names are neither those of our tables nor MLflow's or Optuna's (runs, tags, studies, trials):
# a team may keep all three in one PostgreSQL database.
VIEWS = {
    "runs_all": """
        SELECT run.id AS run, CASE WHEN run.name = run.id THEN NULL ELSE run.name END AS name,
            e.method, e.task, e.protocol, run.preset, run.seed, run.state, run.attempt,
            run.archived, run.note, e.config, run.bookkeeping, e.slots, e.protocol_settings,
            e.fingerprint, run.plugin, run.plugin_version, run.git_commit, run.git_dirty,
            {device} AS device, {gpu} AS gpu, {host} AS host, run.provenance, run.created_at,
            run.started_at, run.ended_at, run.seconds, run.error, run.folder
        FROM run JOIN experiment e ON e.id = run.experiment_id
    """,
    "results_live": """
        SELECT r.run_id AS run, e.method, e.task, e.protocol, run.preset, run.seed, run.state,
            run.archived, r.metric, m.unit, m.direction, r.step, r.value, r.spread, r.samples,
            r.attempt, NOT EXISTS (
                SELECT 1 FROM result o
                WHERE o.run_id = r.run_id AND o.metric = r.metric AND NOT o.superseded
                    AND (o.step > r.step OR (o.step = r.step AND (o.attempt > r.attempt
                        OR (o.attempt = r.attempt AND o."row" > r."row"))))
            ) AS latest
        FROM result r JOIN run ON run.id = r.run_id JOIN experiment e ON e.id = run.experiment_id
            JOIN metric m ON m.name = r.metric
        WHERE NOT r.superseded
    """,
    "points_live": """
        SELECT run_id AS run, metric, step, value, at, attempt FROM point WHERE NOT superseded
    """,
    "episodes_live": """
        SELECT run_id AS run, step, "index" AS episode, score, length, attempt
        FROM episode WHERE NOT superseded
    """,
    "artifacts_of_runs": """
        SELECT l.run_id AS run, a.kind, l.role, a.made_by, a.sha256, a.size, a.path, a.inputs
        FROM lineage l JOIN artifact a ON a.id = l.artifact_id
    """,
    "moves_of_runs": """
        SELECT run_id AS run, attempt, from_state, to_state, at, reason, detail FROM transition
    """,
    "tags_of_runs": "SELECT run_id AS run, key AS tag, value FROM tag",
    "metrics_all": """
        SELECT name AS metric, unit, direction, meaning, axis, timing FROM metric
    """,
    "baselines_all": """
        SELECT name AS method, task, protocol, metric, run_index, value, spread, n, status, source,
            cite, note, added_at
        FROM baseline
    """,
    "studies_all": """
        SELECT s.name AS study, s.method, s.task, s.protocol, s.preset, s.objectives, s.space,
            s.sampler, s.pruner, s.seed, s.seeds, s.request, s.trials AS wanted,
            (SELECT count(*) FROM trial t WHERE t.study = s.name) AS trials,
            s.storage, s.created_at
        FROM study s
    """,
    "trials_all": """
        SELECT study, number AS trial, state, params, "values" AS scores, reason, source,
            started_at, ended_at
        FROM trial
    """,
    "runs_of_trials": "SELECT study, number AS trial, seed, run_id AS run FROM trial_run",
}


def upgrade() -> None:
    """Make the views."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    form = "json_extract(run.provenance, '$.{}')" if sqlite else "run.provenance ->> '{}'"
    machine = {name: form.format(name) for name in ("device", "gpu", "host")}
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query.format(**machine).strip()}")


def downgrade() -> None:
    """Remove the views."""
    for name in VIEWS:
        op.execute(f"DROP VIEW {name}")
