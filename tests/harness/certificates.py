"""Certificates for a server, as an administrator makes them with openssl."""


def give_certificate(host, data=None, name="h1"):
    """A new key and a self-signed certificate in the data directory; a running server takes them at a reload."""
    data = data or host.data
    host.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
              "30", "-subj", f"/CN={name}", "-keyout", data / "server.key", "-out", data / "server.crt"]).expect(0)
    (data / "server.key").chmod(0o600)
