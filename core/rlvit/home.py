"""Where a user's registry, runs and reports are: --home, RLVIT_HOME or the current folder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from rlvit.errors import UsageProblem


@dataclass(frozen=True)
class Home:
    """A folder that holds `registry.db`, `runs/` and `reports/`."""

    root: Path
    registry_url: str

    @classmethod
    def locate(cls, home: str | Path | None = None, registry: str | Path | None = None) -> Home:
        """Find the home without making anything.

        Args:
            home: a folder; None means `RLVIT_HOME`, else the current folder.
            registry: an SQLAlchemy URL or a file name; None means `RLVIT_REGISTRY`, else
                `<home>/registry.db`.

        Raises:
            UsageProblem: the home is not a folder, or of a user who does not exist.
        """
        root = _absolute("home", home or os.environ.get("RLVIT_HOME") or ".")
        if root.exists() and not root.is_dir():
            raise UsageProblem(f"--home {root}: a folder was expected, this is a file.")
        wanted = registry or os.environ.get("RLVIT_REGISTRY") or root / "registry.db"
        if isinstance(wanted, str) and "://" in wanted:
            return cls(root, wanted)
        return cls(root, sqlite_url(_absolute("registry", wanted)))

    def require_registry(self) -> None:
        """Make sure that there is a registry to read.

        Raises:
            UsageProblem: there is none yet, or it is gone and the runs' folders are not.
        """
        path = sqlite_path(self.registry_url)
        if path is None or path.exists():
            return
        if folders := self._run_folders():
            raise UsageProblem(
                f"there is no registry at {path}, but {self.runs} has {folders}: "
                "`rlvit registry rebuild` makes it again."
            )
        raise UsageProblem(f"there is no registry at {path} yet; `rlvit run` makes one.")

    def require_writable(self) -> None:
        """Make sure that runs can be put here; nothing is made.

        Raises:
            UsageProblem: they cannot, as in an archive that is protected.
        """
        place = next(one for one in (self.runs, self.root, *self.root.parents) if one.exists())
        if not os.access(place, os.W_OK):
            raise UsageProblem(
                f"the home {self.root} cannot be written: copy it first, or use another with "
                "--home."
            )

    def lost_registry(self) -> str | None:
        """Return what to tell who begins a registry beside runs of a lost one, None otherwise."""
        path = sqlite_path(self.registry_url)
        folders = "" if path is None or path.exists() else self._run_folders()
        if not folders:
            return None
        return (
            f"a new registry is begun at {path}, beside {folders} in {self.runs} that it does not "
            "know: `rlvit registry rebuild` adds them"
        )

    def _run_folders(self) -> str:
        """Say how many folders of runs there are; nothing where there is none."""
        found = sum(not one.parent.name.startswith(".") for one in self.runs.glob("*/run.json"))
        return f"{found:,} run folder{'' if found == 1 else 's'}" if found else ""

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

    def located(self, stored: str | Path) -> Path:
        """Return where a run's folder or an artifact is, of which the registry holds `stored`.

        It is looked for in this home first, which may be a copy or have been moved, and then where
        it was made. The path in this home is returned where it is in neither.
        """
        path = Path(stored)
        places = [place for place, part in enumerate(path.parts) if part == self.runs.name]
        below = [self.runs.joinpath(*path.parts[place + 1 :]) for place in reversed(places)]
        return next((one for one in [*below, path] if one.exists()), [*below, path][0])

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


def sqlite_url(path: Path) -> str:
    """Return the SQLAlchemy URL of a file whatever its name: `?`, `%` and `#` mean themselves."""
    return f"sqlite:///{quote(os.fsencode(path), safe='/ +:')}"


def sqlite_path(url: str) -> Path | None:
    """Return the file that an SQLAlchemy URL means, or None where it means no SQLite file."""
    found = re.match(r"sqlite(?:\+\w+)?:///(?!file:|:memory:)([^?]+)", url)
    return Path(os.fsdecode(unquote_to_bytes(found[1]))) if found else None


def _absolute(option: str, wanted: str | Path) -> Path:
    """Return a path that the user gave without `~` and `..`; raises UsageProblem."""
    if not isinstance(wanted, str | os.PathLike):
        raise UsageProblem(f"{option}: expected a path, got {wanted!r}.")
    try:
        return Path(wanted).expanduser().resolve()
    except RuntimeError:
        raise UsageProblem(f"--{option} {wanted}: there is no such user.") from None
    except ValueError as error:  # a NUL in it
        raise UsageProblem(f"--{option} {str(wanted)!r}: {error}.") from None
