"""`standfast agent` on a host, and memberships made by hand: a cluster's authority and its certificates as
docs/formats/members.md describes them, by openssl, with any validity."""

import hashlib
import json
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness import agent_client
from harness.waiting import wait_until

PORT = 7432
DAY = 86400
_CONFIG = """\
[req]
distinguished_name = dn
prompt = no
[dn]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[ca]
default_ca = all
[all]
database = {folder}/database
serial = {folder}/serial
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
policy = any
unique_subject = no
x509_extensions = member
[any]
commonName = supplied
[member]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth, serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = URI:standfast:{system_id}/{name}
"""


def _openssl(*args, **options):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, timeout=60, **options).stdout


def _utc(seconds):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds))


class Membership:
    """Of one name: its files lie in a folder of the test, and on a host once it is given them."""

    def __init__(self, folder, authority, serial, issued, expires):
        self.folder, self.authority, self.serial = folder, authority, serial
        self.issued, self.expires = issued, expires

    def text(self, name):
        return (self.folder / name).read_text()

    def give(self, host, **places):
        """To the agent of that host. `places`: what agent.json says."""
        folder = self.authority.store(host) / "member"
        files = {name: self.text(name) for name in ("key.pem", "certificate.pem")}
        files["ca.pem"] = self.authority.certificate
        files["agent.json"] = json.dumps({"format": 1, "listen": [], "authority": [], **places})
        put(host, folder, files)

    def write(self, host):
        """For a client on that host: the names of certificate and key."""
        return [host.write(f"{self.serial}.{name}", self.text(name)) for name in ("certificate.pem", "key.pem")]


def put(host, folder, files):
    for one in (host.secrets, folder.parent, folder):
        if not one.exists():
            one.mkdir(mode=0o700)
            shutil.chown(one, "postgres")
    for name, text in files.items():
        host.write(folder / name, text)


class Authority:
    """Of a cluster, with all that it has given."""

    def __init__(self, network, system_id, name="authority"):
        self.system_id, self.folder, self._given, self._invited = system_id, network.folder / name, [], []
        self.folder.mkdir(mode=0o700)
        (self.folder / "database").touch()
        config = self._config(self.folder, f"standfast {system_id}")
        _openssl("req", "-x509", "-config", config, "-extensions", "authority", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-days", 3650, "-keyout", self.folder / "ca.key", "-out",
                 self.folder / "ca.pem")
        self.certificate = (self.folder / "ca.pem").read_text()

    def _config(self, folder, name):
        config = folder / "openssl.conf"
        config.write_text(_CONFIG.format(folder=self.folder, system_id=self.system_id, name=name))
        return config

    def store(self, host):
        return host.secrets / str(self.system_id)

    def sign(self, name, days_ago=0):
        """A certificate of 30 days that was given so many days ago."""
        serial = "5a" + secrets.token_hex(15)
        folder = self.folder / serial
        folder.mkdir(mode=0o700)
        config = self._config(folder, name)
        issued = int(time.time()) - days_ago * DAY
        expires = issued + 30 * DAY
        _openssl("req", "-new", "-config", config, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-keyout", folder / "key.pem", "-out", folder / "request.pem")
        (self.folder / "serial").write_text(serial + "\n")
        _openssl("ca", "-batch", "-notext", "-config", config, "-in", folder / "request.pem", "-out",
                 folder / "certificate.pem", "-startdate", _utc(issued - 3600), "-enddate", _utc(expires))
        key = _openssl("pkey", "-in", folder / "key.pem", "-pubout", "-outform", "DER")
        self._given.append({"name": name, "serial": serial, "key_sha256": hashlib.sha256(key).hexdigest(), "issued": issued,
                            "expires": expires})
        return Membership(folder, self, serial, issued, expires)

    def invite(self, name):
        """A one-time secret, and a request on the lines after it: what a client asks for a certificate with."""
        membership = self.sign(name)
        self._given.pop()
        secret = secrets.token_urlsafe(32)
        self._invited.append({"name": name, "secret_sha256": hashlib.sha256(secret.encode()).hexdigest(),
                              "expires": int(time.time()) + DAY})
        return f"{secret}\n{membership.text('request.pem')}"

    def give(self, host):
        """The authority itself lies there from now on, with a register of all that it has signed."""
        register = {"format": 1, "system_id": str(self.system_id), "list_number": 1, "certificates": self._given,
                    "invitations": self._invited}
        put(host, self.store(host) / "ca", {"members.json": json.dumps(register),
                                            "authority.pem": self.certificate + (self.folder / "ca.key").read_text()})

    def client(self, sender, receiver, membership, *words, system_id=None):
        """Starts a client of an agent; `membership` None: it shows none."""
        authority = sender.write("ca.pem", self.certificate)
        shown = membership.write(sender) if membership else ("-", "-")
        return sender.start(["python3", "-c", Path(agent_client.__file__).read_text(), receiver.address, PORT,
                             system_id or self.system_id, authority, *shown, *words])

    def ask(self, sender, receiver, membership, *words, **options):
        """What it is answered, a dict for each word."""
        result = self.client(sender, receiver, membership, *words, **options).wait(120).expect(0)
        return [json.loads(line) for line in result.out.splitlines()]


def system_id_of(server):
    return int(server.psql("SELECT system_identifier FROM pg_control_system()"))


def agent_command(host, *options, data=None):
    return host.standfast_command("agent", "-D", data or host.data, *options)


def start_agent(host, *options, env=None, data=None):
    """Up to its first word on the address that it serves on."""
    running = host.start(agent_command(host, "--listen", host.address, *options, data=data), env=env)
    wait_until(lambda: f"on {host.address}:{PORT}" in running.out or not running.alive, 60, "the agent listens")
    assert running.alive, running.wait()
    return running


def end_agent(running):
    running.signal(signal.SIGTERM)
    return running.wait(60).expect(0)
