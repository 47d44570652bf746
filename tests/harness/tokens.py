"""Tokens as docs/formats/token.md has them, read and made without the program, so that a test can ask for what the
program would never give."""

import base64
import json

_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = _byte >> 1 ^ (0x82F63B78 if _byte & 1 else 0)
    _TABLE.append(_byte)


def _crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def decode(token):
    """The fields of a token: h(ost), p(ort), u(ser), w (password), s(lot), i(dentifier), mu, mw, md, f(ingerprint)."""
    word, body, crc = token.strip().split(".")
    assert word == "standfast1" and int(crc, 16) == _crc32c(f"{word}.{body}".encode())
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def encode(fields, word="standfast1"):
    body = base64.urlsafe_b64encode(json.dumps(fields, separators=(",", ":")).encode()).decode().rstrip("=")
    return f"{word}.{body}.{_crc32c(f'{word}.{body}'.encode()):08x}"


def changed(token, **fields):
    """The same token with other fields; None takes one out. Its checksum is right."""
    merged = {**decode(token), **fields}
    return encode({name: value for name, value in merged.items() if value is not None})
