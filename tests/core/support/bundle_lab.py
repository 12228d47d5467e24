"""Makes bundles, forged ones as well, and imports them; also in processes that are killed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from whole_registry import Maker

from rlvit.catalog import Catalog, build_catalog
from rlvit.home import Home
from rlvit.manager import create_plugin_manager
from rlvit.registry import queries
from rlvit.registry.store import Store
from rlvit.runs.bundle import importing
from rlvit.runs.bundle.export import Exported, export_bundle
from rlvit.runs.bundle.gather import Wanted
from rlvit.runs.bundle.importing import Imported, import_bundle
from rlvit.runs.bundle.names import LIMITS, Limits

Members = dict[str, bytes]
Origin = tuple[Home, dict[str, Path], dict[str, str]]


def export(home: Home, path: Path, *run_ids: str, **wanted: bool) -> Exported:
    """Write runs, all that there are if none is named, into a bundle."""
    store = Store(home.registry_url)
    try:
        known = [run.id for run in queries.list_runs(store.engine, archived=None)]
        chosen = run_ids or known
        return export_bundle(store, home, chosen, path, Wanted(**wanted), lambda *_: None)
    finally:
        store.close()


def take(catalog: Catalog, home: Home, path: Path, limits: Limits = LIMITS) -> Imported:
    """Import a bundle."""
    return import_bundle(catalog, home, path, lambda text: None, lambda *_: None, limits)


def tree(root: Path) -> dict[str, str]:
    """Return the hash of every file of a home but its locks, and every folder."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_dir():
            found[name] = "folder"
        elif "/.locks/" not in f"/{name}" and not name.endswith(".lock"):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def members(path: Path) -> Members:
    """Return the members of a bundle, the manifest among them."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forge(
    source: Path,
    target: Path,
    change: Callable[[Members], None] = lambda found: None,
    manifest: Callable[[dict[str, Any]], None] = lambda said: None,
    infos: Callable[[zipfile.ZipInfo], None] = lambda info: None,
) -> None:
    """Write a bundle like another one, with a manifest that fits unless it is changed, too.

    Args:
        source: a bundle.
        target: the forged one.
        change: changes the members.
        manifest: changes the manifest, after sizes and hashes were made to fit.
        infos: changes the entry of a member.
    """
    found = members(source)
    said = json.loads(found.pop("manifest.json"))
    change(found)
    said["members"] = [
        {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in found.items()
    ]
    manifest(said)
    text = json.dumps(said).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [*found.items(), ("manifest.json", text)]:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            infos(info)
            archive.writestr(info, data)


def npz(**arrays: Any) -> bytes:
    """Return arrays as a file, also those that must be pickled."""
    import numpy as np

    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def make_origin(catalog: Catalog, folder: Path) -> Origin:
    """Return a home, its bundles and its runs: two completed, one in three states."""
    home = Home.locate(folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        maker = Maker(catalog, home, patch)
        first = maker.run(tags={"sweep": "a"}, note="ü").id
        second = maker.run(seed=1, values={"mode": "sum"}).id
        third = maker.run("13:SIGTERM", seed=2).id
        bundles = {name: folder / f"{name}.rlvit" for name in ("two", "early", "middle", "late")}
        export(home, bundles["two"], first, second)
        export(home, bundles["early"], third)
        maker.resume(third, "22:SIGTERM")
        export(home, bundles["middle"], third, second)
        maker.resume(third)
        export(home, bundles["late"], third)
    return home, bundles, {"first": first, "second": second, "third": third}


def import_and_die(sites: list[str], home: str, path: str, point: str, number: int) -> None:
    """Import a bundle in this process, and be killed in front of the `number`-th step `point`."""
    sys.path[:0] = sites
    catalog = build_catalog(create_plugin_manager())
    calls = 0

    def deadly(step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*arguments, **more)

        return call

    if point == "rename":
        os.rename = deadly(os.rename)
    elif point == "fsync":
        os.fsync = deadly(os.fsync)
    elif point == "delete":
        Store.delete_run = deadly(Store.delete_run)
    else:
        setattr(importing, point, deadly(getattr(importing, point)))
    take(catalog, Home.locate(home), Path(path))


def import_whole(sites: list[str], home: str, path: str) -> None:
    """Import a bundle in this process."""
    sys.path[:0] = sites
    take(build_catalog(create_plugin_manager()), Home.locate(home), Path(path))
