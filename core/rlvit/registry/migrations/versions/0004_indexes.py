"""Indexes on runs, so that lists and reports of 100,000 do not read every one."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the indexes; the one of states and times takes the place of the one of states."""
    op.drop_index(op.f("ix_run_state"), "run")
    op.create_index(op.f("ix_run_name"), "run", ["name"])
    op.create_index(
        op.f("ix_run_state_archived_created_at"), "run", ["state", "archived", "created_at"]
    )
    op.create_index(
        op.f("ix_run_experiment_id_archived_state_created_at_id"),
        "run",
        ["experiment_id", "archived", "state", "created_at", "id"],
    )


def downgrade() -> None:
    """Bring the old index back."""
    op.drop_index(op.f("ix_run_experiment_id_archived_state_created_at_id"), "run")
    op.drop_index(op.f("ix_run_state_archived_created_at"), "run")
    op.drop_index(op.f("ix_run_name"), "run")
    op.create_index(op.f("ix_run_state"), "run", ["state"])
