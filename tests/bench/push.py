"""The clock of tests/bench/push.sh: pushes, and asks the gateway until it serves what was pushed."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

work, control, gateway, origin, services, pushes = sys.argv[1:]
services, pushes = int(services), int(pushes)
token = os.environ["REFGATE_ADMIN_TOKEN"]
remote = control.replace("://", f"://x:{token}@") + "/config.git"
environment = dict(
    PATH=os.environ["PATH"], HOME=work, GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0",
    GIT_AUTHOR_NAME="bench", GIT_AUTHOR_EMAIL="bench@example.com",
    GIT_COMMITTER_NAME="bench", GIT_COMMITTER_EMAIL="bench@example.com", no_proxy="*",
)


def git(*arguments):
    done = subprocess.run(["git", *arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench: git {' '.join(arguments)}: {done.stdout}{done.stderr}")


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


def route(text):
    return {"description": text, "paths": ["/headers"], "methods": ["GET"]}


clone = Path(work, "clone")
git("clone", "--quiet", "--branch", "test", remote, str(clone))
runtime = {"upstreams": {"default": {"nodes": [{"host": "127.0.0.1", "port": int(origin)}]}}}
for number in range(services):
    name = f"s{number}"
    write(clone / f"services/{name}/service.json", {})
    write(clone / f"services/{name}/routes/main.json", route("at first"))
    write(clone / f"runtime/{name}.json", {"hosts": [f"{name}.acme.com"], **runtime})
git("-C", str(clone), "add", ".")
git("-C", str(clone), "commit", "--quiet", "-m", "begin")
started = time.monotonic()
git("-C", str(clone), "push", "--quiet", "origin", "HEAD:test")
print(f"the first push, of {services} services: {time.monotonic() - started:.2f} s")

# The plain one flushes as the measured one does, and has no hooks.
bare = Path(work, "plain.git")
git("init", "--quiet", "--bare", str(bare))
for setting in (("core.fsync", "all"), ("receive.fsckObjects", "true"), ("receive.autogc", "false")):
    git("--git-dir", str(bare), "config", *setting)
git("-C", str(clone), "remote", "add", "plain", f"file://{bare}")
git("-C", str(clone), "push", "--quiet", "plain", "HEAD:test")

place = urlsplit(gateway)


def wait_until_served(path, host, result):
    """Asks over one connection until the path that came with the push is there."""
    connection = http.client.HTTPConnection(place.hostname, place.port)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        connection.request("GET", path, headers={"host": host})
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            result.append(time.monotonic())
            return
        time.sleep(0.001)


served, returned, plain = [], [], []
for number in range(pushes + 3):
    name = f"s{number * 7 % services}"
    path = f"/anything/{number}"
    write(clone / f"services/{name}/routes/main.json", {**route(str(number)), "paths": ["/headers", path]})
    git("-C", str(clone), "commit", "--quiet", "--all", "-m", f"change {number}")
    result = []
    asking = threading.Thread(target=wait_until_served, args=(path, f"{name}.acme.com", result))
    asking.start()
    started = time.monotonic()
    git("-C", str(clone), "push", "--quiet", "origin", "HEAD:test")
    back = time.monotonic()
    asking.join()
    if not result:
        sys.exit(f"bench: {path} of {name} was never served")
    before = time.monotonic()
    git("-C", str(clone), "push", "--quiet", "plain", "HEAD:test")
    after = time.monotonic()
    # The first ones find nothing warm.
    if number >= 3:
        served.append(result[0] - started)
        returned.append(back - started)
        plain.append(after - before)


def show(what, times):
    times = sorted(times)
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))] * 1000
    print(f"{what:<44} p50 {at(0.5):7.1f} ms   p99 {at(0.99):7.1f} ms   max {times[-1] * 1000:7.1f} ms")


print(f"{pushes} pushes of one changed route, {services} services in the group")
show("git push until the gateway serves it", served)
show("git push until it returns", returned)
show("plain git push, file://, until it returns", plain)
