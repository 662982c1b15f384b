"""Lets the program send alerts by e-mail to a server of its own; run by `cargo xtask test`.

Usage: receive.py PROGRAM. The server wants encryption and a password, and what it got is read by another library than the one
that wrote it. Whatever is not as it should be ends this with a failure.
"""

import email
import email.policy
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

CONFIG = """version: "1.0"
node: {{ name: helios }}
alerts:
  channels:
    post:
      kind: email
      server: localhost:{port}
      encryption: {encryption}
      {credentials}
      from: Syncline <syncline@example.com>
      to: [ops@example.com, Chad <chad@example.com>]
targets:
  main: {{ remote: {{ kind: folder, path: ../remote }} }}
"""
CREDENTIALS = "username: sync\n      password: '${env:MAIL_PASSWORD}'"
PASSWORD = "a pass word"


class Received:
    """Keeps what arrives."""

    def __init__(self):
        self.messages = []

    async def handle_DATA(self, server, session, envelope):
        self.messages.append((envelope, session.ssl is not None))
        return "250 OK"


class Server(Controller):
    """A server on a port that is free, which it knows when it has started."""

    def __init__(self, received, **options):
        super().__init__(received, hostname="127.0.0.1", port=0, **options)

    def _create_server(self):
        async def create(created):
            server = await created
            self.port = server.sockets[0].getsockname()[1]
            return server

        return create(super()._create_server())


def authenticator(server, session, envelope, mechanism, data):
    right = data.login == b"sync" and data.password == PASSWORD.encode()
    return AuthResult(success=right, handled=False)


def certificate(folder):
    """A certificate for this machine alone, which vouches for itself."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
        + ["-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


def send(program, workspace, port, encryption, credentials, **environment):
    config = CONFIG.format(port=port, encryption=encryption, credentials=credentials)
    (workspace / "syncline.yaml").write_text(config)
    environment = {**os.environ, "MAIL_PASSWORD": PASSWORD, **environment}
    ran = subprocess.run(
        [program, "alerts", "test"], cwd=workspace, env=environment, capture_output=True, text=True, timeout=120
    )
    said = ran.stdout + ran.stderr
    assert environment["MAIL_PASSWORD"] not in said, said
    assert "warning" not in said and "audit" not in said, said
    return ran.returncode, said


def check(received, count, encrypted):
    assert len(received.messages) == count, received.messages
    envelope, was_encrypted = received.messages[-1]
    assert was_encrypted == encrypted
    assert envelope.mail_from == "syncline@example.com", envelope.mail_from
    assert envelope.rcpt_tos == ["ops@example.com", "chad@example.com"], envelope.rcpt_tos
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert not message.defects, message.defects
    assert message["subject"] == "Syncline on helios: over", message["subject"]
    assert message["message-id"].startswith("<test-") and message["message-id"].endswith("@example.com>")
    assert message["date"].datetime is not None
    text = message.get_content()
    assert "nothing is wrong" in text and "✅" in text, text


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        workspace = folder / "workspace"
        workspace.mkdir()
        cert, context = certificate(folder)

        received = Received()
        options = {"require_starttls": True, "auth_required": True, "authenticator": authenticator}
        server = Server(received, tls_context=context, **options)
        server.start()
        try:
            port = server.port
            trusting = {"SSL_CERT_FILE": str(cert)}
            code, said = send(program, workspace, port, "starttls", CREDENTIALS, **trusting)
            assert code == 0, said
            check(received, 1, True)
            code, said = send(program, workspace, port, "starttls", CREDENTIALS)
            assert code == 1 and "certificate" in said, said
            code, said = send(program, workspace, port, "starttls", CREDENTIALS, MAIL_PASSWORD="wrong", **trusting)
            assert code == 1 and "535" in said, said
            code, said = send(program, workspace, port, "none", "")
            assert code == 1, said
            code, said = send(program, workspace, port, "none", CREDENTIALS)
            assert code != 0 and "only sent encrypted" in said, said
            assert len(received.messages) == 1, "nothing else has arrived"
        finally:
            server.stop()

        plain = Received()
        server = Server(plain)
        server.start()
        try:
            port = server.port
            code, said = send(program, workspace, port, "starttls", "")
            assert code == 1 and not plain.messages, said
            code, said = send(program, workspace, port, "none", "")
            assert code == 0, said
            check(plain, 1, False)
        finally:
            server.stop()
        code, said = send(program, workspace, port, "none", "")
        assert code == 1 and "cannot be used" in said, said


if __name__ == "__main__":
    main(sys.argv[1])
