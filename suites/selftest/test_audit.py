"""`python -m fixtures audit`: what it reads of a cluster, what it may not read there, its exit codes."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError

from fixtures import setup
from fixtures.cli import main
from fixtures.cluster import kube as kube_module
from fixtures.cluster.failures import ClusterError, NotReadyError
from fixtures.cluster.kube import CLUSTER_ISSUER, CONFIG_MAP, SECRET, Kind, Kube, Object
from fixtures.pki import mint
from fixtures.probe.audit import (
    ADMISSION_POLICY,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    ISSUER,
    REQUEST_POLICY,
    audit,
)
from fixtures.probe.minters import unguarded
from suites.selftest.cluster.commands import Commands

KUBE = Kube(Path("/k"), "kind-mesh", Path("kubectl"))
ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
OTHER = mint.authority(mint.CERT_MANAGER_ROOT)


def refused(status: int, message: str = "") -> ApiException:
    error = ApiException(status=status, reason="Forbidden")
    error.body = json.dumps({"message": message})
    return error


class Cluster:
    """Answers lists and gets from tables, and knows nothing else to answer."""

    def __init__(self) -> None:
        self.lists: dict[str, list[Object] | Exception] = {}
        self.objects: dict[tuple[str, str, str], Object | Exception] = {}
        self.asked: list[str] = []

    def list(self, kind: Kind, namespace: str | None = None, labels: str = "") -> list[Object]:
        self.asked.append(kind.name)
        found = self.lists.get(f"{kind.api_version} {kind.name}", [])
        if isinstance(found, Exception):
            raise found
        return found

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        found = self.objects.get((kind.name, namespace or "", name), NotFoundError(ApiException(404)))
        if isinstance(found, Exception):
            raise found
        return found

    def holds(self, kind: Kind, *objects: Object) -> None:
        self.lists[f"{kind.api_version} {kind.name}"] = list(objects)

    def refuses(self, kind: Kind, error: Exception) -> None:
        self.lists[f"{kind.api_version} {kind.name}"] = error

    def secret(self, namespace: str, name: str, ca: mint.Issued) -> None:
        files = {"tls.crt": mint.pem(*ca.chain), "ca.crt": mint.pem(ca.root), "tls.key": ca.key_pem}
        data = {key: base64.b64encode(value).decode() for key, value in files.items()}
        self.objects[SECRET.name, namespace, name] = {"data": data}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A mesh with one ClusterIssuer, which signs with its root, and no roles."""
    found = Cluster()
    monkeypatch.setattr(Kube, "list", lambda _, *args, **words: found.list(*args, **words))
    monkeypatch.setattr(Kube, "get", lambda _, *args, **words: found.get(*args, **words))
    found.holds(CLUSTER_ISSUER, issuer("selfsigned-ca"))
    found.secret("cert-manager", "selfsigned-ca", ROOT)
    return found


def issuer(name: str, namespace: str = "") -> Object:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"metadata": metadata, "spec": {"ca": {"secretName": name}}}


def jane_may_ask(cluster: Cluster) -> None:
    rules = [{"apiGroups": ["cert-manager.io"], "resources": ["certificaterequests"], "verbs": ["create"]}]
    cluster.holds(CLUSTER_ROLE, {"metadata": {"name": "asks"}, "rules": rules})
    reference = {"kind": "ClusterRole", "name": "asks"}
    subjects = [{"kind": "User", "name": "jane"}]
    cluster.holds(
        CLUSTER_ROLE_BINDING, {"metadata": {"name": "asks"}, "roleRef": reference, "subjects": subjects}
    )


def test_issuers_of_the_root_are_told_from_others(cluster: Cluster) -> None:
    cluster.holds(CLUSTER_ISSUER, issuer("selfsigned-ca"), issuer("other"))
    cluster.secret("cert-manager", "other", OTHER)
    cluster.holds(ISSUER, issuer("below", "dev"), issuer("other", "dev"))
    cluster.secret("dev", "below", mint.intermediate(ROOT))
    cluster.secret("dev", "other", OTHER)

    found = audit(KUBE)

    assert [(str(one), one.doubt) for one in found.issuers] == [
        ("ClusterIssuer selfsigned-ca", ""),
        ("Issuer dev/below", ""),
    ]


def test_key_is_not_kept(cluster: Cluster) -> None:
    assert "PRIVATE KEY" not in repr(audit(KUBE))


@pytest.mark.parametrize(
    ("answer", "doubt"),
    [
        (refused(403), "its Secret cert-manager/mesh may not be read"),
        (NotFoundError(ApiException(404)), "its Secret cert-manager/mesh is not there"),
        ({"data": {"tls.crt": "bm9uZQ=="}}, "its Secret cert-manager/mesh holds no certificate"),
        ({"data": None}, "its Secret cert-manager/mesh holds no certificate"),
    ],
    ids=["forbidden", "absent", "no-certificate", "empty"],
)
def test_issuer_whose_ca_cannot_be_read_counts_and_is_marked(
    answer: Object | Exception, doubt: str, cluster: Cluster
) -> None:
    cluster.holds(CLUSTER_ISSUER, issuer("mesh"))
    cluster.objects[SECRET.name, "cert-manager", "mesh"] = answer
    jane_may_ask(cluster)

    found = audit(KUBE)

    assert [one.doubt for one in found.issuers] == [doubt]
    assert len(unguarded(found)) == 1


