"""The SAML messages themselves: the question, our description, and the answer, which is checked before it is believed.

python3-saml checks the schema, signature, issuer, times and that there is one assertion only. What it leaves open and
the Web Browser SSO Profile (saml-profiles-2.0-os, 4.1.4) demands is checked here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from lxml import etree
from onelogin.saml2.auth import OneLogin_Saml2_Auth
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Names
from onelogin.saml2.errors import OneLogin_Saml2_ValidationError
from onelogin.saml2.idp_metadata_parser import OneLogin_Saml2_IdPMetadataParser
from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings
from onelogin.saml2.utils import OneLogin_Saml2_Utils
from onelogin.saml2.xml_utils import OneLogin_Saml2_XML as Xml

from .provider import Answer

MOST_CHARACTERS = 256 * 1024
MOST_ELEMENTS, MOST_ATTRIBUTES, MOST_TRANSFORMS, MOST_PREFIXES = 5_000, 50, 2, 500
"""Where work grows with the product of two things, one of them has a limit: 5,000 transforms took 9 minutes."""
LATEST = timedelta(days=1)
"""An answer that claims to be good for longer counts as good for so long."""
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
ENCRYPTION, ENCRYPTION_11 = "http://www.w3.org/2001/04/xmlenc#", "http://www.w3.org/2009/xmlenc11#"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
KINDS = {
    "Transform": {Names.NS_DS + "enveloped-signature", EXCLUSIVE, EXCLUSIVE + "WithComments"},
    "CanonicalizationMethod": {
        EXCLUSIVE,
        EXCLUSIVE + "WithComments",
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    },
    "SignatureMethod": {f"{MORE}{key}-sha{size}" for key in ("rsa", "ecdsa") for size in (256, 384, 512)},
    "DigestMethod": {ENCRYPTION + "sha256", MORE + "sha384", ENCRYPTION + "sha512"},
}
CONFIRMATION = (
    "/samlp:Response/saml:Assertion/saml:Subject/saml:SubjectConfirmation[@Method=$tagid]/saml:SubjectConfirmationData"
)
PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


class BadAnswer(Exception):
    """The answer is not taken. `kind` says which words the person gets: odd, denied or unasked."""

    def __init__(self, reason: str, *, kind: str = "odd") -> None:
        super().__init__(reason)
        self.kind = kind


def question(config: dict[str, Any], acs_url: str) -> tuple[str, str]:
    """The address that asks the provider who this is (HTTP-Redirect binding), and the number of the question."""
    auth = OneLogin_Saml2_Auth(_request(acs_url), both_sides(config, acs_url))
    return auth.login(return_to=""), auth.get_last_request_id()


def description(config: dict[str, Any], acs_url: str) -> bytes:
    """Our metadata, for the provider."""
    text = both_sides(config, acs_url).get_sp_metadata()
    return text if isinstance(text, bytes) else str(text).encode()


def both_sides(config: dict[str, Any], acs_url: str) -> OneLogin_Saml2_Settings:
    """What python3-saml has to know of the provider and of us. Raises ValueError when it does not fit together."""
    key, certificate = config.get("key", ""), config.get("key_certificate", "")
    own: dict[str, Any] = {
        "entityId": config["own_entity_id"],
        "assertionConsumerService": {"url": acs_url, "binding": Names.BINDING_HTTP_POST},
    }
    security = {
        "wantAssertionsSigned": True,
        "wantNameId": False,
        "wantAttributeStatement": False,
        "rejectDeprecatedAlgorithm": True,
        "allowRepeatAttributeName": True,
        "allowSingleLabelDomains": True,
        "requestedAuthnContext": False,
        "authnRequestsSigned": bool(key),
        "signatureAlgorithm": Names.RSA_SHA256,
        "digestAlgorithm": Names.SHA256,
        "metadataValidUntil": "",
        "metadataCacheDuration": "",
    }
    try:
        if key:
            own |= _own_pair(key, certificate)
        return OneLogin_Saml2_Settings({"strict": True, "idp": _provider(config), "sp": own, "security": security})
    except Exception as error:  # python3-saml raises what lxml and xmlsec raise
        raise ValueError(str(error)) from error


def _own_pair(key: str, certificate: str) -> dict[str, str]:
    private = serialization.load_pem_private_key(key.encode(), None)
    if x509.load_pem_x509_certificate(certificate.encode()).public_key() != private.public_key():
        raise ValueError("SSO_SAML_KEY and SSO_SAML_KEY_CERTIFICATE are no pair")
    return {"privateKey": key, "x509cert": certificate}


def _provider(config: dict[str, Any]) -> dict[str, Any]:
    """The provider by its metadata, or by the three values; those count more where both are given."""
    found: dict[str, Any] = {}
    if config.get("metadata"):
        entity_id = config.get("entity_id") or None
        parsed = OneLogin_Saml2_IdPMetadataParser.parse(config["metadata"].encode(), entity_id=entity_id).get("idp", {})
        known = parsed.get("x509certMulti", {}).get("signing") or [parsed.get("x509cert")]
        found = {
            "entityId": parsed.get("entityId"),
            "singleSignOnService": {"url": parsed.get("singleSignOnService", {}).get("url")},
            "x509certMulti": {"signing": [one for one in known if one]},
        }
    if config.get("entity_id"):
        found["entityId"] = config["entity_id"]
    if config.get("url"):
        found["singleSignOnService"] = {"url": config["url"]}
    if config.get("certificate"):
        found["x509certMulti"] = {"signing": ["".join(one.split()) for one in PEM.findall(config["certificate"])]}
    for text in found.get("x509certMulti", {}).get("signing", []):
        x509.load_pem_x509_certificate(OneLogin_Saml2_Utils.format_cert(text).encode())
    return found


def read(config: dict[str, Any], acs_url: str, text: str) -> tuple[Answer, str, datetime]:
    """What the posted answer says, the number of its assertion, and when it ends. Raises BadAnswer unless it is whole,
    signed by the provider, for us, for this address, not over, and an answer to a question."""
    if not text or len(text) > MOST_CHARACTERS:
        raise BadAnswer("nothing was posted, or too much")
    try:
        response = _response(both_sides(config, acs_url), text)
        response.is_valid(_request(acs_url), raise_exceptions=True)
        return _believed(response, config["own_entity_id"], acs_url)
    except BadAnswer:
        raise
    except OneLogin_Saml2_ValidationError as error:
        denied = error.code == OneLogin_Saml2_ValidationError.STATUS_CODE_IS_NOT_SUCCESS
        raise BadAnswer(str(error), kind="denied" if denied else "odd") from error
    except Exception as error:  # what strangers post makes lxml, xmlsec and python3-saml raise all kinds of things
        raise BadAnswer(f"{type(error).__name__}: {error}") from error


def _response(sides: OneLogin_Saml2_Settings, text: str) -> OneLogin_Saml2_Response:
    """The answer, decrypted. Its shape is looked at before xmlsec sees it, since reading it may already follow it."""
    _check_shape(Xml.to_etree(OneLogin_Saml2_Utils.b64decode(text)))
    response = OneLogin_Saml2_Response(sides, text)
    if response.encrypted:
        _check_shape(response.get_xml_document())
    return response


def _check_shape(root: etree._Element) -> None:
    """Refuse signatures and ciphers that lead elsewhere or compute at will: an address in a cipher may be fetched,
    a transform is run, before any signature is checked. SAML Core 5.4.2 to 5.4.4 allows no such thing."""
    for number, element in enumerate(root.iter(etree.Element)):
        if number > MOST_ELEMENTS or len(element.attrib) > MOST_ATTRIBUTES:
            raise BadAnswer("it has too many parts")
        name = etree.QName(element)
        if name.namespace == EXCLUSIVE and len(element.get("PrefixList", "")) > MOST_PREFIXES:
            raise BadAnswer("it has too many parts")
        if name.namespace == Names.NS_DS:
            _check_signature(element, name.localname)
        elsewhere = name.namespace == Names.NS_XENC and name.localname in {"CipherReference", "AgreementMethod"}
        if elsewhere or (name.namespace == ENCRYPTION_11 and name.localname != "MGF"):
            raise BadAnswer("a cipher lies elsewhere, or its key is to be computed")


def _check_signature(element: etree._Element, name: str) -> None:
    """One element of a signature, or of the key of a cipher."""
    if name in {"Reference", "RetrievalMethod"} and not element.get("URI", "").startswith("#"):
        raise BadAnswer("a signature is about something elsewhere")
    if name == "Transforms" and len(element) > MOST_TRANSFORMS:
        raise BadAnswer("it has too many transforms")
    if name in {"Object", "Manifest"} or len(element.findall("ds:Reference", Names.NSMAP)) > 1:
        raise BadAnswer("a signature is about more than one thing")
    in_cipher = name == "DigestMethod" and etree.QName(element.getparent()).namespace == Names.NS_XENC
    if not in_cipher and element.get("Algorithm") not in KINDS.get(name, {element.get("Algorithm")}):
        raise BadAnswer(f"{name} of a kind that is not taken")


def _believed(response: OneLogin_Saml2_Response, own_entity_id: str, acs_url: str) -> tuple[Answer, str, datetime]:
    """The contents of a valid answer, of which there is one assertion only, and that one is signed."""
    if own_entity_id not in response.get_audiences():
        raise BadAnswer("it is not said to be for us")
    request_id = response.get_in_response_to() or ""
    confirmations = Xml.query(response.get_xml_document(), CONFIRMATION, None, Names.CM_BEARER)
    if not request_id and not any(one.get("InResponseTo") for one in confirmations):
        raise BadAnswer("nobody here asked for it", kind="unasked")
    fits = [
        one
        for one in confirmations
        if request_id and one.get("InResponseTo") == request_id and one.get("Recipient") == acs_url
    ]
    if len(fits) != 1 or not fits[0].get("NotOnOrAfter"):
        raise BadAnswer("it is not confirmed for this question, this address and a time")
    until = datetime.fromtimestamp(OneLogin_Saml2_Utils.parse_SAML_to_time(fits[0].get("NotOnOrAfter")), UTC)
    if until <= datetime.now(UTC):
        raise BadAnswer("it is over")
    texts = {
        name: [value for value in values if isinstance(value, str)]
        for name, values in response.get_attributes().items()
    }
    answer = Answer(request_id, response.get_nameid(), response.get_nameid_format(), texts)
    return answer, str(response.get_assertion_id()), min(until, datetime.now(UTC) + LATEST)


def _request(acs_url: str) -> dict[str, str]:
    """The request as python3-saml wants it, of which it needs the address only."""
    parts = urlsplit(acs_url)
    return {
        "https": "on" if parts.scheme == "https" else "off",
        "http_host": parts.netloc,
        "script_name": parts.path,
    }
