"""nginx with one fixed body for every request, which the HTTP benchmarks measure beside the server."""

from __future__ import annotations

import ssl
import subprocess
import urllib.request
from pathlib import Path

from full_server import Served
from harness import Bench

HERE = Path(__file__).resolve().parent


class Certificate:
    """A certificate for this machine that signs itself."""

    def __init__(self, bench: Bench) -> None:
        folder = bench.folder()
        self.file, self.key = folder / "certificate.pem", folder / "key.pem"
        subprocess.run(
            [bench.tool("openssl", "openssl"), "req", "-x509", "-newkey", "ec"]
            + ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
            + ["-subj", "/CN=localhost", "-out", self.file, "-keyout", self.key],
            check=True,
            capture_output=True,
        )


def start_nginx(bench: Bench, body: str, certificate: Certificate | None = None) -> Served:
    """Starts nginx, with TLS if there is a certificate."""
    folder, port = bench.folder(), bench.free_port()
    tls = ""
    if certificate:
        tls = f"ssl_certificate {certificate.file}; ssl_certificate_key {certificate.key};"
    values = {
        "folder": str(folder),
        "address": f"127.0.0.1:{port}{' ssl' if certificate else ''}",
        "tls": tls,
        "body": body,
    }
    text = (HERE / "nginx.conf.in").read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    configuration = folder / "nginx.conf"
    configuration.write_text(text)
    url = f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
    program = bench.tool("nginx", "nginx")
    process = bench.start([program, "-p", folder, "-c", configuration], lambda: answers(url))
    return Served(url, process)


def answers(url: str) -> bool:
    anybody = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(
            f"{url}/engines/user-0/admit", data=b"{}", timeout=5, context=anybody
        ):
            return True
    except OSError:
        return False
