"""Where a user's registry, runs and reports are: --home, RLVIT_HOME or the current folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rlvit.errors import UsageProblem


@dataclass(frozen=True)
class Home:
    """A folder that holds `registry.db`, `runs/` and `reports/`."""

    root: Path
    registry_url: str

    @classmethod
    def locate(cls, home: str | Path | None = None, registry: str | None = None) -> Home:
        """Find the home without making anything.

        Args:
            home: a folder; None means `RLVIT_HOME`, else the current folder.
            registry: an SQLAlchemy URL or a file name; None means `RLVIT_REGISTRY`, else
                `<home>/registry.db`.

        Raises:
            UsageProblem: the home is not a folder, or of a user who does not exist.
        """
        wanted = home or os.environ.get("RLVIT_HOME") or "."
        try:
            root = Path(wanted).expanduser().resolve()
        except RuntimeError:
            raise UsageProblem(f"--home {wanted}: there is no such user.") from None
        if root.exists() and not root.is_dir():
            raise UsageProblem(f"--home {root}: a folder was expected, this is a file.")
        url = registry or os.environ.get("RLVIT_REGISTRY") or f"sqlite:///{root / 'registry.db'}"
        if "://" not in url:
            url = f"sqlite:///{Path(url).expanduser().resolve()}"
        return cls(root, url)

    def require_registry(self) -> None:
        """Make sure that there is a registry to read.

        Raises:
            UsageProblem: there is none yet.
        """
        prefix = "sqlite:///"
        path = Path(self.registry_url.removeprefix(prefix))
        if self.registry_url.startswith(prefix) and not path.exists():
            raise UsageProblem(f"there is no registry at {path} yet; `rlvit run` makes one.")

    @property
    def runs(self) -> Path:
        """The folder that holds one folder a run."""
        return self.root / "runs"

    @property
    def shared(self) -> Path:
        """The folder of artifacts that several runs may use."""
        return self.runs / "shared"

    @property
    def locks(self) -> Path:
        """The folder of lock files."""
        return self.runs / ".locks"

    def create(self) -> None:
        """Make the folders.

        Raises:
            UsageProblem: the place cannot be written.
        """
        try:
            for folder in (self.runs, self.shared, self.locks, self.root / "reports"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageProblem(
                f"the home {self.root} cannot be written ({error.strerror}); "
                "choose another with --home."
            ) from error
