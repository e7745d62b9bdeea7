"""Measures shipslog beside its peers and writes the table in benches/README.md; started by benches/compare.sh.

    compare.py FOLDER SERVER [PART...]

FOLDER holds `samples.csv` and `ours.json` of the history benchmark, SERVER is the release build of the example server. Parts are
`server`, `sums` and `sizes`; all of them when none is named. What a part found is kept in FOLDER, and the table is written when all
parts are there.
"""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

CONTAINERS = 50
WARM_UP, WINDOW, BASELINE = 15, 60, 30
NAME = f"shipslog-compare-{os.getpid()}"
README = pathlib.Path("benches/README.md")
BEGIN, END = "<!-- make compare: begin -->", "<!-- make compare: end -->"
TOKEN = "viewer-token-of-make-compare"
TICKS = os.sysconf("SC_CLK_TCK")

FOLDER = pathlib.Path(sys.argv[1])
SERVER = sys.argv[2]
PARTS = sys.argv[3:] or ["server", "sums", "sizes"]


def say(text):
    print(f"compare: {text}", file=sys.stderr, flush=True)


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def absent(name, columns):
    return [name, "not to be had here", *["–"] * (columns - 2)]


# Processes


def stat(pid):
    """Parent and CPU seconds, those of children that ended included; nothing for a process that is gone."""
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[1]), sum(map(int, fields[11:15])) / TICKS
    return None


