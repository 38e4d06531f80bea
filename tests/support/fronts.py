"""
A real nginx or Caddy in front of a running house, configured by the very blocks of `docs/recipes`.

Only what a machine of its own would have otherwise is put in their place: ports, files, a certificate.
"""

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
import yaml
from house import free_port

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"
HOST = "www.shop.example"
PROGRAMS = {"nginx": "nginx", "caddy": "caddy"}
_PLACES = ("/usr/sbin", "/usr/bin")
_NGINX = """daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log info; worker_processes 1; {user}
events {{}}
http {{
    types {{ text/html html; }}
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{block}
}}
"""


def blocks(recipe, language):
    """Return the fenced blocks of a language in a recipe."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (RECIPES / f"{recipe}.md").read_text(), re.MULTILINE | re.DOTALL)


def listen(recipe):
    """Return what the recipe writes under `listen`, for a door that takes its port from the test."""
    (text,) = blocks(recipe, "yaml")
    said = yaml.safe_load(text)["listen"]
    del said["port"]
    return said


def program(kind):
    """Return the proxy's program; skip loudly where it is missing, fail where nothing may be."""
    found = shutil.which(kind, path=os.pathsep.join((os.environ.get("PATH", ""), *_PLACES)))
    if found is None:
        words = f"{kind} is missing: .ci/run needs (installs Debian's)"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    return found


class Front:
    """A proxy that runs, and what one asks it."""

    def __init__(self, port, certificate):
        self.port = port
        self.certificate = certificate

    def ask(self, method, path, body=None, headers=(), *, source="127.0.0.1"):
        """Ask by https as a browser at `source` would; return status, headers and body."""
        context = ssl.create_default_context(cafile=self.certificate)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(source, 0))
        connection = HTTPConnection(HOST, self.port)
        connection.sock = context.wrap_socket(plain, server_hostname=HOST)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@contextmanager
def in_front(kind, folder, house, page="<h1>The shop</h1>"):
    """Run a proxy in front of a house, by its recipe; `page` is the site behind `/`."""
    command = program(kind)
    folder.mkdir()
    site, port = folder / "site", free_port()
    site.mkdir()
    (site / "index.html").write_text(page)
    certificate, key = _certificate(folder)
    (block,) = blocks(kind, kind)
    places = {"127.0.0.1:8080": house.url.removeprefix("http://"), "/var/www/shop": str(site)}
    if kind == "nginx":
        places |= {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/shop/fullchain.pem": str(certificate),
            "/etc/ssl/shop/privkey.pem": str(key),
        }
        user = "user root;" if os.geteuid() == 0 else ""
        text = _NGINX.format(folder=folder, user=user, block=_put(block, places))
        arguments = [command, "-p", str(folder), "-c", str(folder / "front.conf")]
    else:
        tls = f"bind 127.0.0.1\n\ttls {certificate} {key}\n"
        places |= {f"{HOST} {{\n": f"https://{HOST}:{port} {{\n\t{tls}"}
        text = f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tdefault_sni {HOST}\n}}\n{_put(block, places)}"
        arguments = [command, "run", "--adapter", "caddyfile", "--config", str(folder / "front.conf")]
    (folder / "front.conf").write_text(text)
    environment = os.environ | {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    with (folder / "said.log").open("wb") as log:
        process = subprocess.Popen(arguments, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _wait(process, port, folder / "said.log")
            yield Front(port, certificate)
        finally:
            process.terminate()
            process.wait(20)


def _put(block, places):
    """Put a test's places where a machine of its own would have its own; every one must be there."""
    for written, ours in places.items():
        assert written in block, f"the recipe no longer says {written!r}"
        block = block.replace(written, ours)
    return block


def _certificate(folder):
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"],
        check=True, capture_output=True, timeout=20,
    )  # fmt: skip
    return certificate, key


def _wait(process, port, log):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        assert process.poll() is None, f"the proxy ended: {log.read_text()}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the proxy did not open its port: {log.read_text()}")
