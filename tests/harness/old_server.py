"""A server that says it is PostgreSQL 11.22: enough of the protocol to log in, then an error for every statement.

Run as a program, with a port, on a host of a test. It serves connections until it is killed.
"""

import socket
import struct
import sys
import threading

VERSION = "11.22"
_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104


def _message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def _receive(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ConnectionError
        data += piece
    return data


def _start_up(connection):
    while True:
        length, code = struct.unpack("!II", _receive(connection, 8))
        _receive(connection, length - 8)
        if code not in (_SSL_REQUEST, _GSS_REQUEST):
            return
        connection.sendall(b"N")


def _serve(connection):
    ready = _message(b"Z", b"I")
    error = _message(b"E", b"SERROR\0VERROR\0C0A000\0Mthis server only says its version\0\0")
    row = (_message(b"T", struct.pack("!H", 1) + b"server_version\0" + struct.pack("!IHIhIh", 0, 0, 25, -1, 0, 0)[:18])
           + _message(b"D", struct.pack("!HI", 1, len(VERSION)) + VERSION.encode()) + _message(b"C", b"SHOW\0"))
    with connection:
        try:
            _start_up(connection)
            parameters = (("server_version", VERSION), ("server_encoding", "UTF8"), ("client_encoding", "UTF8"),
                          ("integer_datetimes", "on"), ("standard_conforming_strings", "on"))
            connection.sendall(_message(b"R", struct.pack("!I", 0)) + b"".join(
                _message(b"S", f"{name}\0{value}\0".encode()) for name, value in parameters) + ready)
            failed = False  # after an error in an extended query all is ignored until Sync
            while True:
                kind, length = struct.unpack("!cI", _receive(connection, 5))
                body = _receive(connection, length - 4)
                if kind == b"X":
                    return
                if kind == b"Q":
                    connection.sendall((row if b"server_version" in body else error) + ready)
                elif kind == b"S":
                    connection.sendall(ready)
                    failed = False
                elif not failed:
                    connection.sendall(error)
                    failed = True
        except ConnectionError:
            pass


def main(port):
    with socket.create_server(("", port)) as listener:
        print("listening", flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
