"""The public formats of Reel, read with other people's tools: sealed files, keys, trees, events."""

import gzip
import hashlib
import hmac
import json
import struct

import jsonschema
import lz4.frame
import zstandard
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt
from referencing import Registry, Resource

from kit import SCHEMAS

HEADER_FIELDS = {
    "chunk_id", "session_id", "sequence_number", "codec", "cipher", "original_bytes", "key_id",
    "key_commitment",
}
STREAM_FIELDS = [
    "id", "type", "source", "specversion", "subject", "time", "dataschema", "datacontenttype",
    "partitionkey", "sequence", "authtype", "authid", "traceparent", "correlationid", "causationid", "data",
]


class Sealed:
    """One sealed chunk file, taken apart (design 3.3)."""

    def __init__(self, file):
        if file[:8] != b"REELCHK1":
            raise ValueError("no REELCHK1 at the beginning")
        (length,) = struct.unpack_from("<I", file, 8)
        self.header_bytes = file[12:12 + length]
        if len(self.header_bytes) != length:
            raise ValueError("the header is cut off")
        self.header = json.loads(self.header_bytes)
        at = 12 + length
        self.nonce_at = at
        self.nonce = b""
        if self.header["cipher"] != "none":
            self.nonce = file[at:at + 24]
            at += 24
        self.payload_at = at
        self.aad = file[:at]
        self.payload = file[at:]

    def is_canonical(self):
        """RFC 8785: names sorted, no spaces. Our names are ASCII and our numbers whole."""
        text = json.dumps(self.header, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode() == self.header_bytes

    def plain(self, data_key):
        """The codec's output."""
        if self.header["cipher"] == "none":
            return self.payload
        return crypto_aead_xchacha20poly1305_ietf_decrypt(
            self.payload, self.aad, self.nonce, subkey(data_key, 1))

    def original(self, data_key):
        """What was recorded."""
        payload, limit = self.plain(data_key), self.header["original_bytes"]
        match self.header["codec"]:
            case "none":
                return payload
            case "zstd":
                return zstandard.ZstdDecompressor().decompress(payload, max_output_size=max(limit, 1))
            case "lz4":
                return lz4.frame.decompress(payload)
            case "gzip":
                return gzip.decompress(payload)
        raise ValueError(f"codec {self.header['codec']}")


def subkey(data_key, number):
    """libsodium's crypto_kdf_derive_from_key: BLAKE2b of nothing, keyed, salted with the number."""
    return hashlib.blake2b(
        b"", digest_size=32, key=data_key, salt=struct.pack("<QQ", number, 0),
        person=b"reelchnk" + bytes(8)).digest()


def content_digest(data_key, content):
    return hmac.new(subkey(data_key, 2), content, hashlib.sha256).hexdigest()


def leaf_hash(file):
    return hashlib.sha256(b"\0" + file).digest()


def merkle_root(leaves):
    """RFC 9162, section 2.1.1, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + merkle_root(leaves[:split]) + merkle_root(leaves[split:])).digest()


class Schemas:
    """Validates events against the published schemas."""

    def __init__(self):
        self.validators = {}
        registry = Registry()
        for path in sorted((SCHEMAS / "events").glob("*.json")):
            schema = json.loads(path.read_text())
            jsonschema.Draft202012Validator.check_schema(schema)
            registry = registry.with_resource(schema["$id"], Resource.from_contents(schema))
            self.validators[schema["$id"]] = schema
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        self.validators = {
            name: jsonschema.Draft202012Validator(schema, registry=registry, format_checker=checker)
            for name, schema in self.validators.items()
        }

    def problems(self, event):
        """What is wrong with a CloudEvent: its envelope, or its data."""
        found = [error.message for error in self.validators["urn:reel:cloudevent:1"].iter_errors(event)]
        schema = self.validators.get(event.get("dataschema"))
        if schema is None:
            return found + [f"no schema {event.get('dataschema')}"]
        if event["dataschema"] != f"urn:reel:event:{event['type']}:{event['dataschema'].split(':')[-1]}":
            found.append("dataschema belongs to another type")
        return found + [error.message for error in schema.iter_errors(event["data"])]


def cloud_event(pairs):
    """A stream entry's fields as a CloudEvent in JSON form: what is empty is unknown."""
    event = {name.decode(): value.decode() for name, value in pairs if value}
    event["data"] = json.loads(event["data"])
    return event


def sequence_problems(events):
    """Gaps, repetitions and disorder in a session's events."""
    numbers = [int(event["sequence"]) for event in events]
    if numbers != list(range(1, len(events) + 1)):
        return f"sequences {numbers[:40]}"
    if len({event["id"] for event in events}) != len(events):
        return "an id stands twice"
    return ""
