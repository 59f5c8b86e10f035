#!/usr/bin/env python3
"""What runs Reel elsewhere: units, compose file and manifests are parsed, their references followed, and every
command line and variable in them is put to the program. They are not run, which takes an init system, a container
engine and a cluster; but all roles run on a root that cannot be written, with the volumes of the containers."""

import re
import shlex
import shutil
import subprocess

import yaml

from kit import REEL, REPOSITORY, Checks, Redis, Workspace, environment, eventually, reel
from servers import Servers

checks = Checks("deploy")
OPS = REPOSITORY / "ops"
AWAY = {"REDIS_URL": "redis://127.0.0.1:1", "MONGODB_URL": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"}


def known_variables():
    text = ""
    for command in ("up", "serve", "serve check", "record", "status"):
        text += reel(*command.split(), "--help").stdout.decode()
    return set(re.findall(r"\[env:\s+(\w+)\]", text))


def accepted(what, arguments, variables, folder):
    """A command line is accepted when the program gets as far as looking for its servers (status 3)."""
    own = {name: value for name, value in variables.items() if not name.endswith("_URL")}
    own.update(AWAY, REEL_DATA=str(folder / "data"), REEL_READY_FILE=str(folder / "ready"))
    arguments = [a.replace("/var/lib/reel", str(folder / "data")).replace("/run/reel", str(folder / "run"))
                 for a in arguments]
    if arguments[:2] == ["serve", "check"]:
        done = reel(*arguments, env=environment(**own))
        checks.check(f"{what}: reel {' '.join(arguments[:4])}", done.returncode == 1, done.stderr)
        return
    if arguments[0] == "serve":
        own["REEL_STARTUP_WAIT_SECONDS"] = "0"
    done = reel(*arguments, env=environment(**own))
    checks.check(f"{what}: reel {' '.join(arguments[:3])}", done.returncode == 3, (done.returncode, done.stderr))


# What each role writes in the data folder, or reads from what others write there. The first read of the log
# that goes behind what Redis has needs the archive, so all have it.
SHARED = {"spool": "REEL_RECORDING_PATH", "chunks": "REEL_CHUNK_OUTPUT_PATH", "keys": "REEL_KEYS",
          "archive": "REEL_ARCHIVE_PATH"}


def written_by(role):
    return {"archive"} if role == "projector" else set(SHARED)


def declared():
    """The folders below the data folder that the program says it has, with their variables."""
    text = " ".join(reel("serve", "--help").stdout.decode().split())
    found = re.findall(r"\[default: DIR/(\w+)\] \[env: (REEL_\w+)\]", text)
    return {folder: variable for folder, variable in found}


def folders(_):
    """The program's folders are those that the files below are held against."""
    checks.equal("folders of the data folder, as reel serve --help has them", declared(), SHARED)
    text = (OPS / "Containerfile").read_text()
    image = set(re.findall(r"/var/lib/reel/(\w+)", text))
    checks.equal("Containerfile: folders with the owner that named volumes take over", image, set(SHARED))
    copied = set(re.findall(r"schemas/(openapi[\w-]*\.json)", text))
    checks.equal("Containerfile: every description of an API", copied,
                 {path.name for path in (REPOSITORY / "schemas").glob("openapi*.json")})
    env = (OPS / "systemd/reel.env").read_text()
    checks.equal("reel.env: every folder that machines share",
                 {name for name in SHARED.values() if f"#{name}=/mnt/reel/" in env}, set(SHARED.values()))
    for path in (OPS / "systemd").glob("*.service"):
        unit = path.read_text()
        checks.check(f"{path.name}: its data folder can be written", "StateDirectory=reel\n" in unit
                     and "--data /var/lib/reel" in unit and "ReadOnlyPaths" not in unit, unit)


READ_ONLY = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=1m tmpfs /var/lib
for volume in spool chunks keys archive; do
    mkdir -p /var/lib/reel/$volume
    mount --bind "$VOLUMES/$volume" /var/lib/reel/$volume
done
mount -t tmpfs -o size=1m tmpfs /run
mkdir /run/reel
mount -o remount,ro /var/lib
mount -o remount,bind,ro /
if [ -n "$MUST_FAIL" ]; then ! touch /var/lib/reel/x 2>/dev/null; exit; fi
exec "$@"
"""


def read_only(folder):
    """All roles on a root that cannot be written, as the containers have it: a recording is sealed, and the log's
    events leave Redis for the archive."""
    volumes = folder / "volumes"
    for volume in SHARED:
        (volumes / volume).mkdir(parents=True)

    def inside(system, *arguments, **more):
        variables = environment(
            REDIS_URL=system.redis_url, MONGODB_URL=system.mongodb_url,
            REEL_DATA="/var/lib/reel", REEL_READY_FILE="/run/reel/ready", REEL_DISK_RESERVE_MB="0",
            VOLUMES=str(volumes), **more)
        return subprocess.Popen(["unshare", "-m", "sh", "-c", READ_ONLY, "sh", REEL, *arguments], env=variables,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    (folder / "servers").mkdir()
    with Servers(folder / "servers") as system:
        system.start_redis()
        system.start_mongo()
        probe = inside(system, MUST_FAIL="1")
        probe.communicate()
        if probe.returncode != 0:
            return checks.skip("a root that cannot be written", "no namespace of mounts may be made here")
        roles = inside(system, "serve", "pipeline", "processor", "storage", "projector", "recorder", "api")
        try:
            made = eventually(lambda: Redis(system.redis_url)("EXISTS", "reel:meta"), 60)
            checks.check("roles on a read-only root: they make the log", made, f"status {roles.poll()}")
            tool = inside(system, "record", "-", "--name", "talk", "--wait", "--codec", "none")
            session, error = tool.communicate(bytes(range(256)) * 4000, timeout=120)
            checks.check("a read-only root: a recording is sealed", tool.returncode == 0,
                         f"found {(tool.returncode, error)}, expected 0")
            tool = inside(system, "archive", "run", "--all")
            found = tool.communicate(timeout=120)
            checks.check("and the log is archived", tool.returncode == 0 and list((volumes / "archive").rglob("*.seg")),
                         f"found {(tool.returncode, found)}, expected 0 and segments")
            tool = inside(system, "verify", session.decode().strip())
            found = tool.communicate(timeout=120)
            checks.check("and sound", tool.returncode == 0, f"found {(tool.returncode, found)}, expected 0")
        finally:
            roles.terminate()
            found = roles.communicate(timeout=60)
            checks.check("and the roles end cleanly", roles.returncode == 0, f"found {(roles.returncode, found[1][-900:])}, expected 0")


def units(folder):
    known = known_variables()
    copies = []
    for path in sorted((OPS / "systemd").glob("*.service")):
        text = path.read_text()
        copy = folder / path.name
        copy.write_text(text.replace("/usr/bin/reel", REEL))
        copies.append(copy)
        line = re.search(r"^ExecStart=/usr/bin/reel (.*)$", text, re.M).group(1)
        if line.startswith("serve"):
            for role in ("pipeline", "recorder", "processor", "storage", "api", "projector"):
                accepted(path.name, shlex.split(line.replace("%i", role)), {}, folder)
    variables = re.findall(r"^#?(\w+)=", (OPS / "systemd/reel.env").read_text(), re.M)
    checks.equal("reel.env: every variable is known", sorted(set(variables) - known), [])
    if not shutil.which("systemd-analyze"):
        checks.skip("units", "no systemd-analyze")
        return
    for copy in copies:
        name = copy
        if "@" in copy.name:
            name = copy.with_name(copy.name.replace("@", "@processor"))
            copy.rename(name)
        done = subprocess.run(["systemd-analyze", "verify", str(name)], capture_output=True, text=True)
        complaints = [l for l in done.stderr.splitlines() if name.name in l and "man " not in l]
        checks.check(f"{copy.name}: verified by systemd", not complaints, complaints)
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", str(name)],
            capture_output=True, text=True)
        level = re.search(r"Overall exposure level.*?: ([\d.]+)", done.stdout)
        limit = 1.5 if "@" in copy.name else 2.5
        checks.check(f"{copy.name}: exposure at most {limit}", level and float(level.group(1)) <= limit,
                     level and level.group(0) or done.stderr)


def compose(folder):
    file = yaml.safe_load((OPS / "compose.yaml").read_text())
    known = known_variables()
    services = file["services"]
    for name, service in services.items():
        image = service["image"]
        checks.check(f"compose {name}: the image is ours or has a version", image == "reel" or ":" in image
                     and not image.endswith(":latest"), image)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            found = (OPS / source).is_file() if source.startswith(".") else source in file["volumes"]
            checks.check(f"compose {name}: volume {source} is there", found)
        checks.check(f"compose {name}: networks are there", set(service["networks"]) <= set(file["networks"]))
        for other, how in service.get("depends_on", {}).items():
            checks.check(f"compose {name}: {other} can be waited for",
                         how["condition"] == "service_healthy" and "healthcheck" in services[other])
        if image != "reel":
            continue
        variables = service["environment"]
        checks.equal(f"compose {name}: variables are known", sorted(set(variables) - known), [])
        checks.check(f"compose {name}: nothing but its folders can be written",
                     service["read_only"] and service["cap_drop"] == ["ALL"])
        mounted = {volume.split(":")[1] for volume in service["volumes"] if not volume.endswith(":ro")}
        role = service["command"][1] if service["command"][0] == "serve" else name
        checks.equal(f"compose {name}: every folder that it writes is a volume",
                     {f for f in written_by(role) if f"/var/lib/reel/{f}" not in mounted}, set())
        accepted(f"compose {name}", service["command"], variables, folder)
        if "healthcheck" in service:
            test = service["healthcheck"]["test"]
            checks.equal(f"compose {name}: probe", test[:2], ["CMD", "/usr/bin/reel"])
            accepted(f"compose {name}", test[2:], variables, folder)
    roles = {service["command"][1] for service in services.values() if service.get("command", [""])[0] == "serve"}
    checks.equal("compose: every role", roles, {"pipeline", "recorder", "processor", "storage", "api", "projector"})
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?", (OPS / "Containerfile").read_text(), re.M)
    checks.check("Containerfile: versions are named, and it is built apart from what runs",
                 len(stages) == 2 and all(":" in image for image, _ in stages), stages)
    wanted = set(re.findall(r"\b\w[\w.+-]+-dev\b", (OPS / "install").read_text()))
    checks.equal("Containerfile: the libraries of ops/install",
                 wanted - set((OPS / "Containerfile").read_text().split()), set())


VERSIONS = {
    "Deployment": "apps/v1", "PodDisruptionBudget": "policy/v1", "ConfigMap": "v1", "Secret": "v1",
    "PersistentVolumeClaim": "v1", "Job": "batch/v1", "Service": "v1", "ScaledObject": "keda.sh/v1alpha1",
    "Kustomization": "kustomize.config.k8s.io/v1beta1",
}


def manifests(folder):
    place = OPS / "kubernetes"
    found, by = [], {}
    for path in sorted(place.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            kind = document["kind"]
            checks.equal(f"{path.name}: {kind} has its version", document["apiVersion"], VERSIONS.get(kind))
            if kind != "Kustomization":
                by.setdefault(kind, {})[document["metadata"]["name"]] = document
                found.append(document)
    custom = yaml.safe_load((place / "kustomization.yaml").read_text())
    files = {path.name for path in place.glob("*.yaml")} - {"kustomization.yaml", "secret.example.yaml"}
    checks.equal("kustomization: every file", set(custom["resources"]), files)
    config = by["ConfigMap"]["reel"]["data"]
    variables = dict(config, **by["Secret"]["reel-servers"]["stringData"])
    checks.equal("manifests: variables are known", sorted(set(variables) - known_variables()), [])
    pods = {**by["Deployment"], **by["Job"]}
    for name, document in pods.items():
        pod(name, document, by, variables, folder)
    for name, budget in by["PodDisruptionBudget"].items():
        labels = by["Deployment"][name]["spec"]["template"]["metadata"]["labels"]
        checks.check(f"{name}: the budget is for its pods", budget["spec"]["selector"]["matchLabels"] == labels)
    lag = by["Deployment"]["reel-lag"]["spec"]["template"]["metadata"]["labels"]
    checks.equal("lag: the service is for its pods", by["Service"]["reel-lag"]["spec"]["selector"], lag)
    for name, port in (("pipeline", 8083), ("recorder", 8084), ("api", 8087)):
        spec = by["Deployment"][f"reel-{name}"]["spec"]["template"]
        checks.equal(f"{name}: the service is for its pods",
                     by["Service"][f"reel-{name}"]["spec"]["selector"], spec["metadata"]["labels"])
        checks.equal(f"{name}: its port is the role's", spec["spec"]["containers"][0]["ports"][0]["containerPort"],
                     port)
    for name, scaled in by["ScaledObject"].items():
        spec = scaled["spec"]
        checks.check(f"{name}: what is scaled is there, and has no number of its own",
                     "replicas" not in by["Deployment"][spec["scaleTargetRef"]["name"]]["spec"])
        stages = [re.fullmatch(r'stages\.#\(name=="(\w+)"\)\.behind', t["metadata"]["valueLocation"])
                  for t in spec["triggers"]]
        checks.check(f"{name}: scaled by the lag of stages", all(stages) and {m.group(1) for m in stages} <= {
            "compress", "encrypt", "validate", "store"})


def pod(name, document, by, variables, folder):
    spec = document["spec"]["template"]["spec"]
    if document["kind"] == "Deployment":
        labels = document["spec"]["template"]["metadata"]["labels"]
        checks.check(f"{name}: it selects its pods", document["spec"]["selector"]["matchLabels"] == labels)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    claims = [v["persistentVolumeClaim"]["claimName"] for v in volumes.values() if "persistentVolumeClaim" in v]
    checks.check(f"{name}: its claims are there", set(claims) <= set(by["PersistentVolumeClaim"]), claims)
    for container in spec["containers"]:
        what = f"{name}/{container['name']}"
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        checks.check(f"{what}: what it mounts is there", mounted <= set(volumes))
        checks.check(f"{what}: requests and limits", {"requests", "limits"} <= set(container["resources"]))
        locked = container["securityContext"]
        checks.check(f"{what}: locked down", locked["readOnlyRootFilesystem"]
                     and not locked["allowPrivilegeEscalation"] and locked["capabilities"]["drop"] == ["ALL"])
        for source in container.get("envFrom", []):
            kind, key = ("ConfigMap", "configMapRef") if "configMapRef" in source else ("Secret", "secretRef")
            checks.check(f"{what}: {source[key]['name']} is there", source[key]["name"] in by[kind])
        if container["image"] != "reel" or container.get("command"):
            continue
        writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        checks.equal(f"{what}: every folder that it writes is a volume",
                     {f for f in written_by(container["args"][1]) if f"/var/lib/reel/{f}" not in writable}, set())
        accepted(what, container["args"], variables, folder)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if "httpGet" in container[probe]:
                asked = container[probe]["httpGet"]
                ports = {port["name"]: port["containerPort"] for port in container["ports"]}
                checks.check(f"{what}: {probe} asks a port that it has", asked["port"] in ports
                             and asked["path"] in ("/health/live", "/health/ready"), asked)
                continue
            command = container[probe]["exec"]["command"]
            checks.equal(f"{what}: {probe}", command[0], "/usr/bin/reel")
            accepted(what, command[1:], variables, folder)
        help_text = reel("serve", "--help").stdout.decode()
        within = int(re.search(r"SIGTERM \[default:\s+(\d+)\]", " ".join(help_text.split())).group(1))
        checks.check(f"{what}: more time to stop than it takes",
                     spec["terminationGracePeriodSeconds"] > within)


def main():
    with Workspace("deploy") as folder:
        for part in (folders, read_only, units, compose, manifests):
            with checks.section(part.__name__):
                part(folder)
    checks.finish()


main()
