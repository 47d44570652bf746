"""Certificates for a server, as an administrator makes them with openssl."""


def give_certificate(host, data=None, name="h1"):
    """A new key and a self-signed certificate in the data directory; a running server takes them at a reload."""
    data = data or host.data
    host.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
              "30", "-subj", f"/CN={name}", "-keyout", data / "server.key", "-out", data / "server.crt"]).expect(0)
    (data / "server.key").chmod(0o600)


class Authority:
    """A CA of one's own: its root, perhaps one below it, and what it signs. All its files lie in a folder of a host."""

    def __init__(self, host, name="own root", *, above=None, key="ec"):
        self.host, self.name, self.above = host, name, above
        folder = host.folder / "ca"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        self.stem = folder / name.replace(" ", "-")
        self._make(self.stem, f"/CN={name}", "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n", above, key)

    @property
    def certificate(self):
        return self.stem.with_suffix(".crt")

    @property
    def pem(self):
        return self.certificate.read_text()

    def _make(self, stem, subject, extensions, signer, key="ec", days=30):
        kind = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "weak": ["rsa:1024"], "rsa": ["rsa:2048"]}[key]
        self.host.run(["openssl", "req", "-new", "-newkey", *kind, "-nodes", "-subj", subject, "-keyout", f"{stem}.key",
                       "-out", f"{stem}.csr"]).expect(0)
        self.host.write(f"{stem}.ext", extensions)
        by = ["-CA", signer.certificate, "-CAkey", f"{signer.stem}.key", "-CAcreateserial"] if signer else [
            "-signkey", f"{stem}.key"]
        self.host.run(["openssl", "x509", "-req", "-in", f"{stem}.csr", *by, "-days", str(days), "-extfile",
                       f"{stem}.ext", "-out", f"{stem}.crt"]).expect(0)

    def give(self, host, *names, data=None, days=30, key="ec", usage="serverAuth", append=()):
        """A certificate for these names (DNS:..., IP:...) and its key into a data directory; `append` are the
        authorities whose certificates the server sends after it."""
        data = data or host.data
        stem = self.host.folder / "ca" / "server"
        alternative = f"subjectAltName={','.join(names)}\n" if names else ""
        self._make(stem, "/CN=h1", f"{alternative}extendedKeyUsage={usage}\n", self, key, days)
        sent = [stem.with_suffix(".crt").read_text(), *(one.pem for one in append)]
        host.write(data / "server.crt", "".join(sent))
        host.write(data / "server.key", stem.with_suffix(".key").read_text())
