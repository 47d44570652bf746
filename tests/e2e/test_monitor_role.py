"""The monitor's password lies on every standby, so what its holder can do on the primary must end at reading statistics
and writing markers: no session of a superuser may run code that this role has made."""

from harness.binaries import DEBIAN
from harness.cluster import Cluster
from harness.steps import carry_token, join, set_up_primary

SUPERUSERS = "SELECT rolname FROM pg_roles WHERE rolsuper ORDER BY 1"
EVIL = """
CREATE SCHEMA evil;
CREATE FUNCTION evil.to_regclass(text) RETURNS regclass LANGUAGE plpgsql AS
  $$ BEGIN EXECUTE 'ALTER ROLE standfast_monitor SUPERUSER'; RETURN NULL; END $$;
CREATE FUNCTION evil.pg_is_in_recovery() RETURNS boolean LANGUAGE plpgsql AS
  $$ BEGIN EXECUTE 'ALTER ROLE standfast_monitor SUPERUSER'; RETURN false; END $$;
ALTER DATABASE standfast SET search_path = evil, pg_catalog, public;
"""
EVIL_TABLE = """
DROP SCHEMA IF EXISTS standfast CASCADE;
CREATE SCHEMA standfast;
CREATE TABLE standfast.marker (id bigint GENERATED ALWAYS AS IDENTITY, token text, written_at timestamptz);
"""


def as_monitor(host, sql):
    """By a session that really logged in as that role: SET ROLE could be taken back."""
    hba = host.data / "pg_hba.conf"
    if "all standfast_monitor trust" not in hba.read_text():
        hba.write_text("local all standfast_monitor trust\n" + hba.read_text())
        host.psql("SELECT pg_reload_conf(), pg_sleep(0.2)")
    port, socket_folder = host.server_socket()
    return host.run([DEBIAN.program("psql"), "-X", "-v", "ON_ERROR_STOP=1", "-h", socket_folder, "-p", port,
                     "-U", "standfast_monitor", "-d", "standfast", "-c", sql])


def test_functions_of_the_monitor_are_never_called_by_a_superuser(pair):
    primary, standby = pair
    set_up_primary(primary, standby)
    join(standby, carry_token(primary, standby)).expect(0)
    as_monitor(primary, EVIL).expect(0)
    primary.standfast("primary", "setup", "-D", primary.data, "--standby", standby.address).expect(0)
    primary.standfast("verify", "-D", primary.data).expect(0)
    primary.standfast("status", "--detail", "-D", primary.data).expect(0)
    standby.standfast("verify", "-D", standby.data).expect(0)
    assert primary.psql(SUPERUSERS) == "postgres"


def test_monitor_cannot_put_a_trigger_on_the_markers_or_replace_their_table(network):
    host = network.host("h1", "10.20.20.1")
    Cluster(host, DEBIAN).init().start()
    host.standfast("primary", "setup", "-D", host.data, "--standby", "10.20.20.2", "--restart").expect(0)
    refused = as_monitor(host, "CREATE TRIGGER t BEFORE INSERT ON standfast.marker EXECUTE FUNCTION suppress_redundant_updates_trigger()")
    assert refused.code != 0 and "permission denied" in refused.err
    assert as_monitor(host, "DROP SCHEMA standfast CASCADE").code != 0
    # One that it makes in a database of its own making is not used by a superuser.
    host.psql("DROP SCHEMA standfast CASCADE", database="standfast")
    as_monitor(host, EVIL_TABLE).expect(0)
    host.standfast("primary", "setup", "-D", host.data).expect_error(10, "was not made by a superuser")
    assert host.psql(SUPERUSERS) == "postgres"