def processes():
    found = {int(entry): stat(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    return {pid: known for pid, known in found.items() if known}


def tree(root):
    """A process and its descendants, with their CPU seconds."""
    every, members, grew = processes(), {root}, True
    while grew:
        more = {pid for pid, (parent, _) in every.items() if parent in members} - members
        members, grew = members | more, bool(more)
    return {pid: every[pid][1] for pid in members if pid in every}


def engine_seconds():
    """CPU seconds of the engine's daemons; of all that they are asked by anybody on this machine."""
    seconds = 0
    for pid, (_, used) in processes().items():
        with contextlib.suppress(OSError):
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() in ("dockerd", "containerd"):
                seconds += used
    return seconds


def mebibytes(root):
    """Resident memory of a process, and of its descendants what is their share of it."""
    total = 0
    for pid in tree(root):
        field = "Rss:" if pid == root else "Pss:"
        with contextlib.suppress(OSError):
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith(field))
    return total / 1024


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen(command, **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options})
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fetch(url, token=None, data=None):
    request = urllib.request.Request(url, data, {"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def await_url(url, token=None):
    for _ in range(100):
        with contextlib.suppress(OSError):
            return fetch(url, token)
        time.sleep(0.2)
    raise SystemExit(f"{url} does not answer")


# 1. The whole server


@contextlib.contextmanager
def containers():
    """Idle ones, which hold nothing but busybox."""
    say(f"starting {CONTAINERS} containers")
    archive = subprocess.run(["tar", "-C", "/bin", "-c", "busybox"], check=True, stdout=subprocess.PIPE).stdout
    docker("import", "-", NAME, input=archive)
    try:
        for number in range(CONTAINERS):
            docker("run", "-d", "--name", f"{NAME}-{number}", NAME, "/busybox", "sleep", "1000000")
        yield int(docker("ps", "-q").count(b"\n"))
    finally:
        # Not by a list of the engine: a container that was not made is no fault here.
        names = [f"{NAME}-{number}" for number in range(CONTAINERS)]
        subprocess.run(["docker", "rm", "-f", *names], capture_output=True)
        docker("rmi", NAME)


def docker(*args, **options):
    return subprocess.run(["docker", *args], check=True, stdout=subprocess.PIPE, **options).stdout


def watch(pids, seconds=WINDOW):
    """CPU of each of these with its children, and of the engine, in percent of a core over so long a time."""
    before, engine, begun = [tree(pid) for pid in pids], engine_seconds(), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - begun
    engine = (engine_seconds() - engine) / took * 100
    used = []
    for pid, was in zip(pids, before):
        # What began in between counts from nothing.
        used.append(sum(now - was.get(member, 0) for member, now in tree(pid).items()) / took * 100)
    return used, engine


@contextlib.contextmanager
def shipslog(listen):
    environment = {**os.environ, "SHIPSLOG_VIEWER_TOKEN": TOKEN, "SHIPSLOG_ADMIN_TOKEN": f"admin-{TOKEN}"}
    command = [SERVER, "--listen", listen, "--data", FOLDER / f"data-{listen.rpartition(':')[2]}", "--tick", "10s"]
    with running(command, env=environment) as pid:
        await_url(f"http://{listen}/healthz")
        yield pid


def netdata_config():
    """Netdata with its plugin for control groups alone, so that it does the same work."""
    folder = FOLDER / "netdata"
    port = free_port()
    for name in ("cache", "lib", "log"):
        (folder / name).mkdir(parents=True)
    off = "proc diskspace tc idlejitter apps python.d charts.d go.d fping ebpf ioping perf nfacct slabinfo statsd timex".split()
    # Left to itself it takes some hosts with version 1 for one with version 2, and then sees no container.
    unified = "yes" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "no"
    sections = {
        "global": {"run as user": "root"},
        "db": {"update every": 10},
        "directories": {name: folder / name for name in ("cache", "lib", "log")},
        "web": {"bind to": f"127.0.0.1:{port}"},
        "plugins": {name: "no" for name in [*off, "enable running new plugins"]},
        "plugin:cgroups": {"check for new cgroups every": 30, "use unified cgroups": unified},
        "statsd": {"enabled": "no"},
        "ml": {"enabled": "no"},
        "health": {"enabled": "no"},
        "registry": {"enabled": "no"},
    }
    lines = []
    for section, settings in sections.items():
        lines += [f"[{section}]", *(f"  {key} = {value}" for key, value in settings.items())]
    (folder / "netdata.conf").write_text("\n".join(lines) + "\n")
    return folder / "netdata.conf", f"http://127.0.0.1:{port}/api/v1/charts"


@contextlib.contextmanager
def netdata():
    config, url = netdata_config()
    with running(["netdata", "-D", "-P", config.parent / "pid", "-c", config]) as pid:
        # It looks for containers only now and then, and asks for the name of each.
        time.sleep(45)
        yield pid
        charts = json.loads(fetch(url))["charts"]
        seen = {name.split(".")[0] for name in charts if name.startswith("cgroup_")}
        say(f"netdata has charts of {len(seen)} control groups")


@contextlib.contextmanager
def glances():
    path = FOLDER / "glances.out"
    plugins = ["--disable-plugin", "all", "--enable-plugin", "docker"]
    with open(path, "w") as out, running(["glances", "-t", "10", *plugins, "--stdout", "docker"], stdout=out) as pid:
        yield pid
    last = path.read_text().strip().splitlines()[-1]
    say(f"glances shows {last.count(repr('cpu_percent'))} containers")


def scraper(listen):
    config = FOLDER / "scrape.yml"
    config.write_text(
        "scrape_configs:\n  - job_name: shipslog\n    scrape_interval: 10s\n"
        f"    authorization: {{credentials: {TOKEN}}}\n    static_configs: [{{targets: ['{listen}']}}]\n"
    )
    return config


def prometheus(listen):
    path, web = f"--storage.tsdb.path={FOLDER / 'prometheus'}", f"--web.listen-address=127.0.0.1:{free_port()}"
    return running(["prometheus", f"--config.file={scraper(listen)}", path, web])


def victoria_metrics(listen):
    path, web = f"-storageDataPath={FOLDER / 'victoria'}", f"-httpListenAddr=127.0.0.1:{free_port()}"
    return running(["victoria-metrics", f"-promscrape.config={scraper(listen)}", path, web])


def alone(manager):
    """One collector while no other runs: its CPU, its memory, and the CPU of the engine meanwhile."""
    with manager as pid:
        time.sleep(WARM_UP)
        used, engine = watch([pid])
        return used[0], mebibytes(pid), engine


def storing():
    """Those that keep numbers and do not collect them, while they take ours: CPU and memory of each."""
    listen, measured = f"127.0.0.1:{free_port()}", {}
    candidates = {"prometheus": prometheus, "victoria-metrics": victoria_metrics}
    with contextlib.ExitStack() as stack:
        stack.enter_context(shipslog(listen))
        pids = {
            name: stack.enter_context(start(listen)) for name, start in candidates.items() if shutil.which(name)
        }
        time.sleep(WARM_UP)
        used, _ = watch(list(pids.values()))
        for (name, pid), cpu in zip(pids.items(), used):
            measured[name] = cpu, mebibytes(pid)
    return measured


def beside(value, ours):
    return f"{value / ours:.3g} ×" if ours else "–"


def server_part():
    with containers() as count:
        before = watch([], BASELINE)[1]
        measured = {}
        for name, start in (("shipslog", lambda: shipslog(f"127.0.0.1:{free_port()}")), ("netdata", netdata), ("glances", glances)):
            if name != "shipslog" and not shutil.which(name):
                continue
            say(f"measuring {name}")
            measured[name] = alone(start())
        after = watch([], BASELINE)[1]
        say("measuring those that store")
        stored = storing()
    return server_table(count, measured, stored, (before, after))


def server_table(count, measured, stored, idle):
    about = {
        "shipslog": ("shipslog", "`server --tick 10s`"),
        "netdata": ("netdata, its plugin for control groups alone", "`netdata -D`, `update every = 10`, all other plugins off"),
        "glances": ("glances, its plugin for docker alone", "`glances -t 10 --stdout docker`"),
        "prometheus": ("prometheus, storing alone: what shipslog's `/metrics` shows", "`prometheus`, `scrape_interval: 10s`"),
        "victoria-metrics": ("victoria-metrics, storing alone, likewise", "`victoria-metrics -promscrape.config`"),
    }
    base, noise = statistics.mean(idle), abs(idle[0] - idle[1])
    ours, rows = measured["shipslog"], []
    for name, (label, command) in about.items():
        cpu, memory, *engine = measured.get(name) or stored.get(name) or (None, None)
        if cpu is None:
            rows.append(absent(label, 6))
            continue
        more = "–" if not engine else f"{engine[0] - base:+.2f} %"
        ratio = f"{beside(cpu, ours[0])}, {beside(memory, ours[1])}"
        rows.append([label, f"{cpu:.3f} %", more, f"{memory:.1f} MiB", ratio, command])
    rows.append(absent("cAdvisor (neither in Debian nor on PyPI)", 6))
    header = ["whole server", "CPU of a core", "engine's CPU more", "memory", "÷ shipslog (CPU, memory)", "command"]
    text = (
        f"{CONTAINERS} idle busybox containers ({count} on the machine in all), a stored tick every 10 s, nobody watching; CPU is user and "
        f"system time over {WINDOW} s, children included, which the kernel tells in steps of {100 / TICKS / WINDOW:.3f} %. `dockerd` and `containerd` took {idle[0]:.2f} % before and {idle[1]:.2f} % after with none of "
        f"these running, so a difference below {max(noise, 0.05):.2f} % says nothing.\n\n"
    )
    return text + table(header, rows)


# 2. Sums per timestamp from a file

MEASURES = ["cpu", "memory_usage", "network_rx", "network_tx", "block_read", "block_write"]
SUMS = ", ".join(f"sum({measure})" for measure in MEASURES)
LIMIT = "CASE WHEN min(memory_limit) = 0 THEN 0 ELSE max(memory_limit) END"
QUERY = f"SELECT ts, {SUMS}, {LIMIT}, count(*) FROM {{}} GROUP BY ts ORDER BY ts"


def median_ms(work, rounds=15):
    work()
    took = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took)


def import_duckdb():
    """The same rows as Parquet and as a database of DuckDB, by container and time, which packs them best."""
    import duckdb

    database = duckdb.connect(str(FOLDER / "duck.db"))
    rows = f"(SELECT * FROM read_csv('{FOLDER / 'samples.csv'}') ORDER BY container, ts)"
    database.execute(f"CREATE TABLE samples AS FROM {rows}")
    database.execute(f"COPY samples TO '{FOLDER / 'samples.parquet'}' (FORMAT parquet, COMPRESSION zstd)")
    database.execute("CHECKPOINT")
    return database


def by_polars():
    import polars

    sums = [polars.col(measure).sum() for measure in MEASURES]
    low, high = polars.col("memory_limit").min(), polars.col("memory_limit").max()
    limit = polars.when(low == 0).then(0).otherwise(high).alias("memory_limit")
    rows = polars.scan_parquet(FOLDER / "samples.parquet")
    return lambda: rows.group_by("ts").agg(*sums, limit, polars.len()).sort("ts").collect()


def sums_part():
    database, parquet = import_duckdb(), f"'{FOLDER / 'samples.parquet'}'"
    ours = json.loads((FOLDER / "ours.json").read_text())["sum_ms"]
    ask = lambda source: lambda: database.execute(QUERY.format(source)).fetchnumpy()
    polars = by_polars()
    assert len(polars()) == len(ask("samples")()["ts"]) == 7_200
    rows = [
        ["shipslog, from its SQLite file", ours, "`cargo bench -p shipslog-store --bench history`"],
        ["duckdb, from its own file", median_ms(ask("samples")), "`SELECT ts, sum(…), … GROUP BY ts ORDER BY ts`"],
        ["duckdb, from Parquet", median_ms(ask(parquet)), "the same `FROM 'samples.parquet'`"],
        ["polars, from Parquet", median_ms(polars), '`scan_parquet(…).group_by("ts").agg(…).sort("ts").collect()`'],
    ]
    cells = [[name, f"{took:.1f} ms", beside(took, ours), command] for name, took, command in rows]
    text = "The sums per timestamp of 100 containers over 7,200 ticks, 720,000 rows of 7 measures, files in the page cache, all cores for everybody.\n\n"
    return text + table(["sums from a file", "median", "÷ shipslog", "command"], cells)


# 3. Bytes a value on the disk

COLUMNS = ["cpu", "memory_usage", "memory_limit", "network_rx", "network_tx", "block_read", "block_write"]


def size(path):
    path = pathlib.Path(path)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def write_openmetrics():
    with open(FOLDER / "samples.csv") as rows, open(FOLDER / "samples.om", "w") as out:
        next(rows)
        for row in rows:
            ts, container, *values = row.rstrip().split(",")
            for column, value in zip(COLUMNS, values):
                out.write(f'{column}{{container="{container}"}} {value} {ts}\n')
        out.write("# EOF\n")


def prometheus_bytes():
    write_openmetrics()
    blocks = FOLDER / "blocks"
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", FOLDER / "samples.om", blocks]
    subprocess.run(command, check=True, capture_output=True)
    return size(blocks)


def await_steady(path):
    """Waits until a folder has the same size for 15 seconds, for a minute at most."""
    last, since = size(path), time.monotonic()
    end = since + 60
    while time.monotonic() < min(since + 15, end):
        time.sleep(1)
        if (now := size(path)) != last:
            last, since = now, time.monotonic()


def victoria_bytes():
    data, port = FOLDER / "victoria-import", free_port()
    columns = [f"{number}:metric:{column}" for number, column in enumerate(COLUMNS, 3)]
    labels = ",".join(["1:time:unix_s", "2:label:container", *columns])
    flags = [f"-storageDataPath={data}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y"]
    with running(["victoria-metrics", *flags]):
        base = f"http://127.0.0.1:{port}"
        await_url(f"{base}/health")
        with open(FOLDER / "samples.csv") as rows:
            next(rows)
            while batch := list(zip(range(100_000), rows)):
                fetch(f"{base}/api/v1/import/csv?format={labels}", data="".join(row for _, row in batch).encode())
                last_ts = batch[-1][1].partition(",")[0]
        fetch(f"{base}/internal/force_flush")
        counted = fetch(f"{base}/api/v1/query?query=sum(count_over_time(cpu[7h]))&time={int(last_ts) + 1}")
        assert json.loads(counted)["data"]["result"][0]["value"][1] == "720000", counted
        fetch(f"{base}/internal/force_merge")
        await_steady(data)
    return size(data)


def sizes_part():
    if not (FOLDER / "duck.db").exists():
        import_duckdb().close()
    ours = json.loads((FOLDER / "ours.json").read_text())["bytes"]
    peers = [
        ("prometheus' TSDB", "promtool", prometheus_bytes, "`promtool tsdb create-blocks-from openmetrics`"),
        ("victoria-metrics, merged", "victoria-metrics", victoria_bytes, "`/api/v1/import/csv`, `/internal/force_merge`"),
        ("Parquet, zstd", None, lambda: size(FOLDER / "samples.parquet"), "`COPY … (FORMAT parquet, COMPRESSION zstd)`"),
        ("duckdb's own file", None, lambda: size(FOLDER / "duck.db"), "`CREATE TABLE … ; CHECKPOINT`"),
    ]
    values = 7_200 * 100 * len(COLUMNS)
    rows = [["shipslog", f"{ours / values:.2f}", "1 ×", "`cargo bench -p shipslog-store --bench history`"]]
    for name, program, measure, command in peers:
        if program and not shutil.which(program):
            rows.append(absent(name, 4))
            continue
        say(f"measuring {name}")
        taken = measure()
        rows.append([name, f"{taken / values:.2f}", beside(taken, ours), command])
    text = (
        "The same rows, 5 million values, all that the files take divided by the number of values; times, names and indexes included, write-ahead logs not, nor the 16 MiB that "
        "shipslog sets aside for a full disk; its newest 544 ticks are not packed yet. "
        "Processor use is a whole number for everybody, Parquet and duckdb are sorted by container and time.\n\n"
    )
    return text + table(["bytes a value", "bytes", "÷ shipslog", "command"], rows)


def write_readme(texts):
    head, _, rest = README.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    README.write_text(f"{head}{BEGIN}\n\n" + "\n".join(texts) + f"\n{END}{tail}")


if __name__ == "__main__":
    parts = {"server": server_part, "sums": sums_part, "sizes": sizes_part}
    for name in PARTS:
        (FOLDER / f"{name}.md").write_text(parts[name]())
    texts = [(FOLDER / f"{name}.md").read_text() for name in parts if (FOLDER / f"{name}.md").exists()]
    print("\n".join(texts))
    if len(texts) == len(parts):
        write_readme(texts)
