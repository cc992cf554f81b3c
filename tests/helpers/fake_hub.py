"""A hub on this machine: one model, over HTTP, that can cut a file off or refuse. Runs in a thread."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

COMMIT = "c" * 40
REPOSITORY = "someone/tiny"


class FakeHub:
    """Serves the files of `folder` as the repository `someone/tiny`; a context manager.

    Attributes:
        cut_after: bytes of a weight file after which the connection breaks, each time; 0 for never.
        slow: seconds between blocks of a weight file.
        token: when set, requests without it are refused.
        asked: (method, path, Range header or "") of every request.
        sent: bytes of weights that went out.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cut_after = 0
        self.slow = 0.0
        self.token = ""
        self.asked: list[tuple[str, str, str]] = []
        self.sent = 0
        self.closing = threading.Event()
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeHub:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def listing(self) -> dict[str, object]:
        """What the hub says of the repository."""
        siblings = []
        for file in sorted(self.folder.iterdir()):
            data = file.read_bytes()
            entry: dict[str, object] = {"rfilename": file.name, "size": len(data), "blobId": "b"}
            if file.suffix == ".safetensors":
                sha = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"sha256": sha, "size": len(data), "pointerSize": 100}
            siblings.append(entry)
        return {"id": REPOSITORY, "modelId": REPOSITORY, "sha": COMMIT, "siblings": siblings}

    def tree(self) -> list[dict[str, object]]:
        """The same as a listing of files."""
        found: list[dict[str, object]] = []
        for entry in self.listing()["siblings"]:  # type: ignore[attr-defined]
            file = {"type": "file", "path": entry["rfilename"], "oid": "b", "size": entry["size"]}
            if "lfs" in entry:
                file["lfs"] = {**entry["lfs"], "oid": entry["lfs"]["sha256"]}
            found.append(file)
        return found


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"
    BLOCK = 4096

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub = self.hub
        path = self.path.partition("?")[0]
        wanted = self.headers.get("Range", "")
        hub.asked.append((self.command, path, wanted))
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)
        elif path.startswith(f"/api/models/{REPOSITORY}/tree/"):
            self._send(200, json.dumps(hub.tree()).encode(), {}, body=body)
        elif path.startswith(f"/api/models/{REPOSITORY}"):
            self._send(200, json.dumps(hub.listing()).encode(), {}, body=body)
        elif path.startswith(f"/{REPOSITORY}/resolve/"):
            self._file(hub.folder / path.rsplit("/", 1)[-1], wanted, body=body)
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)

    def _file(self, file: Path, wanted: str, *, body: bool) -> None:
        if not file.is_file():
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"}, body=body)
            return
        data = file.read_bytes()
        large = file.suffix == ".safetensors"
        sha = hashlib.sha256(data).hexdigest()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{sha if large else sha[:40]}"'}
        status = 200
        if wanted:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            data, status = data[start:], 206
        self._send(status, data, headers, body=body, large=large)

    def _send(
        self,
        status: int,
        data: bytes,
        headers: dict[str, str],
        *,
        body: bool,
        large: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not body:
            return
        hub, sent = self.hub, 0
        try:
            for place in range(0, len(data), self.BLOCK):
                block = data[place : place + self.BLOCK]
                if large and hub.cut_after and sent + len(block) > hub.cut_after:
                    self.wfile.write(block[: hub.cut_after - sent])
                    self.wfile.flush()
                    hub.sent += max(0, hub.cut_after - sent)
                    self.close_connection = True
                    self.connection.close()
                    return
                self.wfile.write(block)
                sent += len(block)
                if large:
                    hub.sent += len(block)
                    if hub.slow and hub.closing.wait(hub.slow):
                        return
        except OSError:  # the other side is gone
            self.close_connection = True
