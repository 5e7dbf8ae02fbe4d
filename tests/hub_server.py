"""A tiny Hugging Face hub on 127.0.0.1, for tests: the part of its HTTP protocol that downloading a model needs.

    with HubServer() as hub:
        commit = hub.commit("owner/name", {"config.json": b"{}"})
        …  # HF_ENDPOINT=hub.url

    GET       /api/models/{id}[/revision/{revision}]       what the repository is, and its commit
    GET       /api/models/{id}/tree/{revision}             its files
    HEAD GET  /{id}/resolve/{revision}/{file}              one file, or the range of it that was asked for

/api/datasets/{id} and /datasets/{id} answer for the same repositories: those that a test commits to may be either.
Wrong requests get the status and the X-Error-Code of the real hub. It never writes, and keeps no connection open.
"""

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """Its commits (hash → file name → content), what each branch points to, and who may read it."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    token: str | None = None


@dataclass(frozen=True)
class Request:
    """One request that was answered: for asserting what went over the wire."""

    method: str
    path: str
    status: int
    range: str | None
    token: str | None


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class HubServer:
    """Serves the repositories that `commit` was given; `requests` lists what was asked, `cut` breaks answers off."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.aliases: dict[str, str] = {}  # old name → new name, redirected as the real hub does
        self.requests: list[Request] = []
        self.cut: dict[str, list[int]] = {}  # file → after how many bytes the next answers break off
        self.down = False  # answer 503 to everything
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def commit(self, name: str, files: Mapping[str, bytes], *, branch: str = "main") -> str:
        """Put the files on a branch of a repository, made if need be; the commit's hash."""
        repository = self.repositories.setdefault(name, Repository())
        parts = [name, branch, str(len(repository.commits)), *sorted(files)]
        commit = hashlib.sha1("\0".join(parts).encode()).hexdigest()
        repository.commits[commit] = dict(files)
        repository.branches[branch] = commit
        return commit

    def stop(self) -> None:
        """Close the port: from now on nobody can connect."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> "HubServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _Handler(BaseHTTPRequestHandler):
    server_hub: HubServer

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the tests' output clean."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    @property
    def _token(self) -> str | None:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).replace("/api/datasets/", "/api/models/", 1).removeprefix("/datasets")
        try:
            if self.server_hub.down:
                raise Refused(503, "", "Service Unavailable")
            api = re.fullmatch(r"/api/models/([^/]+(?:/[^/]+)?)(?:/(revision|tree)/(.+))?", path)
            resolve = re.fullmatch(r"/([^/]+(?:/[^/]+)?)/resolve/([^/]+)/(.+)", path)
            # Without an owner, the shorter reading: /api/models/gpt2/revision/main is no model "gpt2/revision".
            if short := re.fullmatch(r"/api/models/([^/]+)/(revision|tree)/(.+)", path):
                api = short
            if path.startswith("/sign-in/"):  # as networks answer that want a password first
                self._send(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})
            elif api:
                self._api(api[1], api[2] or "revision", api[3] or "main")
            elif resolve:
                self._file(resolve[1], resolve[2], resolve[3])
            else:
                raise Refused(404, "", f"no such path: {path}")
        except Refused as refused:
            headers = {"X-Error-Message": str(refused)}
            if refused.code:
                headers["X-Error-Code"] = refused.code
            self._send(refused.status, json.dumps({"error": str(refused)}).encode(), headers)

    def _commit(self, name: str, revision: str) -> tuple[Repository, str]:
        """The repository and the commit meant, or the refusal that the real hub would give."""
        repository = self.server_hub.repositories.get(name)
        if repository is None:
            # The real hub does not tell strangers whether a repository exists.
            status = 404 if self._token else 401
            raise Refused(status, "RepoNotFound", "Repository not found")
        if repository.token and not repository.gated and self._token != repository.token:
            raise Refused(401, "RepoNotFound", "Repository not found")
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repository, commit

    def _redirected(self, name: str) -> bool:
        target = self.server_hub.aliases.get(name)
        if target is None:
            return False
        self._send(307, b"", {"Location": self.path.replace(f"/{name}", f"/{target}", 1)})
        return True

    def _api(self, name: str, kind: str, revision: str) -> None:
        if self._redirected(name):
            return
        repository, commit = self._commit(name, revision)
        files = repository.commits[commit]
        if kind == "revision":
            siblings = [{"rfilename": file} for file in files]
            answer: object = {
                "id": name,
                "sha": commit,
                "siblings": siblings,
                "gated": repository.gated,
                "private": False,
            }
        else:
            answer = [
                {"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for file, content in files.items()
            ]
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str, revision: str, file: str) -> None:
        if self._redirected(name):
            return
        repository, commit = self._commit(name, revision)
        if repository.gated and self._token != repository.token:
            raise Refused(403 if self._token else 401, "GatedRepo", "Access to this model is restricted")
        content = repository.commits[commit].get(file)
        if content is None:
            raise Refused(404, "EntryNotFound", f"no file {file}")
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        status = 200
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted:
            start, end = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        cuts = self.server_hub.cut.get(file)
        self._send(status, content, headers, cut=cuts.pop(0) if cuts and self.command == "GET" else None)

    def _send(self, status: int, content: bytes, headers: Mapping[str, str], *, cut: int | None = None) -> None:
        """Send it all, or break off after `cut` bytes of the content as a failing network would."""
        request = Request(self.command, self.path, status, self.headers.get("Range"), self._token)
        self.server_hub.requests.append(request)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])