@pytest.mark.parametrize(
    "answer", [refused(403), NotFoundError(ApiException(404))], ids=["forbidden", "absent"]
)
def test_root_that_may_not_be_read_is_the_one_that_istiod_publishes(
    answer: Exception, cluster: Cluster
) -> None:
    cluster.objects[SECRET.name, "cert-manager", "selfsigned-ca"] = answer
    published = {"data": {"root-cert.pem": mint.pem(ROOT.cert).decode()}}
    cluster.objects[CONFIG_MAP.name, "istio-system", "istio-ca-root-cert"] = published
    cluster.holds(CLUSTER_ISSUER, issuer("mesh"), issuer("other"))
    cluster.secret("cert-manager", "mesh", ROOT)
    cluster.secret("cert-manager", "other", OTHER)

    assert [str(one) for one in audit(KUBE).issuers] == ["ClusterIssuer mesh"]


def test_where_there_is_no_root_there_is_no_mesh(cluster: Cluster) -> None:
    cluster.objects.clear()

    with pytest.raises(NotReadyError, match="there is no mesh in the cluster of context 'kind-mesh'"):
        audit(KUBE)


def test_kinds_that_are_not_installed_are_none(cluster: Cluster) -> None:
    for kind in (CLUSTER_ISSUER, ISSUER, REQUEST_POLICY, *ADMISSION_POLICY):
        cluster.refuses(kind, ResourceNotFoundError("no matches found"))

    assert audit(KUBE).issuers == ()


def test_older_version_of_the_policies_is_read_where_there_is_no_newer(cluster: Cluster) -> None:
    cluster.refuses(ADMISSION_POLICY[0], ResourceNotFoundError("no matches found"))

    audit(KUBE)

    assert cluster.asked.count("ValidatingAdmissionPolicy") == 2
    assert cluster.asked.count("ValidatingAdmissionPolicyBinding") == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (refused(403, 'User "x" cannot list resource "clusterroles"'), 'cannot list resource "clusterroles"'),
        (ConnectionError("refused"), "refused"),
    ],
    ids=["forbidden", "unreachable"],
)
def test_half_an_audit_is_none(error: Exception, reason: str, cluster: Cluster) -> None:
    cluster.refuses(CLUSTER_ROLE, error)

    with pytest.raises(ClusterError, match=f"'kind-mesh' cannot be audited: .*{reason}"):
        audit(KUBE)


# The command


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Commands:
    """The kept cluster `meshproof` answers, and so does the context `east` of a kubeconfig."""
    table = Commands()
    monkeypatch.setattr(kube_module, "run", table)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = setup.home_of("meshproof").kubeconfig
    kept.parent.mkdir(parents=True)
    kept.touch()
    (tmp_path / "config").write_text("contexts: [{name: east, context: {cluster: c}}]")
    for file, context in ((kept, "kind-meshproof"), (tmp_path / "config", "east")):
        table.prints(
            f"/bin/k --kubeconfig={file} --context={context} get --raw /readyz --request-timeout=10s"
        )
    return table


KUBECTL = ("--kind-kubectl-bin", "/bin/k")


def test_where_nobody_else_may_mint_the_exit_code_is_zero(
    commands: Commands, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", *KUBECTL]) == 0
    assert "Nobody who is not expected has an unguarded way" in capsys.readouterr().out


def test_where_somebody_may_mint_the_exit_code_is_one(
    commands: Commands, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    jane_may_ask(cluster)

    assert main(["audit", *KUBECTL]) == 1
    assert "OPEN TO   User jane: create certificaterequests" in capsys.readouterr().out


def test_somebody_elses_cluster_is_audited_by_its_context(
    commands: Commands, cluster: Cluster, tmp_path: Path
) -> None:
    assert main(["audit", *KUBECTL, "--kube-context", "east", "--kubeconfig", str(tmp_path / "config")]) == 0
    (call,) = commands.calls
    assert "--context=east" in call


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["--kube-context", "west", "--kubeconfig", "{}/config"],
            2,
            "'west' is not in {}/config; it has: east",
        ),
        (["--kubeconfig", "{}/config"], 2, "--kubeconfig goes with --kube-context"),
        (["--kube-context", "east", "--kubeconfig", "{}/none"], 2, "the kubeconfig {}/none cannot be read"),
        (["--cluster-name", "My_Mesh"], 2, "--cluster-name 'My_Mesh': lower-case letters"),
        (["--cluster-name", "none"], 13, "no kind cluster 'none' of Meshproof stands"),
    ],
    ids=["context", "kubeconfig-alone", "kubeconfig", "name", "no-cluster"],
)
def test_wrong_cluster_is_one_line_that_says_what_would_be_right(
    words: list[str],
    code: int,
    message: str,
    commands: Commands,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["audit", *KUBECTL, *(word.format(tmp_path) for word in words)]) == code

    (line,) = capsys.readouterr().err.splitlines()
    assert message.format(tmp_path) in line
    assert commands.calls == []


def test_without_kubectl_the_error_names_the_option(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert main(["audit"]) == 2
    assert "--kind-kubectl-bin" in capsys.readouterr().err


def test_what_may_not_be_read_is_one_line(
    commands: Commands, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.refuses(CLUSTER_ROLE, refused(403, "clusterroles is forbidden"))

    assert main(["audit", *KUBECTL]) == 13
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "ClusterError: the cluster of context 'kind-meshproof' cannot be audited: clusterroles"
    )


def test_help_says_that_it_only_reads(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["audit", "--help"])

    shown = " ".join(capsys.readouterr().out.split())
    assert "nothing is changed, and nothing is attempted" in shown
    assert "Exit code 0" in shown
