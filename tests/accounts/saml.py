"""A small SAML identity provider on loopback, for tests: real HTTP, real XML signatures and encryption by xmlsec."""

from __future__ import annotations

import base64
import html
import secrets
import threading
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from lxml import etree

OWN_ID = "https://labeling.example/saml"
NS = {
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "xenc": "http://www.w3.org/2001/04/xmlenc#",
}
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
RESPONSE = """<samlp:Response xmlns:samlp="{samlp}" xmlns:saml="{saml}" ID="{response_id}" Version="2.0"
 IssueInstant="{now}" Destination="{acs}"{in_response_to}><saml:Issuer>{issuer}</saml:Issuer>
<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:{status}"/></samlp:Status>{assertion}
</samlp:Response>"""
ASSERTION = """<saml:Assertion xmlns:saml="{saml}" ID="{assertion_id}" Version="2.0" IssueInstant="{now}">
<saml:Issuer>{issuer}</saml:Issuer>
<saml:Subject><saml:NameID Format="{name_format}">{name_id}</saml:NameID>
<saml:SubjectConfirmation Method="{bearer}"><saml:SubjectConfirmationData NotOnOrAfter="{until}"
 Recipient="{recipient}"{confirmed}/></saml:SubjectConfirmation></saml:Subject>
<saml:Conditions NotBefore="{since}" NotOnOrAfter="{until}">{audience}</saml:Conditions>
<saml:AuthnStatement AuthnInstant="{now}"><saml:AuthnContext><saml:AuthnContextClassRef
>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>
{statement}</saml:Assertion>"""
PAGE = """<!doctype html><title>Corp</title><form method="post" action="{acs}">
<input type="hidden" name="SAMLResponse" value="{answer}"><input type="hidden" name="RelayState" value="">
<button>Go on</button></form>"""


