"""Groups of many routes, written into a bare repository the fast way.

Ten routes are a service, and services have upstreams of their own, as in life. How services are told
apart is the caller's: `gateway.py` puts ten of them below path prefixes of one host, `reload.py` gives
each a host.
"""

import hashlib
import json
import os
import subprocess
import zlib
from pathlib import Path

ROUTES = 10
GROUP = "bench"
WHO = "bench <bench@example.com>"


def canonical(document):
    return (json.dumps(document, indent=2) + "\n").encode()


def service_name(number):
    return f"s{number:05}"


def route(number, more=()):
    return {"paths": [f"/r{number}/*", *more]}


def runtime(port, hosts, prefix="", address="127.0.0.1"):
    document = {"hosts": hosts}
    if prefix:
        document |= {"path_prefix": prefix, "strip_path_prefix": False}
    nodes = [{"host": address, "port": port}]
    return document | {"upstreams": {"default": {"nodes": nodes}}}


def git(*arguments, **more):
    """Runs git away from whatever its user has set up."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *map(str, arguments)], env=environment, capture_output=True, **more)
    if done.returncode:
        raise SystemExit(f"bench: git {arguments[0]}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode().strip()


def create(path, routes, runtimes, certificates=None):
    """A repository whose group has `routes` routes; `runtimes(n)` is the runtime of service n.

    The last service takes what is left over, so that one route is one route.
    """
    git("init", "--quiet", "--bare", path)
    git("-C", path, "config", "refgate.formatversion", "1")
    services = -(-routes // ROUTES)
    files = [(f"certificates/{name}.json", each) for name, each in (certificates or {}).items()]
    files.append(("group.json", {"description": "what the benchmark measures"}))
    for number in range(services):
        name = service_name(number)
        files.append((f"services/{name}/service.json", {}))
        for each in range(min(ROUTES, routes - number * ROUTES)):
            files.append((f"services/{name}/routes/r{each}.json", route(each)))
        files.append((f"runtime/{name}.json", runtimes(number)))
    # Equal documents are one blob.
    marks, out = {}, []
    for _, document in files:
        text = canonical(document)
        if text not in marks:
            marks[text] = len(marks) + 1
            out.append(b"blob\nmark :%d\ndata %d\n%s\n" % (marks[text], len(text), text))
    out.append(f"commit refs/heads/{GROUP}\ncommitter {WHO} 1700000000 +0000\ndata 5\nbegin\n".encode())
    for place, document in files:
        out.append(b"M 100644 :%d %s\n" % (marks[canonical(document)], place.encode()))
    git("-C", path, "fast-import", "--quiet", input=b"".join(out))
    return services


class Writer:
    """Changes of one route each, made as loose objects the way a server writes them.

    What is timed is only the last step, the rename that moves the branch.
    """

    def __init__(self, repository, services):
        self.repository = Path(repository)
        self.services = services
        self.head = git("-C", repository, "rev-parse", f"refs/heads/{GROUP}")
        self.root = self._tree(f"{self.head}:")
        self.all = self._tree(f"{self.head}:services")
        self.branch = self.repository / "refs/heads" / GROUP

    def _tree(self, revision):
        """The entries of a tree by name, in git's order."""
        lines = git("-C", self.repository, "ls-tree", revision).splitlines()
        entries = {}
        for line in lines:
            told, name = line.split("\t")
            mode, _, each = told.split()
            entries[name] = (mode.lstrip("0"), bytes.fromhex(each))
        return entries

    def _object(self, kind, content):
        whole = b"%s %d\0%s" % (kind.encode(), len(content), content)
        each = hashlib.sha1(whole).hexdigest()
        path = self.repository / "objects" / each[:2] / each[2:]
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(zlib.compress(whole, 1))
        return bytes.fromhex(each)

    def _write(self, entries):
        rows = (f"{mode} {name}\0".encode() + each for name, (mode, each) in entries.items())
        return self._object("tree", b"".join(rows))

    def prepare(self, service, document):
        """Writes the commit that changes the first route of a service; the branch stays."""
        name = service_name(service)
        entries = self._tree(f"{self.head}:services/{name}")
        routes = self._tree(f"{self.head}:services/{name}/routes")
        routes["r0.json"] = ("100644", self._object("blob", canonical(document)))
        entries["routes"] = ("40000", self._write(routes))
        self.all[name] = ("40000", self._write(entries))
        self.root["services"] = ("40000", self._write(self.all))
        tree = self._write(self.root).hex()
        text = f"tree {tree}\nparent {self.head}\nauthor {WHO} 1700000000 +0000\ncommitter {WHO} 1700000000 +0000\n\nchange\n"
        self.head = self._object("commit", text.encode()).hex()
        self.lock = self.branch.with_suffix(".lock")
        self.lock.write_text(self.head + "\n")

    def publish(self):
        """Moves the branch to what was prepared, as git does."""
        os.rename(self.lock, self.branch)
