"""Refuses the network while a rule is tried, and remembers who asked for it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

LOCAL = ("127.0.0.1", "::1", "localhost")
CALLS = ("connect", "connect_ex", "sendto")


class NetworkRefused(OSError):
    """Something asked for the network during a check."""


@contextlib.contextmanager
def no_network() -> Iterator[list[str]]:
    """Refuse connections to other machines, and the look-up of their names, within the block.

    Yields:
        What was asked for, as text: it fills up even if whoever asked catches the error.
    """
    asked: list[str] = []
    lookup = socket.getaddrinfo

    def refuse(target: object) -> None:
        asked.append(str(target))
        raise NetworkRefused(f"the network is refused during a check; {target} was asked for")

    def guarded(name: str) -> Any:
        plain = getattr(socket.socket.__base__, name)

        def call(self: socket.socket, *arguments: Any) -> Any:
            address = arguments[-1]
            if isinstance(address, tuple) and address[0] not in LOCAL:
                refuse(address[0])
            return plain(self, *arguments)

        return call

    def look_up(host: Any, *arguments: Any, **more: Any) -> Any:
        if host is not None and host not in LOCAL:
            refuse(host)
        return lookup(host, *arguments, **more)

    own = {name: vars(socket.socket)[name] for name in CALLS if name in vars(socket.socket)}
    with contextlib.ExitStack() as undo:
        for name in CALLS:
            setattr(socket.socket, name, guarded(name))
            if name in own:
                undo.callback(setattr, socket.socket, name, own[name])
            else:
                undo.callback(delattr, socket.socket, name)
        socket.getaddrinfo = look_up
        undo.callback(setattr, socket, "getaddrinfo", lookup)
        yield asked
