"""A client of an agent, as a program: agent_client.py HOST PORT SYSTEM_ID CA CERTIFICATE KEY WORD... It says a line of
json for each word: what the agent answered, or how the connection ended. CERTIFICATE "-" shows none. The words:
hello, revoked, begin, list, end (docs/formats/agent-messages.md), sign=FILE, which asks for a certificate with the one-time
secret on the first line of FILE and the request on the others, and stay: up to the moment when the agent closes.

With `hold COUNT` in place of the words: so many connections that send the first bytes of a TLS handshake and no more; it
says "all are there" and stays until it is killed."""

import json
import socket
import ssl
import struct
import sys
import time

FOREVER = 3600
KINDS = {0x81: "welcome", 0x82: "signed", 0x83: "begun", 0x85: "entries", 0x88: "ended", 0x89: "refused", 0x8a: "revoked"}


def text(data):
    return struct.pack("!I", len(data)) + data


def hold(host, port, count):
    held = []
    for _ in range(count):
        one = socket.socket()
        one.connect((host, port))
        try:
            one.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # a ClientHello that does not go on
        except OSError:
            pass  # the agent has dropped it already
        held.append(one)
    print("all are there", flush=True)
    time.sleep(FOREVER)


class Client:
    def __init__(self, host, port, system_id, authority, certificate, key):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(authority)
        if certificate != "-":
            context.load_cert_chain(certificate, key)
        self.system_id = system_id
        self.socket = context.wrap_socket(socket.create_connection((host, port), timeout=100))

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def answer(self):
        kind, length = struct.unpack("!BI", self.read(5))
        return KINDS.get(kind, hex(kind)), self.read(length)

    def ask(self, kind, body=b""):
        self.socket.sendall(struct.pack("!BI", kind, len(body)) + body)
        return self.answer()

    def hello(self):
        kind, body = self.ask(0x01, struct.pack("!IQ", 1, self.system_id))
        if kind != "welcome":
            return self.shown(kind, body)
        names = ("version", "server_version_num", "block_bytes", "segment_blocks", "wal_segment_bytes", "has_page_checksums",
                 "is_standby")
        return {"kind": kind, **dict(zip(names, struct.unpack("!IIIIQBB", body)))}

    def revoked(self):
        return self.shown(*self.ask(0x0a))

    def sign(self, file):
        with open(file, encoding="utf-8") as lines:
            secret, request = lines.read().split("\n", 1)
        return self.shown(*self.ask(0x02, text(secret.encode()) + text(request.encode())))

    def begin(self):
        return self.shown(*self.ask(0x04, b"\0" + text(b"a copy")))

    def end(self):
        return self.shown(*self.ask(0x09))

    def stay(self):
        return self.shown(*self.answer())

    def list(self):
        kind, body = self.ask(0x06)
        paths = []
        while kind == "entries":
            is_last, count = struct.unpack("!BI", body[:5])
            at = 5
            for _ in range(count):
                length, = struct.unpack("!I", body[at + 29:at + 33])
                paths.append(body[at + 33:at + 33 + length].decode())
                at += 33 + length
            if is_last:
                return {"kind": "list", "paths": paths}
            kind, body = self.answer()
        return self.shown(kind, body)

    @staticmethod
    def shown(kind, body):
        shown = {"kind": kind, "bytes": len(body)}
        if kind == "refused":
            length, = struct.unpack("!I", body[1:5])
            shown.update(code=body[0], message=body[5:5 + length].decode())
        return shown


def main():
    host, port, system_id, authority, certificate, key, *words = sys.argv[1:]
    if words[0] == "hold":
        hold(host, int(port), int(words[1]))
    try:
        client = Client(host, int(port), int(system_id), authority, certificate, key)
        for word in words:
            name, _, argument = word.partition("=")
            print(json.dumps(getattr(client, name)(*filter(None, [argument]))), flush=True)
    except (OSError, EOFError) as error:
        print(json.dumps({"kind": "closed", "error": type(error).__name__}), flush=True)


if __name__ == "__main__":
    main()