def key_pair(name: str, *, elliptic: bool = False) -> tuple[str, str]:
    """A new private key and its certificate, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1()) if elliptic else rsa.generate_private_key(65537, 2048)
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
    certificate = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    kind = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, *kind).decode(), certificate.decode()


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class IdentityProvider:
    """One provider. `person` is who is signed in there; `facts`, `key`, `signs`, `last_touch` make answers wrong."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.key, self.certificate = key_pair("Corp")
        self.person: dict[str, str] = {"email": "new@corp.example", "displayName": "New"}
        self.name_id, self.name_format = "person-1", PERSISTENT
        self.facts: dict[str, Any] = {}
        self.signs = {"Assertion"}
        self.signature: Any = xmlsec.Transform.RSA_SHA256
        self.digest: Any = xmlsec.Transform.SHA256
        self.encrypts_for = ""
        self.last_touch: Callable[[etree._Element], None] = lambda root: None
        self.questions: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.server = ThreadingHTTPServer((host, 0), handler_of(self))
        self.base = f"http://{host}:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def config(self) -> dict[str, str]:
        """What the environment would say of this provider."""
        own = {"own_entity_id": OWN_ID, "key": "", "key_certificate": "", "metadata": ""}
        return own | {"entity_id": self.base, "url": f"{self.base}/sso", "certificate": self.certificate}

    def app(self, **more: Any) -> dict[str, Any]:
        """The setting SOCIALACCOUNT_PROVIDERS for this provider."""
        app = {"provider_id": "saml", "client_id": "saml", "name": "Corp", "settings": self.config() | more}
        return {"saml": {"APPS": [app]}}

    def metadata(self) -> str:
        body = "".join(self.certificate.split("\n")[1:-2])
        return (
            f'<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{self.base}">'
            '<md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
            f'<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="{NS["ds"]}"><ds:X509Data><ds:X509Certificate>{body}'
            "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
            '<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"'
            f' Location="{self.base}/sso"/></md:IDPSSODescriptor></md:EntityDescriptor>'
        )

    def read(self, query: dict[str, str]) -> dict[str, str]:
        """The question in the address."""
        root = etree.fromstring(zlib.decompress(base64.b64decode(query["SAMLRequest"]), -15))
        asked = {
            "id": root.get("ID"),
            "acs": root.get("AssertionConsumerServiceURL"),
            "destination": root.get("Destination"),
            "issuer": root.findtext("saml:Issuer", namespaces=NS),
            "signature": query.get("Signature", ""),
        }
        self.questions.append(asked)
        return asked

    def answer(self, question: dict[str, str]) -> str:
        """The signed answer to a question, in base64."""
        return base64.b64encode(etree.tostring(self.tree(question))).decode()

    def tree(self, question: dict[str, str]) -> etree._Element:
        now = datetime.now(UTC)
        facts = {
            "now": stamp(now),
            "since": stamp(now - timedelta(minutes=1)),
            "until": stamp(now + timedelta(minutes=5)),
            "issuer": self.base,
            "acs": question["acs"],
            "recipient": question["acs"],
            "audience": f"<saml:AudienceRestriction><saml:Audience>{OWN_ID}</saml:Audience></saml:AudienceRestriction>",
            "request": question["id"],
            "confirmed_request": question["id"],
            "status": "Success",
            "response_id": "_r" + secrets.token_hex(16),
            "assertion_id": "_a" + secrets.token_hex(16),
            "name_id": self.name_id,
            "name_format": self.name_format,
        } | self.facts
        facts["in_response_to"] = f' InResponseTo="{facts["request"]}"' if facts["request"] else ""
        facts["confirmed"] = f' InResponseTo="{facts["confirmed_request"]}"' if facts["confirmed_request"] else ""
        facts["statement"] = self.statement()
        facts["assertion"] = ASSERTION.format(**NS, bearer=BEARER, **facts) if facts["status"] == "Success" else ""
        root = etree.fromstring(RESPONSE.format(**NS, **facts))
        if "Assertion" in self.signs and facts["assertion"]:
            self.sign(root.find("saml:Assertion", NS))
        if self.encrypts_for:
            encrypt(root, self.encrypts_for)
        if "Response" in self.signs:
            self.sign(root)
        self.last_touch(root)
        return root

    def statement(self) -> str:
        line = '<saml:Attribute Name="{}"><saml:AttributeValue>{}</saml:AttributeValue></saml:Attribute>'
        lines = "".join(line.format(name, html.escape(value)) for name, value in self.person.items())
        return f"<saml:AttributeStatement>{lines}</saml:AttributeStatement>" if lines else ""

    def sign(self, element: etree._Element) -> None:
        """An enveloped signature after the issuer, where the schema has it."""
        signature = xmlsec.template.create(element, xmlsec.Transform.EXCL_C14N, self.signature, ns="ds")
        element.insert(1, signature)
        reference = xmlsec.template.add_reference(signature, self.digest, uri="#" + element.get("ID"))
        xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
        xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
        xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(self.key, xmlsec.KeyFormat.PEM)
        context.key.load_cert_from_memory(self.certificate, xmlsec.KeyFormat.CERT_PEM)
        context.register_id(element, "ID")
        context.sign(signature)


def encrypt(root: etree._Element, certificate: str) -> None:
    """Put the assertion into an EncryptedAssertion that only the holder of the key can read."""
    assertion = root.find("saml:Assertion", NS)
    holder = etree.SubElement(root, f"{{{NS['saml']}}}EncryptedAssertion")
    root.replace(assertion, holder)
    data = xmlsec.template.encrypted_data_create(
        root, xmlsec.Transform.AES256, type=xmlsec.EncryptionType.ELEMENT, ns="xenc"
    )
    xmlsec.template.encrypted_data_ensure_cipher_value(data)
    info = xmlsec.template.encrypted_data_ensure_key_info(data, ns="ds")
    key = xmlsec.template.add_encrypted_key(info, xmlsec.Transform.RSA_OAEP)
    xmlsec.template.encrypted_data_ensure_cipher_value(key)
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_memory(certificate, xmlsec.KeyFormat.CERT_PEM))
    context = xmlsec.EncryptionContext(manager)
    context.key = xmlsec.Key.generate(xmlsec.KeyData.AES, 256, xmlsec.KeyDataType.SESSION)
    holder.append(assertion)
    context.encrypt_xml(data, assertion)


def handler_of(provider: IdentityProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.paths.append(self.path)
            parts = urlsplit(self.path)
            if parts.path != "/sso":
                self.send_response(204)
                self.end_headers()
                return
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            asked = provider.read(query)
            body = PAGE.format(acs=html.escape(asked["acs"]), answer=provider.answer(asked)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return Handler
