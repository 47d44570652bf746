"""A link that does harm, as a program: rude_link.py PORT HOST HOST_PORT FILE. It passes connections on from 127.0.0.1:PORT to
HOST:HOST_PORT, and with each chunk that comes back from there it looks for what FILE tells it to do:

    WHAT BYTES CONNECTION

WHAT happens once, to the connection of that number (they count from 1; "any": whichever is first of those that were not
harmed yet), when so many bytes came back on it: "flip" changes a bit, "cut" breaks both halves off, "silence" passes nothing on from then on, in either way, and
stays. Then FILE is gone, and it says "flip 3", with the number of the connection."""

import itertools
import os
import socket
import sys
import threading

_ORDER = threading.Lock()
_numbers = itertools.count(1)
_harmed = set()


def order_for(number, came):
    """What is to be done to that connection now; it is nobody's any more then."""
    with _ORDER:
        try:
            with open(FILE, encoding="utf-8") as file:
                what, after, whose = file.read().split()
        except (FileNotFoundError, ValueError):
            return None
        if whose != str(number) and (whose != "any" or number in _harmed) or came < int(after):
            return None
        os.unlink(FILE)
        _harmed.add(number)
    print(what, number, flush=True)
    return what


def end(*sockets, how):
    for one in sockets:
        try:
            one.shutdown(how)
        except OSError:
            pass  # the other half was first


def pass_on(source, sink, number, is_back, silence):
    came = 0
    try:
        while data := source.recv(16384):
            came += len(data)
            order = order_for(number, came) if is_back else None
            if order == "flip":
                middle = len(data) // 2
                data = data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1:]
            if order == "cut":
                end(source, sink, how=socket.SHUT_RDWR)
                return
            if order == "silence":
                silence.set()
            if silence.is_set():
                continue
            sink.sendall(data)
    except OSError:
        pass
    end(sink, how=socket.SHUT_WR)


def serve(client):
    number, silence = next(_numbers), threading.Event()
    try:
        server = socket.create_connection((HOST, HOST_PORT))
    except OSError:
        client.close()
        return
    halves = [threading.Thread(target=pass_on, args=half, daemon=True) for half in
              ((client, server, number, False, silence), (server, client, number, True, silence))]
    for half in halves:
        half.start()
    for half in halves:
        half.join()
    client.close()
    server.close()


if __name__ == "__main__":
    PORT, HOST, HOST_PORT, FILE = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    with socket.create_server(("127.0.0.1", PORT)) as listener:
        print("listens", flush=True)
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
