"""Clients of a server of WAL that behave badly, as a program: rude_clients.py HOST PORT USER KIND COUNT, the password in
PGPASSWORD. It says "all are there" when each has done its worst, and stays until it is killed."""

import base64
import hashlib
import hmac
import os
import socket
import struct
import sys
import time

FOREVER = 3600


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


def startup(user):
    body = struct.pack("!I", 196608) + f"user\0{user}\0replication\0true\0\0".encode()
    return struct.pack("!I", len(body) + 4) + body


class Client:
    def __init__(self, host, port):
        self.socket = socket.socket()
        # What is not read has to lie with the server, not here.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect((host, int(port)))

    def send(self, data):
        """What of it the server takes."""
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # it may have enough of us

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def read_message(self):
        kind, length = struct.unpack("!cI", self.read(5))
        return kind, self.read(length - 4)

    def read_until(self, wanted):
        while True:
            kind, body = self.read_message()
            if kind == wanted:
                return body
            if kind == b"E":
                raise EOFError(body)

    def log_in(self, user, password, spoil=b""):
        self.send(startup(user))
        self.read_until(b"R")
        first = b"n=,r=" + base64.b64encode(os.urandom(18))
        self.send(message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(first) + 3) + b"n,," + first))
        challenge = self.read_until(b"R")[4:]
        parts = dict(part.split(b"=", 1) for part in challenge.split(b","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(parts[b"s"]), int(parts[b"i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        final = b"c=biws,r=" + parts[b"r"]
        signature = hmac.digest(hashlib.sha256(key).digest(), first + b"," + challenge + b"," + final, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature)))
        self.send(message(b"p", final + b",p=" + proof + spoil))
        self.read_until(b"Z")

    def stream(self, start):
        self.send(message(b"Q", f"START_REPLICATION {start} TIMELINE 1".encode() + b"\0"))
        self.read_until(b"W")


def idle(client, number):
    """Connected, and no more; or with the beginning of something, or with what is no protocol."""
    beginnings = [b"", b"\0\0", startup("replicator")[:9], b"\0\0\0\x08\x04\xd2\x16\x2f", b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096)]
    client.send(beginnings[number % len(beginnings)])


def million(client, _):
    """A startup packet of a million bytes, all of which are sent."""
    client.send(struct.pack("!II", 1_000_000, 196608) + b"user\0" + b"x" * 999_987)


def unauthenticated(client, _):
    """A password message of a gigabyte before the login."""
    client.send(startup("replicator"))
    client.send(b"p" + struct.pack("!I", 1 << 30) + b"x" * 1_000_000)


def wrong(client, _):
    """A login with a proof that is none."""
    try:
        client.log_in(USER, "not the password")
    except EOFError:
        return
    raise AssertionError("it got in")


def half(client, _):
    """Stops in the middle of a command."""
    client.log_in(USER, PASSWORD)
    client.send(message(b"Q", b"IDENTIFY_SYSTEM\0")[:-5])


def huge(client, _):
    """A command of nearly two gigabytes, of which much is sent."""
    client.log_in(USER, PASSWORD)
    client.send(b"Q" + struct.pack("!I", (1 << 31) - 1) + b"x" * 4_000_000)


def garbage(client, _):
    client.log_in(USER, PASSWORD)
    client.send(os.urandom(100_000))


def half_a_report(client, _):
    """Streams, reads, and stops in the middle of a standby's report."""
    client.log_in(USER, PASSWORD)
    client.stream(START)
    client.send(message(b"d", b"r" + bytes(33))[:-7])


def deaf(client, _):
    """Streams and reads nothing."""
    client.log_in(USER, PASSWORD)
    client.stream(START)


if __name__ == "__main__":
    HOST, PORT, USER, KIND, COUNT, START = sys.argv[1:7]
    PASSWORD = os.environ["PGPASSWORD"]
    held = []
    for number in range(int(COUNT)):
        held.append(Client(HOST, PORT))
        globals()[KIND](held[-1], number)
    print("all are there", flush=True)
    time.sleep(FOREVER)
