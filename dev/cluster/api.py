"""A few plain requests to the API server, for waiting and for simulated nodes."""

import base64
import http.client
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from dev.cluster.errors import ClusterError

_SECONDS = 10.0


class Api:
    """Speaks JSON with the API server that a kubeconfig of ours names."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text(encoding="utf-8"))
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        handler = urllib.request.HTTPSHandler(context=ssl.create_default_context(cadata=authority))
        # Loopback only: the environment's proxy must not see it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), handler)
        self._server = cluster["server"]
        self._token = config["users"][0]["user"]["token"]

    def get(self, path: str) -> Any:
        """What is at `path`; None while there is nothing, or no API server that answers."""
        try:
            return self._request("GET", path)
        except ClusterError:
            return None

    def create(self, path: str, what: dict[str, Any]) -> None:
        """Creates an object in the collection at `path`; one that exists stays. Raises ClusterError."""
        self._request("POST", path, what)

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        return bool(self.get("/readyz") == "ok")

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        # Our own kubeconfig names an https address.
        request = urllib.request.Request(self._server + path, method=method)  # noqa: S310
        request.add_header("Authorization", f"Bearer {self._token}")
        request.add_header("Accept", "application/json")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                text = answer.read().decode()
                return json.loads(text) if answer.headers.get_content_type() == "application/json" else text
        except urllib.error.HTTPError as failure:
            with failure:
                if method == "POST" and failure.code == http.client.CONFLICT:
                    return None
                raise ClusterError(
                    f"{method} {path}: {failure.code} {failure.read(500).decode(errors='replace')}"
                ) from failure
        except (OSError, http.client.HTTPException) as failure:
            raise ClusterError(f"{method} {path}: {failure}") from failure
