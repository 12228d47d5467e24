"""`rlvit registry`: what keeps the database of all runs sound and answers questions about it."""

from __future__ import annotations

import click

from rlvit.cli.registry_rebuild import rebuild
from rlvit.cli.registry_tools import check, query, upgrade


@click.group()
def registry() -> None:
    """Query, upgrade, check and rebuild the database of all runs."""


registry.add_command(query)
registry.add_command(upgrade)
registry.add_command(check)
registry.add_command(rebuild)
