"""Lets the tests of the documentation install plugins as the tests of the core do."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "core" / "support"))
