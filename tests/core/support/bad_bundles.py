"""Bundles that nobody should take, each with what its refusal says."""

from __future__ import annotations

import json
import pickle
import random
from pathlib import Path

from bundle_forge import (
    Evil,
    Forge,
    add_line,
    adding,
    as_bzip2,
    as_device,
    as_symlink,
    change_info,
    change_line,
    change_members,
    change_run,
    checkpoint,
    deep_manifest,
    encrypted,
    flip_content,
    folder_member,
    keeping,
    lying_size,
    not_utf8,
    other_id,
    other_manifest,
    overlapping,
    pickled_array,
    rewrite,
    same_with_bytes,
    saying,
    twice,
    unlisted,
    wrong_hash,
    wrong_size,
)

BAD: dict[str, tuple[Forge, str]] = {
    # no ZIP, no whole one, one with something else in it
    "empty": (rewrite(lambda data: b""), "does not begin as a ZIP file does"),
    "text": (rewrite(lambda data: b"hello, world" * 100), "does not begin as a ZIP file does"),
    "cut off": (
        rewrite(lambda data: data[: len(data) // 2]),
        "its end is missing, it was cut off",
    ),
    "one byte short": (rewrite(lambda data: data[:-1]), "its end is missing"),
    "bytes behind": (rewrite(lambda data: data + b"more"), "4 bytes were added behind its end"),
    "bytes before": (
        rewrite(lambda data: data[:4] + data),
        "bytes were put into it or taken out",
    ),
    "bytes lost": (rewrite(lambda data: data[:500] + data[600:]), "put into it or taken out"),
    "flipped": (flip_content, "metrics.jsonl' is damaged"),
    "no manifest": (
        rewrite(lambda data: data.replace(b"manifest.json", b"mAnifest.json")),
        "has no",
    ),
    # names
    "parent": (adding("runs/{run}/../../evil.json"), "is no name of a file in a bundle"),
    "absolute": (adding("/etc/evil.json"), "is no name of a file in a bundle"),
    "drive": (adding("C:/evil.json"), "is no name of a file in a bundle"),
    "backslash": (adding("runs\\{run}\\evil.json"), "is no name of a file in a bundle"),
    "hidden": (adding("runs/{run}/.bashrc"), "is no name of a file in a bundle"),
    "reserved": (adding("runs/{run}/artifacts/x/NUL.json"), "is no name of a file in a bundle"),
    "trailing dot": (adding("runs/{run}/log.txt."), "is no name of a file in a bundle"),
    "newline": (adding("runs/{run}/a\nb.txt"), "is no name of a file in a bundle"),
    "bidi": (adding("runs/{run}/a\u202etxt.json"), "is no name of a file in a bundle"),
    "not utf-8": (not_utf8, "the name of a member is not UTF-8"),
    "another run's": (
        adding("runs/toy-alpha-s0-zzzzzzzz/run.json"),
        "belongs to no run that it",
    ),
    "a lock": (adding("runs/shared/evil.json"), "belongs to no run that it says it has"),
    "top": (adding("registry.db"), "belongs to no run that it says it has"),
    "too deep": (
        adding("runs/{run}/artifacts/a/b/c.json"),
        "belongs to no run that it says it has",
    ),
    "import note": (adding("runs/{run}/import.json"), "belongs to no run that it says it has"),
    "capitals": (adding("runs/{run}/LOG.txt", b""), "differ in capital letters only"),
    "file and folder": (
        change_members(
            lambda found, run_id: found.update(
                {f"runs/{run_id}/artifacts/x/y": b"", f"runs/{run_id}/artifacts": b""}
            )
        ),
        "is a file and a folder",
    ),
    "odd id": (other_id("con-alpha-s0-abcdefgh/.."), "is no id of a run"),
    "no id": (other_id("shared"), "is no id of a run"),
    # members
    "link": (change_info(as_symlink), "log.txt' is a link, a folder or a device"),
    "device": (change_info(as_device), "log.txt' is a link, a folder or a device"),
    "folder": (folder_member, "it has a member called 'runs/"),
    "bzip2": (change_info(as_bzip2), "is packed in a way that bundles are not"),
    "encrypted": (encrypted, "is encrypted"),
    "twice": (twice, "it has two members called 'runs/"),
    "unlisted": (unlisted, "does not name the member 'runs/"),
    "missing": (
        saying(lambda said: said["members"].append(said["members"][0] | {"name": "studies/x"})),
        "belongs to no run",
    ),
    "lost": (
        saying(
            lambda said: said["members"].append(
                said["members"][0]
                | {"name": said["members"][0]["name"].rpartition("/")[0] + "/lost.json"}
            )
        ),
        "lost.json' is missing",
    ),
    "same as nothing": (
        saying(lambda said: said["members"][0].update(same_as="runs/nothing.json")),
        "is not the same as 'runs/nothing.json'",
    ),
    "same as itself": (
        saying(lambda said: said["members"][0].update(same_as=said["members"][0]["name"])),
        "is not the same as 'runs/",
    ),
    "same as another size": (
        saying(lambda said: said["members"][0].update(same_as=said["members"][1]["name"])),
        "is not the same as 'runs/",
    ),
    "same, with bytes": (saying(same_with_bytes), "does not name the member 'runs/"),
    "wrong size": (saying(wrong_size), "manifest.json says"),
    "wrong hash": (saying(wrong_hash), "has not the SHA-256 that it should have"),
    "lying size": (lying_size, "log.txt' is damaged"),
    "overlapping": (overlapping, "shares its bytes with another"),
    "bomb": (adding("runs/{run}/bomb.txt", bytes(2**25)), "more than 200 times"),
    # the manifest
    "deep manifest": (deep_manifest, "manifest.json is nested too deeply"),
    "no json": (other_manifest(b"{"), "manifest.json is not sound JSON"),
    "not utf-8 json": (other_manifest(b'"\xff"'), "manifest.json is not sound JSON"),
    "a list": (other_manifest(b"[]"), "is not that of a bundle"),
    "newer": (
        saying(lambda said: said.update(format=99, rlvit="9.0")),
        r"written in format 99 (by rlvit 9.0), this rlvit reads up to 2: upgrade rlvit",
    ),
    "no number": (saying(lambda said: said.update(format="1")), "is wrong at 'format'"),
    "unknown key": (saying(lambda said: said.update(run="x.sh")), "is wrong at 'run'"),
    "huge integer": (
        saying(lambda said: said.update(created=10**30)),
        "an integer of 31 digits",
    ),
    "no runs": (saying(lambda said: said.update(runs=[])), "it holds no run"),
    "run twice": (
        saying(lambda said: said["runs"].append(said["runs"][0])),
        "a run twice",
    ),
    "other state": (
        saying(lambda said: said["runs"][0].update(state="completed")),
        "its manifest says other things of run",
    ),
    "running": (
        saying(lambda said: said["runs"][0].update(state="running")),
        "is wrong at",
    ),
    # run.json
    "another id": (change_run(lambda run: run.update(id="toy-alpha-s0-00000000")), "another run"),
    "another seed": (change_run(lambda run: run.update(seed=3)), "with seed 3, its id not"),
    "fingerprint": (change_run(lambda run: run["config"].update(rate=9.0)), "has a fingerprint"),
    "newer run": (change_run(lambda run: run.update(format=77)), "has format 77, this rlvit reads"),
    "direction": (
        change_run(lambda run: run["metrics"][0].update(direction="sideways")),
        "is wrong at 'metrics.0.direction'",
    ),
    "seed as text": (change_run(lambda run: run.update(seed="0")), "is wrong at 'seed'"),
    "config as list": (change_run(lambda run: run.update(config=[])), "is wrong at 'config'"),
    "unknown state": (change_run(lambda run: run.update(state="done")), "is wrong at 'state'"),
    "no legal move": (
        change_run(lambda run: run["transitions"][1].update(to_state="completed")),
        "a run does not go from",
    ),
    "nan in run": (change_run(lambda run: run.update(seconds=float("nan"))), "NaN is no JSON"),
    "nul": (change_run(lambda run: run.update(note="a\0b")), "a NUL in a text"),
    "half a character": (change_run(lambda run: run.update(note="\ud800")), "not sound JSON"),
    "artifact elsewhere": (
        change_run(lambda run: run["artifacts"][0].update(path="/etc/passwd")),
        "is wrong at 'artifacts.0.path'",
    ),
    "artifact above": (
        change_run(lambda run: run["artifacts"][0].update(path="runs/../../x")),
        "has an artifact outside of the runs' folder",
    ),
    "deep run": (
        change_run(lambda run: run.update(provenance=json.loads('{"a":' * 80 + "1" + "}" * 80))),
        "is nested too deeply",
    ),
    # streams
    "step as text": (change_line("metrics", lambda row: row.update(step="x")), "its step is 'x'"),
    "step below 0": (change_line("metrics", lambda row: row.update(step=-1)), "its step is -1"),
    "step too large": (
        change_line("metrics", lambda row: row.update(step=2**63)),
        "its step is 9223",
    ),
    "step true": (change_line("metrics", lambda row: row.update(step=True)), "its step is True"),
    "attempt": (
        change_line("metrics", lambda row: row.update(attempt=7)),
        "its attempt is 7, of 1",
    ),
    "nan": (add_line(b'{"attempt":1,"step":1,"time":1,"toy/weight":NaN}'), "NaN is no JSON"),
    "infinite": (
        add_line(b'{"attempt":1,"step":1,"time":1,"toy/weight":1e999}'),
        "its toy/weight is inf",
    ),
    "text value": (
        change_line("metrics", lambda row: row.update({"toy/weight": "1"})),
        "its toy/weight is '1', which is no number",
    ),
    "undeclared": (
        change_line("metrics", lambda row: row.update({"x/y": 1})),
        "'x/y' is not declared",
    ),
    "list": (add_line(b"[1]"), "it is no object"),
    "damaged": (add_line(b'{"attempt":1,'), "line 14 of metrics.jsonl"),
    "two in one": (add_line(b"{},{}"), "line 14 of metrics.jsonl"),
    "long line": (
        add_line(b'"' + random.Random(0).randbytes(2**21 + 5).hex().encode() + b'"'),
        "is longer than 4,194,304 bytes",
    ),
    "result": (
        change_members(
            lambda found, run_id: found.update({f"runs/{run_id}/results.jsonl": b'{"attempt":1}\n'})
        ),
        "line 1 of results.jsonl",
    ),
    "episode": (
        change_line(
            "episodes",
            lambda row: row.update(attempt=1, step=1, index=0, score="high", length=1),
        ),
        "its score is 'high'",
    ),
    "marks": (
        adding("runs/{run}/superseded.jsonl", b'{"attempt":1}\n'),
        "line 1 of superseded",
    ),
    "log of bytes": (adding("runs/{run}/log.txt", b"\xff\xfe\0"), "is no text"),
    # artifacts and checkpoints
    "pickle": (adding("runs/{run}/evil.pickle", pickle.dumps(Evil())), "do not carry"),
    "shell": (keeping(lambda: {"evil.sh": b"#!/bin/sh\n"}), "do not carry"),
    "pickle as png": (
        keeping(lambda: {"a.png": pickle.dumps(Evil())}),
        "a.png of run toy-alpha-s0-{id} is not what its name says",
    ),
    "pickle as weights": (
        keeping(lambda: {"a.safetensors": pickle.dumps(Evil())}),
        "not what",
    ),
    "objects": (keeping(lambda: {"a.npz": pickled_array()}), "an array of Python objects"),
    "pickle as json": (keeping(lambda: {"a.json": pickle.dumps(Evil())}), "not sound JSON"),
    "artifact's hash": (
        change_members(
            lambda found, run_id: found.update(
                {f"runs/{run_id}/artifacts/table/table.json": b'{"scale": 2}'}
            )
        ),
        "the artifact table of run",
    ),
    "shared hash": (
        change_members(
            lambda found, run_id: found.update(
                {name: b"{}" for name in found if name.endswith("/table.json") and "shared" in name}
            )
        ),
        "have not the SHA-256 that they should have",
    ),
    "shared name": (
        change_members(
            lambda found, run_id: [
                found.update({f"shared/frames-0123/{Path(name).name}": found.pop(name)})
                for name in list(found)
                if name.startswith("shared/")
            ]
        ),
        "the shared artifact frames-0123 is another one, 'table'",
    ),
    "evil checkpoint": (
        change_members(
            lambda found, run_id: found.update(
                {
                    name: checkpoint(pickle.dumps(Evil(), protocol=2))
                    for name in found
                    if name.endswith(".pt")
                }
            )
        ),
        "posix system",
    ),
    "newer evil checkpoint": (
        change_members(
            lambda found, run_id: found.update(
                {
                    name: checkpoint(pickle.dumps(Evil(), protocol=4))
                    for name in found
                    if name.endswith(".pt")
                }
            )
        ),
        "STACK_GLOBAL",
    ),
    "no checkpoint": (
        change_members(
            lambda found, run_id: found.update(
                {name: b"\x80\x02K\x01." for name in found if name.endswith(".pt")}
            )
        ),
        "is damaged",
    ),
}
