"""Studies: searches for good configurations, their trials, and the runs of each trial."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "study",
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("stem", sa.String(length=100), nullable=False),
        sa.Column("space_hash", sa.String(length=64), nullable=False),
        sa.Column("method", sa.String(length=60), nullable=False),
        sa.Column("task", sa.String(length=60), nullable=False),
        sa.Column("protocol", sa.String(length=60), nullable=False),
        sa.Column("preset", sa.String(length=60), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("space", sa.JSON(), nullable=False),
        sa.Column("objectives", sa.JSON(), nullable=False),
        sa.Column("sampler", sa.JSON(), nullable=False),
        sa.Column("pruner", sa.JSON(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("seeds", sa.JSON(), nullable=False),
        sa.Column("trials", sa.Integer(), nullable=False),
        sa.Column("stop", sa.String(length=10), nullable=False),
        sa.Column("storage", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_study")),
    )
    op.create_table(
        "trial",
        sa.Column("study", sa.String(length=120), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=140), nullable=False),
        sa.Column("process", sa.JSON(), nullable=False),
        sa.Column("heartbeat_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["study"], ["study.name"], name=op.f("fk_trial_study_study"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("study", "number", name=op.f("pk_trial")),
    )
    op.create_table(
        "trial_run",
        sa.Column("study", sa.String(length=120), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(
            ["study", "number"],
            ["trial.study", "trial.number"],
            name=op.f("fk_trial_run_study_trial"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("study", "number", "seed", name=op.f("pk_trial_run")),
    )
    op.create_index(op.f("ix_trial_run_run_id"), "trial_run", ["run_id"])


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("trial_run")
    op.drop_table("trial")
    op.drop_table("study")
