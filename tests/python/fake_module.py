# SPDX-License-Identifier: Apache-2.0
"""A module that says what a test has written down, over real sockets and a real pseudo-terminal."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import tty
from collections.abc import Callable

PATIENCE = 20.0  # seconds until a test that waits for what does not come fails


class Peer:
    """The module's end of one connection."""

    def __init__(self, read: Callable[[int], bytes], write: Callable[[bytes], object]) -> None:
        self._read = read
        self.send = write
        self._octets = b""

    def take(self, size: int) -> bytes:
        while len(self._octets) < size:
            more = self._read(4096)
            if not more:
                raise EOFError
            self._octets += more
        taken, self._octets = self._octets[:size], self._octets[size:]
        return taken

    def line(self) -> bytes:
        octets = b""
        while not octets.endswith(b"\r"):
            octets += self.take(1)
        return octets

    def frame(self) -> bytes:
        return self.take(int.from_bytes(self.take(2), "big"))

    def wait_for_end(self) -> None:
        """Until the client closes the connection; it must send nothing more."""
        try:
            unexpected = self.take(1)
        except (EOFError, ConnectionResetError):
            return
        raise AssertionError(f"{unexpected!r} instead of the end")

    def send_frame(self, octets: bytes) -> None:
        self.send(len(octets).to_bytes(2, "big") + octets)


Script = Callable[[Peer], None]


class _Fake:
    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded, daemon=True)

    def _play(self) -> None:
        raise NotImplementedError

    def _guarded(self) -> None:
        try:
            self._play()
        except BaseException as error:
            self.failure = error

    def finish(self) -> None:
        """The script's end; what failed in it fails the test."""
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            raise AssertionError("the client has not done what the script waits for")
        if self.failure:
            raise self.failure


class TcpModule(_Fake):
    """One script for each connection."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._scripts = scripts
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread.start()

    def _play(self) -> None:
        with self._listener:
            for script in self._scripts:
                connection, _ = self._listener.accept()
                connection.settimeout(PATIENCE)
                if self._tls:
                    try:
                        connection = self._tls.wrap_socket(connection, server_side=True)
                    except OSError:  # a client that refuses this module, or is refused
                        connection.close()
                        continue
                with connection:
                    script(Peer(connection.recv, connection.sendall))


class SerialModule(_Fake):
    """One script for the line, which hangs up after it or stays until the end of the test."""

    def __init__(self, script: Script, hangs_up: bool = False) -> None:
        super().__init__()
        self._script = script
        self._hangs_up = hangs_up
        self._ends = os.openpty()
        tty.setraw(self._ends[1])
        self.path = os.ttyname(self._ends[1])
        self._thread.start()

    def _play(self) -> None:
        master = self._ends[0]
        self._script(Peer(lambda size: os.read(master, size), lambda octets: os.write(master, octets)))
        if self._hangs_up:
            self._close()

    def _close(self) -> None:
        for end in self._ends:
            os.close(end)
        self._ends = ()

    def finish(self) -> None:
        super().finish()
        self._close()
