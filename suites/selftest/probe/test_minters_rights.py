"""Who can mint by roles and bindings, and who may do so by right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.cluster.kube import Object
from fixtures.probe.issuers import Issuer
from fixtures.probe.minters import Objects, audit_of, unguarded
from fixtures.probe.ways import (
    CERTIFICATES,
    EXEC,
    IMPERSONATION,
    INGRESSES,
    ISSUERS,
    KUBELET,
    PODS,
    REGISTRATIONS,
    REQUESTS,
    SECRETS,
    TOKENS,
    WAYS,
    Way,
)
from suites.selftest.probe.audited import (
    EDIT_RULES,
    JANE,
    MESH,
    account,
    binding,
    cluster_binding,
    cluster_role,
    everywhere,
    inside,
    minting,
    named,
    rule,
    ways,
)


def test_where_nothing_is_bound_nobody_can_mint() -> None:
    audit = audit_of(Objects(issuers=[MESH]))

    assert len(audit.mintings) == len(WAYS)
    assert all(found.grants == () for found in audit.mintings)
    assert unguarded(audit) == ()


def test_editor_of_any_namespace_can_have_anything_signed_by_a_cluster_issuer() -> None:
    objects = inside("dev", *EDIT_RULES)

    assert ways(objects) == named(REQUESTS, CERTIFICATES, INGRESSES)
    (grant,) = minting(objects, REQUESTS).grants
    assert str(grant) == (
        "User jane: create certificaterequests, in namespace dev,"
        " by RoleBinding dev/given to ClusterRole role"
    )


def test_editor_of_a_namespace_with_keys_has_every_way_that_is_namespaced() -> None:
    objects = inside("spire", *EDIT_RULES)

    assert ways(objects) == named(
        *(REQUESTS, CERTIFICATES, INGRESSES, ISSUERS, SECRETS, TOKENS, EXEC, PODS, IMPERSONATION)
    )


@pytest.mark.parametrize(("namespace", "counts"), [("team", True), ("dev", False)])
def test_namespaced_issuer_serves_its_own_namespace_alone(namespace: str, counts: bool) -> None:
    objects = inside(namespace, *EDIT_RULES, issuers=(Issuer("ca", "team", "ca"),))

    assert (REQUESTS.name in ways(objects)) == counts


def test_right_everywhere_counts_where_an_issuer_serves_one_namespace() -> None:
    asked = rule("cert-manager.io", "certificaterequests", "create")

    assert ways(everywhere(asked, issuers=(Issuer("ca", "team", "ca"),))) == named(REQUESTS)


def test_without_an_issuer_of_the_root_nobody_asks_for_a_certificate() -> None:
    assert ways(inside("dev", *EDIT_RULES, issuers=())) == set()
    assert ways(everywhere(rule("cert-manager.io", "certificaterequests", "create"), issuers=())) == set()


def test_key_of_a_namespaced_issuer_makes_its_namespace_one_with_keys() -> None:
    read = rule("", "secrets", "get")

    assert ways(inside("team", read)) == set()
    assert ways(inside("team", read, issuers=(Issuer("ca", "team", "ca"),))) == named(SECRETS)


@pytest.mark.parametrize(
    ("group", "resource", "verb"),
    [
        ("*", "certificaterequests", "create"),
        ("cert-manager.io", "*", "create"),
        ("cert-manager.io", "certificaterequests", "*"),
    ],
    ids=["group", "resource", "verb"],
)
def test_wildcards_include_it(group: str, resource: str, verb: str) -> None:
    assert REQUESTS.name in ways(everywhere(rule(group, resource, verb)))


@pytest.mark.parametrize(
    ("group", "resource", "verb"),
    [
        ("certificates.k8s.io", "certificaterequests", "create"),
        ("cert-manager.io", "certificaterequests/status", "create"),
        ("cert-manager.io", "challenges", "create"),
        ("cert-manager.io", "certificaterequests", "get"),
        ("cert-manager.io", "certificaterequests", "update"),
    ],
    ids=["group", "subresource", "resource", "read", "change"],
)
def test_other_rights_do_not_mint(group: str, resource: str, verb: str) -> None:
    assert ways(everywhere(rule(group, resource, verb))) == set()


@pytest.mark.parametrize(
    ("resource", "counts"),
    [("pods/exec", True), ("*/exec", True), ("*", True), ("pods/*", False), ("pods", False)],
)
def test_subresource_is_given_as_the_authorizer_of_kubernetes_gives_it(resource: str, counts: bool) -> None:
    assert bool(minting(inside("spire", rule("", resource, "create")), EXEC).grants) == counts


def test_reading_exec_is_as_good_as_creating_it() -> None:
    assert ways(inside("spire", rule("", "pods/exec", "get"))) == named(EXEC)


def test_name_limits_a_change_and_makes_creation_impossible() -> None:
    objects = everywhere(
        rule("cert-manager.io", "certificates", "create", "update", names=["web"]),
        rule("cert-manager.io", "certificaterequests", "create", names=["web"]),
    )

    assert ways(objects) == named(CERTIFICATES)
    (grant,) = minting(objects, CERTIFICATES).grants
    assert [str(held) for held in grant.held] == ["update certificates (only web)"]


def test_server_side_apply_creates_by_name() -> None:
    objects = everywhere(rule("cert-manager.io", "certificaterequests", "create", "patch", names=["web"]))

    assert ways(objects) == named(REQUESTS)


@pytest.mark.parametrize(
    ("namespace", "name", "counts"),
    [
        ("cert-manager", "selfsigned-ca", True),
        ("istio-system", "cacerts", True),
        ("cert-manager", "cert-manager-webhook-ca", False),
        ("istio-system", "selfsigned-ca", False),
    ],
)
def test_of_named_secrets_those_with_signing_keys_count(namespace: str, name: str, counts: bool) -> None:
    objects = inside(namespace, rule("", "secrets", "get", names=[name]))

    assert bool(ways(objects)) == counts


def test_only_the_names_that_count_are_shown() -> None:
    (grant,) = minting(everywhere(rule("", "secrets", "get", names=["cacerts", "other"])), SECRETS).grants

    assert str(grant.held[0]) == "get secrets (only cacerts)"


def test_rules_of_one_role_are_taken_together() -> None:
    objects = everywhere(
        rule("", "secrets", "watch"), rule("", "secrets", "get"), rule("", "secrets", "create")
    )

    (grant,) = minting(objects, SECRETS).grants
    assert [str(held) for held in grant.held] == ["get/watch secrets"]


@pytest.mark.parametrize(
    ("given", "way"),
    [
        (rule("cert-manager.io", "clusterissuers", "patch"), ISSUERS),
        (rule("spire.spiffe.io", "clusterspiffeids", "create"), REGISTRATIONS),
        (rule("spire.spiffe.io", "clusterstaticentries", "update"), REGISTRATIONS),
        (rule("", "nodes/proxy", "get"), KUBELET),
        (rule("", "users", "impersonate"), IMPERSONATION),
    ],
    ids=["clusterissuers", "clusterspiffeids", "clusterstaticentries", "nodes-proxy", "users"],
)
def test_what_is_the_whole_clusters_cannot_be_given_in_one_namespace(given: Object, way: Way) -> None:
    assert ways(everywhere(given)) == named(way)
    assert ways(inside("spire", given)) == set()


def test_role_is_found_in_the_namespace_of_its_binding() -> None:
    role = {"metadata": {"name": "role", "namespace": "dev"}, "rules": EDIT_RULES}
    mine, other = binding("dev", "role", JANE, kind="Role"), binding("qa", "role", JANE, kind="Role")

    assert ways(Objects(issuers=[MESH], roles=[role], role_bindings=[mine]))
    assert not ways(Objects(issuers=[MESH], roles=[role], role_bindings=[other]))


def test_absent_rules_and_subjects_give_nothing() -> None:
    role: Object = {"metadata": {"name": "role"}, "rules": None}
    bindings = [cluster_binding("role", JANE), {**cluster_binding("role"), "subjects": None}]

    assert ways(Objects(issuers=[MESH], cluster_roles=[role], cluster_role_bindings=bindings)) == set()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ({"kind": "ServiceAccount", "name": "ci"}, "ServiceAccount dev/ci"),
        (account("build", "ci"), "ServiceAccount build/ci"),
        ({"kind": "User", "name": "system:serviceaccount:build:ci"}, "ServiceAccount build/ci"),
        ({"kind": "Group", "name": "system:authenticated"}, "Group system:authenticated"),
        ({"kind": "Group", "name": "system:serviceaccounts"}, "Group system:serviceaccounts"),
        ({"kind": "User", "name": "system:anonymous"}, "User system:anonymous"),
    ],
    ids=["no-namespace", "namespace", "user", "everybody", "accounts", "anonymous"],
)
def test_whoever_is_bound_is_named(written: Object, shown: str) -> None:
    (found,) = (m for m in unguarded(audit_of(inside("dev", *EDIT_RULES, to=written))) if m.way is REQUESTS)

    assert [str(grant.subject) for grant in found.grants] == [shown]


@pytest.mark.parametrize(
    ("subject", "given"),
    [
        (account("spire", "spire-server"), rule("cert-manager.io", "certificaterequests", "create")),
        (account("spire", "spire-server"), rule("spire.spiffe.io", "clusterspiffeids", "*")),
        (account("cert-manager", "cert-manager"), rule("", "secrets", "get")),
        (
            account("cert-manager", "mesh-cert-manager"),
            rule("cert-manager.io", "certificaterequests", "create"),
        ),
        (account("cert-manager", "cert-manager-cainjector"), rule("", "secrets", "get")),
        (
            {"kind": "User", "name": "system:kube-controller-manager"},
            rule("", "serviceaccounts/token", "create"),
        ),
    ],
    ids=["spire", "controller-manager", "cert-manager", "released", "cainjector", "kubernetes"],
)
def test_who_has_it_by_right_is_listed_and_no_finding(subject: Object, given: Object) -> None:
    audit = audit_of(everywhere(given, to=subject))

    assert any(grant.expected for found in audit.mintings for grant in found.grants)
    assert unguarded(audit) == ()


@pytest.mark.parametrize(
    "subject",
    [
        account("dev", "spire-server"),
        account("dev", "cert-manager"),
        account("cert-manager", "trust-manager"),
        account("spire", "spire-server"),
        account("istio-system", "istiod"),
        account("kube-system", "backup"),
    ],
    ids=["spire", "cert-manager", "trust-manager", "not-its-own", "root-of-istiod", "kube-system"],
)
def test_right_beyond_that_is_a_finding(subject: Object) -> None:
    assert ways(everywhere(rule("", "secrets", "get"), to=subject)) == named(SECRETS)


def test_istiod_may_read_its_own_secrets() -> None:
    istiod = account("istio-system", "istiod")

    assert ways(inside("istio-system", rule("", "secrets", "get"), to=istiod)) == set()


@pytest.mark.parametrize(("name", "counts"), [("system:controller:job-controller", False), ("backup", True)])
def test_controllers_of_kubernetes_are_told_by_their_bindings(name: str, counts: bool) -> None:
    objects = Objects(
        cluster_roles=[cluster_role(name, rule("", "pods", "create"))],
        cluster_role_bindings=[cluster_binding(name, account("kube-system", "job-controller"), name=name)],
    )

    assert bool(ways(objects)) == counts


MASTERS = {"kind": "Group", "name": "system:masters", "apiGroup": "rbac.authorization.k8s.io"}


def test_cluster_administrators_are_named_once() -> None:
    audit = audit_of(everywhere(rule("*", "*", "*"), rule("", "secrets", "get"), to=MASTERS))

    (grant,) = audit.administrators
    assert str(grant).startswith(
        "Group system:masters: everything, in the whole cluster, by ClusterRoleBinding"
    )
    assert all(found.grants == () for found in audit.mintings)


def test_administrator_of_one_namespace_is_judged_by_the_ways() -> None:
    objects = inside("dev", rule("*", "*", "*"))

    assert audit_of(objects).administrators == ()
    assert ways(objects) == named(REQUESTS, CERTIFICATES, INGRESSES)


@pytest.mark.parametrize(("verb", "names"), [("escalate", ()), ("bind", ()), ("bind", ("cluster-admin",))])
def test_who_can_give_himself_everything_is_an_administrator(verb: str, names: tuple[str, ...]) -> None:
    given = rule("rbac.authorization.k8s.io", "clusterroles", verb, names=names)

    assert len(audit_of(everywhere(given)).administrators) == 1


def test_who_can_give_himself_a_harmless_role_is_none() -> None:
    given = rule("rbac.authorization.k8s.io", "clusterroles", "bind", names=["view"])

    assert audit_of(everywhere(given)).administrators == ()


def test_impersonation_counts_of_whom_it_is_worth_it() -> None:
    def objects(*names: str) -> Objects:
        objects = everywhere(rule("", "users", "impersonate", names=names))
        minter = inside("dev", *EDIT_RULES, to={"kind": "User", "name": "joe"})
        return replace(
            objects,
            cluster_roles=[*objects.cluster_roles, cluster_role("edit", *EDIT_RULES)],
            role_bindings=[binding("dev", "edit", *minter.role_bindings[0]["subjects"])],
        )

    assert IMPERSONATION.name in ways(objects())
    assert IMPERSONATION.name in ways(objects("viewer", "joe"))
    assert IMPERSONATION.name not in ways(objects("viewer"))
