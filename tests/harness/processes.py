"""Programs as the tests run them on a host: their results, programs that go on running, and terminals."""

import errno
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import termios
import threading
import time
from dataclasses import dataclass
from fcntl import ioctl


@dataclass
class Completed:
    """What a program said and how it ended. `code` is negative for a signal, as subprocess has it."""

    args: list
    code: int
    out: str
    err: str
    seconds: float

    def expect(self, code=0):
        assert self.code == code, f"exit code {self.code}, not {code}:\n{self}"
        return self

    def expect_error(self, code, *texts):
        """The exit code, and each text somewhere in what it said on standard error."""
        self.expect(code)
        for text in texts:
            assert text in self.err, f"standard error lacks {text!r}:\n{self}"
        return self

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError as error:
            raise AssertionError(f"not json ({error}):\n{self}") from error

    def __str__(self):
        lines = [f"$ {shlex.join(self.args)}", f"[exit code {self.code} after {self.seconds:.2f} s]"]
        for name, text in (("stdout", self.out), ("stderr", self.err)):
            lines += [f"{name}| {line}" for line in text.splitlines()]
        return "\n".join(lines)


def has_ended(pid):
    """And has been waited for: until then its number is taken, and a server takes it for one that runs."""
    return not os.path.exists(f"/proc/{pid}")


def _text(path):
    return path.read_bytes().decode("utf-8", "replace")


class Running:
    """A program that was started and not waited for. Its pid is the program's own: everything before it only
    execs. Output goes to files, so that a server it leaves behind cannot hold a pipe open."""

    def __init__(self, host, args, command, env, folder, stdin, record):
        self.args, self._host, self._record, self._started = args, host, record, time.monotonic()
        number = next(host.network.numbers)
        self._out_path, self._err_path = folder / f"{number:03}.out", folder / f"{number:03}.err"
        data = stdin.encode() if isinstance(stdin, str) else stdin
        with open(self._out_path, "wb") as out, open(self._err_path, "wb") as err:
            self._process = subprocess.Popen(
                command, env=env, cwd=host.folder, stdout=out, stderr=err, start_new_session=True,
                stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL)
        if data is not None:
            try:
                self._process.stdin.write(data)
                self._process.stdin.close()
            except BrokenPipeError:
                pass  # it ended without reading all of it, as it may

    @property
    def pid(self):
        return self._process.pid

    @property
    def alive(self):
        return self._process.poll() is None

    @property
    def out(self):
        return _text(self._out_path)

    @property
    def err(self):
        return _text(self._err_path)

    def signal(self, number):
        self._process.send_signal(number)

    def wait(self, timeout=120):
        try:
            code, late = self._process.wait(timeout), False
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            code, late = self._process.wait(), True
        result = Completed(self.args, code, self.out, self.err, time.monotonic() - self._started)
        if self._record:
            self._host.record(result)
        else:  # it showed a secret on purpose
            self._out_path.unlink()
            self._err_path.unlink()
        assert not late, f"still running after {timeout} s:\n{result}"
        return result


class Terminal:
    """A program on a terminal of its own: what it shows is waited for, what a person types is sent."""

    def __init__(self, host, args, command, env, record, columns=110):
        self.args, self._host, self._record, self._started = args, host, record, time.monotonic()
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self._process = subprocess.Popen(["setsid", "--ctty", *command], env={**env, "TERM": "xterm"},
                                         cwd=host.folder, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self._shown, self._seen, self._changed = b"", 0, threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError as error:
                if error.errno != errno.EIO:  # EIO: nobody has the other side open any more
                    raise
                data = b""
            with self._changed:
                self._shown += data
                self._changed.notify_all()
            if not data:
                return

    @property
    def pid(self):
        return self._process.pid

    @property
    def text(self):
        return self._shown.decode("utf-8", "replace").replace("\r\n", "\n")

    def expect(self, pattern, deadline_seconds=60):
        """Waits for the regular expression in what has come since the last match; returns the match."""
        end = time.monotonic() + deadline_seconds
        with self._changed:
            while True:
                match = re.search(pattern, self.text[self._seen:])
                if match:
                    self._seen += match.end()
                    return match
                left = end - time.monotonic()
                shown = self.text if self._record else "(not shown: it has a secret)"
                assert left > 0 and self._reader.is_alive(), f"no {pattern!r} on the terminal:\n{shown}"
                self._changed.wait(min(left, 0.5))

    def send(self, text):
        os.write(self._master, text.encode())

    def send_line(self, text):
        self.send(text + "\n")

    def interrupt(self):
        self.send("\x03")

    def finish(self, timeout=120):
        try:
            code, late = self._process.wait(timeout), False
        except subprocess.TimeoutExpired:
            self._process.kill()
            code, late = self._process.wait(), True
        self._reader.join(2)  # a server it left behind may hold the terminal open
        result = Completed(self.args, code, self.text, "", time.monotonic() - self._started)
        if self._record:
            self._host.record(result)
        assert not late, f"still running after {timeout} s:\n{result if self._record else ''}"
        return result
