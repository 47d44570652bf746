"""Help, manual pages and completion: all of one table, and each tried by the program it is for."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

USAGE = 2


@pytest.fixture(scope="module")
def host(shared_network):
    return shared_network.host("h1", "10.20.20.1")


@pytest.fixture(scope="module")
def commands(host):
    """What the program says of itself, as json."""
    return json.loads(host.standfast("help", "--output", "json").expect(0).out)["commands"]


@pytest.fixture(scope="module")
def share(host):
    folder = host.folder / "tmp" / "share"
    host.standfast("help", "--share", folder).expect(0)
    return folder


def test_every_command_has_help_with_example_options_and_exit_codes(host, commands):
    assert {"join", "primary setup", "standby clone", "doctor", "help", "completion"} <= {c["command"] for c in commands}
    for command in commands:
        words = command["command"].split()
        text = host.standfast("help", *words).expect(0).out
        assert host.standfast(*words, "-?").expect(0).out == text
        assert host.standfast(*words, "--help").expect(0).out == text
        assert f"\nExample:\n  {command['example']}\n" in text and command["usage"] in text
        for option in command["options"]:
            assert all(name in text for name in option["names"]), option
        for code in command["exit_codes"]:
            assert f"\n  {code:2}  " in text


def test_help_of_what_is_not_there_says_what_is(host):
    host.standfast("help", "frobnicate").expect_error(USAGE, "unknown command", "standfast help")
    host.standfast("help", "primary").expect_error(USAGE, "needs a second word", "standfast primary setup")
    host.standfast("help", "join", "x").expect_error(USAGE, "no command", "standfast help")
    assert host.standfast("help", "exit-codes").expect(0).out.count("\n") > 20
    assert host.standfast("help").expect(0).out == host.standfast("--help").expect(0).out


def test_manual_pages_are_without_fault(share, commands):
    pages = sorted((share / "man/man1").iterdir())
    names = {"standfast.1", *(f"standfast-{command['command'].replace(' ', '-')}.1" for command in commands)}
    assert {page.name for page in pages} == names
    for page in pages:
        for checker in (["mandoc", "-Tlint", "-Wstyle"], ["groff", "-man", "-Tutf8", "-ww", "-z"]):
            assert shutil.which(checker[0]), "run scripts/install.sh test"
            done = subprocess.run([*checker, page], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout + done.stderr) == (0, ""), page


def test_manual_page_shows_options_that_can_be_pasted(share):
    shown = subprocess.run(["mandoc", "-Tutf8", share / "man/man1/standfast-join.1"], capture_output=True, text=True,
                           check=True).stdout
    plain = subprocess.run(["col", "-b"], input=shown, capture_output=True, text=True, check=True).stdout
    assert "--token-file=FILE" in plain and "standfast join -D /var/lib/postgresql/15/main" in plain


def test_installed_files_are_for_everybody_to_read(share):
    files = [path for path in share.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}
    assert {path.stat().st_mode & 0o777 for path in share.rglob("*") if path.is_dir()} == {0o755}


class Bash:
    """The completion functions, called as bash calls them; no program of the table is run."""

    def __init__(self, share):
        self.script = share / "bash-completion/completions/standfast"
        self.folder = share.parent / "files"
        self.folder.mkdir()
        (self.folder / "token with blank").touch()
        (self.folder / "data").mkdir()

    def __call__(self, *words):
        text = (f"source {shlex.quote(str(self.script))}; COMP_WORDS=({' '.join(map(shlex.quote, words))}); "
                f"COMP_CWORD={len(words) - 1}; _standfast; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        done = subprocess.run([shutil.which("bash"), "--norc", "-c", text], cwd=self.folder, capture_output=True, text=True, check=True,
                              env={"PATH": "/nowhere"})
        assert done.stderr == "", done
        return done.stdout.split("\n")[:-1] if done.stdout != "\n" else []


@pytest.fixture(scope="module")
def bash(share):
    return Bash(share)


def test_bash_completes_commands_options_and_values(bash, commands):
    first = {command["command"].split()[0] for command in commands}
    assert set(bash("standfast", "")) == first | {"--help", "--version"}
    assert bash("standfast", "standby", "") == ["clone", "rejoin", "start", "stop", "promote"]
    assert bash("standfast", "standby", "clone", "-X", "") == ["none", "fetch", "stream"]
    assert bash("standfast", "standby", "clone", "-Xf") == ["-Xfetch"]
    assert bash("standfast", "status", "--output", "=", "j") == ["json"]
    assert bash("standfast", "status", "--output=j") == ["--output=json"]
    assert bash("standfast", "completion", "") == ["bash", "zsh"]
    assert bash("standfast", "help", "primary", "") == ["setup"]
    assert "exit-codes" in bash("standfast", "help", "")
    assert bash("standfast", "nothing", "") == []
    for command in commands:
        names = {name for option in command["options"] for name in option["names"]} - {"-?"}
        offered = bash("standfast", *command["command"].split(), "-")
        assert {word.rstrip("=") for word in offered} == names, command["command"]


def test_bash_completes_files_and_folders_and_nothing_secret(bash):
    assert bash("standfast", "join", "--token-file", "tok") == ["token with blank"]
    assert bash("standfast", "join", "-D", "") == ["data"]
    assert bash("standfast", "join", "--pgdata", "=", "d") == ["data"]
    assert bash("standfast", "status", "-d", "") == [] == bash("standfast", "join", "--port", "=", "")


def test_bash_takes_the_script_from_the_program(host):
    text = f"source <({host.network.program} completion bash) && complete -p standfast"
    assert host.run(["bash", "-c", text]).expect(0).out == "complete -F _standfast standfast\n"
    host.standfast("completion", "fish").expect_error(USAGE, "no other shell", "bash or zsh")
    host.standfast("completion").expect_error(USAGE, "shell", "completion --help")


def test_zsh_completes_commands_options_and_values(host, share):
    assert shutil.which("zsh"), "run scripts/install.sh test"
    functions = share / "zsh/site-functions"
    subprocess.run(["zsh", "-n", functions / "_standfast"], check=True)
    (host.folder / "tmp" / "a-token").touch()
    zsh = host.terminal(["zsh", "-f", "-i"], env={"HOME": host.folder / "tmp", "PS1": "> "})
    zsh.expect("> ")
    zsh.send_line(f"cd /tmp; fpath=({functions} $fpath); autoload -U compinit && compinit -D")
    # A key that shows the line as the shell has it, and forgets it.
    zsh.send_line("show() { zle -I; print -r -- \"<$BUFFER>\"; BUFFER= }; zle -N show; bindkey '^O' show; print ready$((1+1))")
    zsh.expect("ready2")
    for typed, becomes in (
            ("prim", "primary "), ("standby cl", "standby clone "), ("standby clone -X fe", "standby clone -X fetch "),
            ("standby clone --wal-m", "standby clone --wal-method="), ("status --output=j", "status --output=json "),
            ("join --token-file a-t", "join --token-file a-token "), ("help exit", "help exit-codes "),
            ("help standby prom", "help standby promote "), ("completion z", "completion zsh "),
            ("join --port=5", "join --port=5"), ("frob x", "frob x")):
        zsh.send(f"standfast {typed}\t\x0f")
        shown = zsh.expect("<(standfast .*)>").group(1)
        assert shown == f"standfast {becomes}"
    zsh.send_line("exit")
    zsh.finish()


def test_install_puts_everything_in_its_place(host, tmp_path):
    build = Path(os.environ.get("STANDFAST_BIN", Path(__file__).parents[2] / "build/release/standfast")).parent
    subprocess.run(["cmake", "--install", build, "--prefix", tmp_path], check=True, capture_output=True)
    for name in ("bin/standfast", "share/man/man1/standfast.1", "share/man/man1/standfast-primary-setup.1",
                 "share/bash-completion/completions/standfast", "share/zsh/site-functions/_standfast",
                 "lib/systemd/system/standfast-witness.service"):
        assert (tmp_path / name).is_file(), name
    page = host.standfast("help", "--man", "primary", "setup").expect(0).out
    assert (tmp_path / "share/man/man1/standfast-primary-setup.1").read_text() == page
