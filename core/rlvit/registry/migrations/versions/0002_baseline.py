"""Baselines: scores that the user imported, to stand beside those that rlvit measured."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "baseline",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("task", sa.String(length=60), nullable=False),
        sa.Column("protocol", sa.String(length=60), nullable=False),
        sa.Column("metric", sa.String(length=120), nullable=False),
        sa.Column("run_index", sa.Integer(), nullable=True),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("spread", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("cite", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("added_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["metric"], ["metric.name"], name=op.f("fk_baseline_metric_metric")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_baseline")),
        sa.UniqueConstraint(
            "name",
            "task",
            "protocol",
            "metric",
            "run_index",
            name=op.f("uq_baseline_name_task_protocol_metric_run_index"),
        ),
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("baseline")
