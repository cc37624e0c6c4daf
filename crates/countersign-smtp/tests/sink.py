"""An SMTP server for the tests: aiosmtpd, told by its arguments how to behave.

Writes one line of JSON about itself, then one for each message that it took, as Python's own email parser understands it.
Ends when its standard input does.
"""

import argparse
import asyncio
import datetime
import email
import email.policy
import ipaddress
import json
import ssl
import sys
import tempfile

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

options = argparse.ArgumentParser()
options.add_argument("--tls", choices=["none", "wrapped", "starttls"], default="none")
options.add_argument("--name", default="localhost", help="the name in the certificate")
options.add_argument("--auth", help="user:password, required")
options.add_argument("--no-smtputf8", action="store_true")
options.add_argument("--answer", action="append", default=[], help="STEP=reply instead of taking it")
options.add_argument("--hang-up", help="close the connection at this step: mail, rcpt or data")
options.add_argument("--hang-up-after", action="store_true", help="close the connection once a message was taken")
options = options.parse_args()
answers = dict(answer.split("=", 1) for answer in options.answer)


def say(**what):
    print(json.dumps(what), flush=True)


def certificate():
    """A root and a certificate under it, made now."""
    now = datetime.datetime.now(datetime.timezone.utc)
    span = (now - datetime.timedelta(days=1), now + datetime.timedelta(days=1))

    def make(subject, key, issuer, issuer_key, *extensions):
        name = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
        builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(span[0]).not_valid_after(span[1])
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(issuer_key, hashes.SHA256())

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = make("test root", root_key, "test root", root_key, x509.BasicConstraints(ca=True, path_length=0))
    try:
        alternative = x509.IPAddress(ipaddress.ip_address(options.name))
    except ValueError:
        alternative = x509.DNSName(options.name)
    leaf = make("test server", key, "test root", root_key, x509.SubjectAlternativeName([alternative]))
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with tempfile.NamedTemporaryFile() as file:
        file.write(leaf.public_bytes(pem) + private)
        file.flush()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file.name)
    return context, root.public_bytes(pem).decode()


class Handler:
    connections = 0

    async def step(self, server, name):
        if options.hang_up == name:
            server.transport.abort()
            await asyncio.sleep(3600)
        return answers.get(name)

    async def handle_MAIL(self, server, session, envelope, address, mail_options):
        refused = await self.step(server, "mail")
        if refused:
            return refused
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 2.1.0 ok"

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        refused = await self.step(server, "rcpt")
        if refused:
            return refused
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        refused = await self.step(server, "data")
        if refused:
            return refused
        message = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        parts = [part for part in message.walk() if not part.is_multipart()]
        say(
            mail_from=envelope.mail_from,
            rcpt_tos=envelope.rcpt_tos,
            mail_options=envelope.mail_options,
            encrypted=session.ssl is not None or options.tls == "wrapped",
            login=getattr(session.auth_data, "login", b"").decode(),
            peer=session.peer[1],
            headers=[[name, str(value)] for name, value in message.items()],
            defects=[repr(defect) for part in message.walk() for defect in part.defects],
            content_type=message.get_content_type(),
            parts=[[part.get_content_type(), part.get_content()] for part in parts],
            raw_is_ascii=envelope.original_content.isascii(),
        )
        if options.hang_up_after:
            asyncio.get_running_loop().call_later(0.05, hang_up, server.transport)
        return "250 2.0.0 taken"


def hang_up(transport):
    """Closes, and says so once it is closed."""
    transport.abort()
    asyncio.get_running_loop().call_soon(lambda: say(closed=True))


def authenticate(server, session, envelope, mechanism, data):
    assert isinstance(data, LoginPassword)
    right = f"{data.login.decode()}:{data.password.decode()}" == options.auth
    return AuthResult(success=right, handled=right, auth_data=data)


async def main():
    loop = asyncio.get_running_loop()
    context, root = certificate() if options.tls != "none" else (None, None)
    handler = Handler()

    def session():
        handler.connections += 1
        return SMTP(
            handler,
            loop=loop,
            hostname="sink.example",
            enable_SMTPUTF8=not options.no_smtputf8,
            tls_context=context if options.tls == "starttls" else None,
            require_starttls=options.tls == "starttls",
            authenticator=authenticate if options.auth else None,
            auth_required=bool(options.auth),
            auth_require_tls=options.tls == "starttls",
        )

    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if options.tls == "wrapped" else None)
    say(port=server.sockets[0].getsockname()[1], root=root)
    await loop.run_in_executor(None, sys.stdin.read)
    say(connections=handler.connections)


try:
    asyncio.run(main())
finally:
    sys.stdout.flush()
    # Hanging sessions are not waited for.
    import os

    os._exit(0)
