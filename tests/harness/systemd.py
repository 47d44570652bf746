"""A systemd that is recorded: a program in the place of systemctl that keeps units' state in files, starts and stops
their servers as the unit says, and writes down what it was asked. No systemd is process 1 of a host of the tests."""

import json
import pwd
import shutil

_PROGRAM = '''#!/usr/bin/python3
import json, os, pathlib, pwd, re, subprocess, sys

FOLDER, UNITS = pathlib.Path("/run/systemd/recorded"), pathlib.Path("/etc/systemd/system")
arguments = sys.argv[1:]
verb, words = arguments[0], [word for word in arguments[1:] if not word.startswith("-")]
unit = words[-1]
if "." not in unit:
    unit += ".service"
name = unit[:-len(".service")]
with open(FOLDER / "calls", "a") as calls:
    calls.write(json.dumps({"uid": os.getuid(), "arguments": arguments}) + "\\n")
path = UNITS / (re.sub("@.*", "@", name) + ".service")
settings = dict(re.findall("^(\\\\w+)=(.*)$", path.read_text(), re.M)) if path.exists() else {}
state_path = FOLDER / name
state = json.loads(state_path.read_text()) if state_path.exists() else {"ActiveState": "inactive", "Result": "success"}

def run(*command):
    # As User= in a unit.
    environment = {"PATH": os.environ["PATH"], "HOME": pwd.getpwnam("postgres").pw_dir, "USER": "postgres"}
    return subprocess.run(["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command],
                          env=environment, stdout=subprocess.DEVNULL, stderr=open(FOLDER / "errors", "a"),
                          check=False).returncode

def act(action):
    if settings.get("Type") == "oneshot":
        return 0
    if "ExecStart" in settings:  # what it starts goes on by itself
        stopped = 0 if action == "start" else run("sh", "-c", settings["ExecStop"])
        return stopped or (0 if action == "stop" else run("sh", "-c", settings["ExecStart"]))
    if "@" in name:
        return run("pg_ctlcluster", "--skip-systemctl-redirect", name.split("@")[1], action)
    data = settings["Environment"].split("PGDATA=")[1]
    log = [] if action == "stop" else ["-l", "/tmp/journal.log"]
    code = run("/usr/lib/postgresql/15/bin/pg_ctl", "-D", data, "-w", "-t", "60", *log, action)
    if code == 0 and action == "start" and settings.get("TimeoutStartSec") == "1":
        run("/usr/lib/postgresql/15/bin/pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        state["Result"] = "timeout"
        return 1
    return code

if verb in ("start", "stop", "restart"):
    if os.getuid() != 0:
        sys.exit("Access denied")
    if not settings:
        sys.exit(f"Unit {unit} not found.")
    already = verb == "start" and state["ActiveState"] == "active"
    code = 0 if already else act(verb)
    state["ActiveState"] = ("inactive" if verb == "stop" else "active") if code == 0 else "failed"
    state_path.write_text(json.dumps(state))
    sys.exit(code and f"Job for {unit} failed because a timeout was exceeded.")
elif verb == "enable":
    sys.exit(0 if os.getuid() == 0 and settings else "Access denied")
elif verb == "is-active":
    sys.exit(0 if state["ActiveState"] == "active" else 3)
elif verb == "show":
    seconds = settings.get("TimeoutStartSec", "0")
    shown = {"Type": settings.get("Type", "simple"), "Environment": settings.get("Environment", ""),
             "UnitFileState": settings.get("UnitFileState", "" if not settings else "disabled"),
             "TimeoutStartUSec": "infinity" if seconds == "0" else seconds + "s", **state}
    asked = arguments[arguments.index("-p") + 1].split(",")
    print("\\n".join(f"{key}={value}" for key, value in shown.items() if key in asked))
'''


class Systemd:
    """systemd as a host's programs see it from now on."""

    def __init__(self, host):
        self.host = host
        folder = host.bind("/run/systemd")
        (folder / "system").mkdir()
        self._recorded = folder / "recorded"
        self._recorded.mkdir()
        self._recorded.chmod(0o777)
        for name in ("calls", "errors"):
            (self._recorded / name).touch()
            (self._recorded / name).chmod(0o666)
        self._units = host.bind("/etc/systemd/system")
        host.bind("/usr/bin/systemctl", host.write("systemctl", _PROGRAM, mode=0o755, user="root"))

    def unit(self, name, *, data=None, kind="notify", enabled=True, timeout=0):
        """A unit file; UnitFileState in it is what systemd would find out by itself."""
        lines = ["[Service]", f"Type={kind}", f"TimeoutStartSec={timeout}",
                 f"UnitFileState={'enabled' if enabled else 'disabled'}"]
        if data:
            lines.append(f"Environment=PGDATA={data}")
        (self._units / f"{name}.service").write_text("\n".join(lines) + "\n")

    def agent_unit(self, host):
        """The agent's. What the real one runs in the foreground goes into the background here."""
        command = f"STANDFAST_HOME={host.secrets} {host.network.program} agent"
        (self._units / "standfast-agent.service").write_text(
            f"[Service]\nType=notify\nUser=postgres\nExecStart={command} --background\nExecStop={command} --stop\n")

    def calls(self, *verbs):
        """What it was asked to do since the last time: verb and unit, and by which user."""
        lines = (self._recorded / "calls").read_text().splitlines()
        (self._recorded / "calls").write_text("")
        calls = [json.loads(line) for line in lines]
        return [(call["arguments"][0], call["arguments"][-1], call["uid"]) for call in calls
                if call["arguments"][0] in (verbs or ("start", "stop", "restart"))]


def pgdg_folder(host):
    """/var/lib/pgsql of a host, which belongs to the server's user."""
    folder = host.bind("/var/lib/pgsql")
    shutil.chown(folder, "postgres", pwd.getpwnam("postgres").pw_gid)
    return folder
