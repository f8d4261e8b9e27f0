"""Service accounts' tokens as signed texts: JSON Web Tokens with ES256 (RFC 7515, RFC 7518 3.4)."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from kubelab.objects import Object

_SIZE: Final = 32
_ALGORITHM: Final = ec.ECDSA(hashes.SHA256())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The key that signs service accounts' tokens."""

    private: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, pem: bytes) -> TokenKeys:
        """From a private key on the curve P-256, PEM.

        Raises:
            ValueError: it is none.
        """
        key = serialization.load_pem_private_key(pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise ValueError("the service account key must be an EC key on the curve P-256")
        return cls(key)

    @classmethod
    def generate(cls) -> TokenKeys:
        """A fresh key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @property
    def key_id(self) -> str:
        """The key's name in tokens: a hash of its public half."""
        public = self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return _encode(hashlib.sha256(public).digest())

    def sign(self, claims: Object) -> str:
        """A token that says this."""
        header = {"alg": "ES256", "kid": self.key_id}
        signed = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self.private.sign(signed.encode(), _ALGORITHM))
        return f"{signed}.{_encode(r.to_bytes(_SIZE, 'big') + s.to_bytes(_SIZE, 'big'))}"

    def claims(self, token: str) -> Object | None:
        """What a token says, if this key has signed it; whether it is still valid is not asked here."""
        try:
            signed, _, signature = token.rpartition(".")
            raw = _decode(signature)
            header = msgspec.json.decode(_decode(signed.partition(".")[0]), type=dict)
            if header.get("alg") != "ES256" or len(raw) != 2 * _SIZE:
                return None
            r, s = int.from_bytes(raw[:_SIZE], "big"), int.from_bytes(raw[_SIZE:], "big")
            self.private.public_key().verify(encode_dss_signature(r, s), signed.encode(), _ALGORITHM)
            claims: Object = msgspec.json.decode(_decode(signed.partition(".")[2]), type=dict)
        except (ValueError, InvalidSignature, msgspec.DecodeError, msgspec.ValidationError):
            return None
        return claims

    def jwks(self) -> Object:
        """The public half as a key set (RFC 7517)."""
        numbers = self.private.public_key().public_numbers()
        key = {
            "use": "sig",
            "kty": "EC",
            "kid": self.key_id,
            "crv": "P-256",
            "alg": "ES256",
            "x": _encode(numbers.x.to_bytes(_SIZE, "big")),
            "y": _encode(numbers.y.to_bytes(_SIZE, "big")),
        }
        return {"keys": [key]}
