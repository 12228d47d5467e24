"""Alembic's entry: runs the migrations on the connection that `rlvit.registry.database` opened."""

from __future__ import annotations

from alembic import context

from rlvit.registry.schema import VERSION_TABLE, Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
