"""The deployment files: their shape, that they agree with each other, and with the flags that there are."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from inferplan.server.http.body import LARGEST_BODY
from inferplan.server.http.command import settings_of
from inferplan.server.http.serve import GRACE_S
from inferplan.server.http.settings import LONGEST_S
from inferplan.server.http.tokens import read_tokens

DEPLOY = Path(__file__).parents[1] / "deploy"
USER = 65532


def read(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def manifests() -> dict[str, dict[str, Any]]:
    """What kustomize would apply, by kind."""
    names = yaml.safe_load(read("kubernetes/kustomization.yaml"))["resources"]
    found = [yaml.safe_load(read(f"kubernetes/{name}")) for name in names]
    return {each["kind"]: each for each in found}


def pod() -> dict[str, Any]:
    return manifests()["Deployment"]["spec"]["template"]["spec"]


def container() -> dict[str, Any]:
    (only,) = pod()["containers"]
    return only


def replica() -> dict[str, Any]:
    return yaml.safe_load(read("compose.yaml"))["services"]["inferplan"]


def command_lines(*, address: str) -> list[list[str]]:
    """Each command line of the deployment, without the program, with this address for every variable."""
    (image,) = re.findall(r"^CMD (\[.*\])$", read("Dockerfile"), re.MULTILINE)[-1:]
    lines = [yaml.safe_load(image), replica()["command"], container()["args"]]
    return [[re.sub(r"\$[({].*[)}]", address, word) for word in line] for line in lines]


@pytest.mark.parametrize("address", ["10.0.0.1", "fd00::1"])
@pytest.mark.parametrize("which", range(3), ids=("image", "compose", "kubernetes"))
def test_every_command_line_is_one_that_the_command_takes(which: int, address: str, tmp_path: Path):
    line = command_lines(address=address)[which]
    tokens = tmp_path / "tokens"
    tokens.write_text("token", encoding="utf-8")
    assert line[0] == "http"
    words = [re.sub(r"/run/secrets/.*", str(tokens), word) for word in line[1:]]
    settings = settings_of(words)
    assert settings.tokens == read_tokens(tokens)
    assert settings.port == 8000


def test_the_image_is_pinned_compiled_and_runs_without_rights():
    text = read("Dockerfile")
    assert re.search(r"^ARG PYTHON=python:\d+\.\d+\.\d+-", text, re.MULTILINE)
    assert "PIP_CONSTRAINT=/src/constraints.txt" in text
    assert "compileall" in text
    assert "--compile" in text
    assert text.index(f"USER {USER}:{USER}") < text.index("ENTRYPOINT")


def test_what_the_image_copies_is_there_and_not_ignored():
    names = re.findall(r"^COPY (?!--from)(.+) \S+$", read("Dockerfile"), re.MULTILINE)
    kept = re.findall(r"^!(.+)$", read("Dockerfile.dockerignore"), re.MULTILINE)
    copied = {name for line in names for name in line.split()}
    assert copied == set(kept)
    assert all((DEPLOY.parent / name).exists() for name in copied)


def test_compose_puts_nginx_before_several_replicas_that_reach_nothing_else():
    compose = yaml.safe_load(read("compose.yaml"))
    assert replica()["deploy"]["replicas"] >= 2
    assert "ports" not in replica()
    assert replica()["networks"] == ["inside"]
    assert compose["networks"]["inside"]["internal"]
    assert all(port.startswith("127.0.0.1:") for port in compose["services"]["nginx"]["ports"])
    for volume in compose["services"]["nginx"]["volumes"]:
        assert (DEPLOY / volume.split(":")[0]).exists()


def test_containers_run_as_nobody_on_a_file_system_that_they_cannot_write():
    assert replica()["user"] == f"{USER}:{USER}"
    assert replica()["read_only"]
    assert replica()["cap_drop"] == ["ALL"]
    assert pod()["securityContext"]["runAsNonRoot"]
    assert pod()["securityContext"]["runAsUser"] == USER
    assert not pod()["automountServiceAccountToken"]
    rights = container()["securityContext"]
    assert rights == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_each_probe_asks_for_the_health_of_the_named_port(probe: str):
    assert container()[probe]["httpGet"] == {"path": "/health", "port": "http"}
    assert {"name": "http", "containerPort": 8000} in container()["ports"]


def test_a_pod_has_limits_and_more_time_to_end_than_it_takes():
    assert set(container()["resources"]) == {"requests", "limits"}
    assert set(container()["resources"]["limits"]) == {"cpu", "memory"}
    pause = int(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod()["terminationGracePeriodSeconds"] > pause + GRACE_S
    assert int(replica()["stop_grace_period"].removesuffix("s")) > GRACE_S


def test_the_autoscaler_scales_the_deployment_by_its_cpu():
    scaler = manifests()["HorizontalPodAutoscaler"]["spec"]
    deployment = manifests()["Deployment"]
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"]
    assert [metric["resource"]["name"] for metric in scaler["metrics"]] == ["cpu"]


def test_every_selector_finds_the_pods_and_they_may_ask_nobody():
    labels = manifests()["Deployment"]["spec"]["template"]["metadata"]["labels"]
    specs = {kind: manifest["spec"] for kind, manifest in manifests().items()}
    assert specs["Service"]["selector"] == labels
    for kind, key in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        assert specs[kind][key]["matchLabels"] == labels
    assert specs["NetworkPolicy"]["egress"] == []
    assert set(specs["NetworkPolicy"]["policyTypes"]) == {"Ingress", "Egress"}


def test_nginx_asks_the_next_replica_also_after_a_post_and_waits_longer_than_a_replica():
    text = read("nginx/server.conf")
    retried = re.search(r"proxy_next_upstream (.*);", text)
    assert retried
    assert {"error", "timeout", "non_idempotent"} <= set(retried[1].split())
    endpoint = re.search(r"location ~ (\S+) \{\s*proxy_pass http://inferplan;\s*error_page 502 = @again;\s*\}", text)
    assert endpoint
    paths = ("/mcp", "/mcp/", "/mcp/x", "/mcpx", "/x/mcp", "/metrics")
    assert [path for path in paths if re.search(endpoint[1], path)] == ["/mcp", "/mcp/"]
    assert re.search(r"location @again \{\s*proxy_pass http://inferplan;\s*\}", text)
    patience = re.search(r"proxy_read_timeout (\d+)s;", text)
    assert patience
    assert int(patience[1]) > LONGEST_S
    assert f"client_max_body_size {LARGEST_BODY // 2**20}m;" in text
    assert "/metrics" not in text
    assert "upstream inferplan {" in read("nginx/upstream.conf")
