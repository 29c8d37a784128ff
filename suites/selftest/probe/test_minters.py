"""Who can mint an identity, judged on objects as the Kubernetes API returns them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from fixtures.cluster.kube import Object
from fixtures.pki import TrustBundle, mint
from fixtures.probe import minters
from fixtures.probe.minters import (
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
    Audit,
    Issuer,
    Minting,
    Objects,
    Way,
    audit_of,
    ca_issuers,
    compared,
    elsewhere,
    lines,
    unguarded,
)

MESH = Issuer("selfsigned-ca", "", "selfsigned-ca")
JANE = {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}
# As cert-manager's chart and Kubernetes' controller leave it in the built-in role.
EDIT_RULES: list[Object] = [
    {
        "apiGroups": ["cert-manager.io"],
        "resources": ["certificates", "certificaterequests", "issuers"],
        "verbs": ["create", "delete", "deletecollection", "patch", "update"],
    },
    {
        "apiGroups": [""],
        "resources": ["pods/attach", "pods/exec", "pods/portforward", "secrets", "services/proxy"],
        "verbs": ["get", "list", "watch"],
    },
    {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]},
    {
        "apiGroups": [""],
        "resources": ["pods", "pods/attach", "pods/exec"],
        "verbs": ["create", "delete", "deletecollection", "patch", "update"],
    },
    {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]},
    {
        "apiGroups": ["networking.k8s.io"],
        "resources": ["ingresses", "networkpolicies"],
        "verbs": ["create", "delete", "deletecollection", "patch", "update"],
    },
]


def rule(group: str, resource: str, *verbs: str, names: Iterable[str] = ()) -> Object:
    found: Object = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    return {**found, "resourceNames": list(names)} if names else found


def cluster_role(name: str, *rules: Object) -> Object:
    selector = {
        "clusterRoleSelectors": [{"matchLabels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}}]
    }
    return {"metadata": {"name": name}, "rules": list(rules), "aggregationRule": selector}


def cluster_binding(role: str, *subjects: Object, name: str = "given") -> Object:
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    return {"metadata": {"name": name}, "roleRef": ref, "subjects": list(subjects)}


def binding(namespace: str, role: str, *subjects: Object, kind: str = "ClusterRole") -> Object:
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}
    return {"metadata": {"name": "given", "namespace": namespace}, "roleRef": ref, "subjects": list(subjects)}


def account(namespace: str, name: str) -> Object:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def everywhere(*rules: Object, to: Object = JANE, issuers: tuple[Issuer, ...] = (MESH,)) -> Objects:
    """Jane has rules in the whole cluster."""
    return Objects(
        issuers=issuers,
        cluster_roles=[cluster_role("role", *rules)],
        cluster_role_bindings=[cluster_binding("role", to)],
    )


def inside(
    namespace: str, *rules: Object, to: Object = JANE, issuers: tuple[Issuer, ...] = (MESH,)
) -> Objects:
    """Jane has rules in one namespace, by a RoleBinding to a ClusterRole."""
    return Objects(
        issuers=issuers,
        cluster_roles=[cluster_role("role", *rules)],
        role_bindings=[binding(namespace, "role", to)],
    )


def minting(objects: Objects, way: Way) -> Minting:
    (found,) = (one for one in audit_of(objects).mintings if one.way is way)
    return found


def ways(objects: Objects) -> set[str]:
    return {found.way.name for found in unguarded(audit_of(objects))}


def named(*expected: Way) -> set[str]:
    return {way.name for way in expected}


# Roles


def test_where_nothing_is_bound_nobody_can_mint() -> None:
    audit = audit_of(Objects(issuers=[MESH]))

    assert len(audit.mintings) == len(minters.WAYS)
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


# Who is expected


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


# Guards


def policy(resources: list[str], *operations: str, **deviation: object) -> Object:
    included = {
        "apiGroups": ["cert-manager.io"],
        "apiVersions": ["v1"],
        "operations": list(operations or ("CREATE", "UPDATE")),
        "resources": resources,
        "scope": "*",
        **deviation,
    }
    constraints = {"matchPolicy": "Equivalent", "resourceRules": [included]}
    return {
        "metadata": {"name": "minting"},
        "spec": {"failurePolicy": "Fail", "matchConstraints": {**constraints, "namespaceSelector": {}}},
    }


def enforced(*actions: str, **match: object) -> Object:
    spec: Object = {"policyName": "minting", "validationActions": list(actions or ("Deny",))}
    return {"metadata": {"name": "minting"}, "spec": {**spec, "matchResources": match} if match else spec}


def guarded(*policies: Object, bindings: Iterable[Object] = (), objects: Objects | None = None) -> Objects:
    objects = objects or everywhere(rule("cert-manager.io", "certificaterequests", "create"))
    return replace(objects, admission_policies=policies, admission_bindings=tuple(bindings))


def test_policy_that_denies_is_a_guard() -> None:
    objects = guarded(policy(["certificaterequests"]), bindings=[enforced()])

    assert ways(objects) == set()
    (guard,) = minting(objects, REQUESTS).guards
    assert (guard.name, guard.idle, guard.limits) == ("ValidatingAdmissionPolicy minting", "", ())


@pytest.mark.parametrize(
    ("resource", "way"),
    [("certificaterequests", CERTIFICATES), ("certificaterequests", INGRESSES), ("certificates", INGRESSES)],
)
def test_policy_on_what_cert_manager_makes_of_it_is_named_and_does_not_count(resource: str, way: Way) -> None:
    objects = guarded(policy([resource]), bindings=[enforced()], objects=inside("dev", *EDIT_RULES))

    found = minting(objects, way)

    assert [guard.idle for guard in found.guards] == [
        "it sees what cert-manager makes of this, in the name of cert-manager"
    ]
    assert found.open_to()


@pytest.mark.parametrize(
    ("bindings", "reason"),
    [
        ([], "it has no binding"),
        ([enforced("Audit", "Warn")], "no binding of it denies"),
        ([enforced("Warn"), enforced("Audit")], "no binding of it denies"),
        (
            [enforced("Deny", resourceRules=[rule("", "pods") | {"operations": ["*"]}])],
            "its binding matches other resources only",
        ),
    ],
    ids=["no-binding", "audit-and-warn", "two", "other-resources"],
)
def test_policy_that_does_not_deny_is_no_guard(bindings: list[Object], reason: str) -> None:
    objects = guarded(policy(["certificaterequests"]), bindings=bindings)

    assert ways(objects) == named(REQUESTS)
    assert {guard.idle for guard in minting(objects, REQUESTS).guards} == {reason}


def test_binding_of_another_policy_enforces_nothing() -> None:
    other = enforced()
    other["spec"]["policyName"] = "other"

    assert ways(guarded(policy(["certificaterequests"]), bindings=[other])) == named(REQUESTS)


@pytest.mark.parametrize(
    "match",
    [
        policy(["*"], "CREATE"),
        policy(["*/*"], "CREATE"),
        policy(["certificaterequests"], "*"),
        policy(["certificates", "certificaterequests"], apiGroups=["*"]),
        policy(["certificaterequests"], scope="Namespaced"),
        policy(["certificaterequests"], apiVersions=["v1beta1"]),
    ],
    ids=["resources", "subresources-too", "operations", "groups", "scope", "equivalent-version"],
)
def test_wildcards_and_equivalents_cover_it(match: Object) -> None:
    assert ways(guarded(match, bindings=[enforced()])) == set()


def exact() -> Object:
    found = policy(["certificaterequests"], apiVersions=["v1beta1"])
    found["spec"]["matchConstraints"]["matchPolicy"] = "Exact"
    return found


def excluding() -> Object:
    found = policy(["*"])
    left_out = [{"apiGroups": ["*"], "operations": ["*"], "resources": ["certificaterequests"]}]
    found["spec"]["matchConstraints"]["excludeResourceRules"] = left_out
    return found


@pytest.mark.parametrize(
    "match",
    [
        policy(["certificates"]),
        policy(["certificaterequests/*"]),
        policy(["certificaterequests"], "DELETE", "UPDATE"),
        policy(["certificaterequests"], apiGroups=["certificates.k8s.io"]),
        policy(["certificaterequests"], scope="Cluster"),
        policy(["certificaterequests"], resourceNames=["web"]),
        exact(),
        excluding(),
    ],
    ids=["resource", "subresource", "operation", "group", "scope", "names", "version", "excluded"],
)
def test_policy_on_something_else_covers_nothing(match: Object) -> None:
    assert ways(guarded(match, bindings=[enforced()])) == named(REQUESTS)


def test_change_is_not_guarded_by_a_policy_on_creation() -> None:
    editor = everywhere(rule("cert-manager.io", "certificates", "create", "update"))

    assert ways(guarded(policy(["certificates"], "CREATE"), bindings=[enforced()], objects=editor)) == named(
        CERTIFICATES
    )
    assert ways(guarded(policy(["certificates"]), bindings=[enforced()], objects=editor)) == set()


def test_exec_is_seen_as_connect() -> None:
    editor = inside("spire", rule("", "pods/exec", "create", "get"))
    connect = policy(["pods/exec"], "CONNECT", apiGroups=[""])

    assert ways(guarded(connect, bindings=[enforced()], objects=editor)) == set()
    assert ways(
        guarded(policy(["pods/exec"], apiGroups=[""]), bindings=[enforced()], objects=editor)
    ) == named(EXEC)


@pytest.mark.parametrize(
    "given", [rule("", "secrets", "get"), rule("", "nodes/proxy", "get")], ids=["read", "kubelet"]
)
def test_what_no_policy_sees_has_no_guard(given: Object) -> None:
    anything = policy(["*/*"], "*", apiGroups=["*"])

    assert len(ways(guarded(anything, bindings=[enforced()], objects=everywhere(given)))) == 1


def test_what_narrows_a_guard_is_named() -> None:
    match = policy(["certificaterequests"])
    match["spec"] |= {"matchConditions": [{"name": "x", "expression": "true"}], "failurePolicy": "Ignore"}
    binding_limits = enforced("Deny", objectSelector={"matchLabels": {"x": "y"}})

    (guard,) = minting(guarded(match, bindings=[binding_limits]), REQUESTS).guards

    assert guard.limits == ("matchConditions", "failurePolicy Ignore", "objectSelector")


def chosen(match: Object, operator: str, *values: str, key: str = "kubernetes.io/metadata.name") -> Object:
    expression: Object = {"key": key, "operator": operator, "values": list(values)}
    match["spec"]["matchConstraints"]["namespaceSelector"] = {"matchExpressions": [expression]}
    return match


def with_namespaces(objects: Objects) -> Objects:
    names = ("dev", "spire", "istio-system", "cert-manager")
    labelled = ({"name": name, "labels": {"kubernetes.io/metadata.name": name}} for name in names)
    return replace(objects, namespaces=[{"metadata": metadata} for metadata in labelled])


@pytest.mark.parametrize(
    ("operator", "values", "in_dev", "everywhere_else"),
    [
        ("NotIn", ["cert-manager"], True, False),
        ("NotIn", ["dev"], False, False),
        ("NotIn", ["kube-system"], True, True),
        ("In", ["dev"], True, False),
        ("In", ["spire"], False, False),
        ("Exists", [], True, True),
        ("DoesNotExist", [], False, False),
    ],
)
def test_policy_guards_the_namespaces_that_it_chooses(
    operator: str, values: list[str], in_dev: bool, everywhere_else: bool
) -> None:
    asked = rule("cert-manager.io", "certificaterequests", "create")

    def is_guarded(objects: Objects) -> bool:
        match = chosen(policy(["certificaterequests"]), operator, *values)
        return not ways(guarded(match, bindings=[enforced()], objects=with_namespaces(objects)))

    assert is_guarded(inside("dev", asked)) == in_dev
    assert is_guarded(everywhere(asked)) == everywhere_else


def test_binding_chooses_among_the_namespaces_of_its_policy() -> None:
    objects = with_namespaces(inside("dev", rule("cert-manager.io", "certificaterequests", "create")))
    only_spire = {"matchLabels": {"kubernetes.io/metadata.name": "spire"}}
    match = policy(["certificaterequests"])

    elsewhere_only = enforced("Deny", namespaceSelector=only_spire)
    assert ways(guarded(match, bindings=[elsewhere_only], objects=objects)) == named(REQUESTS)
    assert ways(guarded(match, bindings=[elsewhere_only, enforced()], objects=objects)) == set()


def test_two_policies_guard_together_what_neither_guards_alone() -> None:
    objects = with_namespaces(everywhere(rule("cert-manager.io", "certificaterequests", "create")))
    first, second = policy(["certificaterequests"]), policy(["certificaterequests"])
    second["metadata"]["name"] = "other"
    both = [chosen(first, "In", "dev"), chosen(second, "NotIn", "dev")]
    of_second = {"spec": {"policyName": "other", "validationActions": ["Deny"]}}

    assert ways(guarded(*both, bindings=[enforced(), of_second], objects=objects)) == set()
    assert ways(guarded(*both, bindings=[enforced()], objects=objects)) == named(REQUESTS)


def test_policy_on_pods_that_leaves_out_where_keys_lie_is_no_guard_there() -> None:
    objects = with_namespaces(everywhere(rule("", "pods", "create")))
    match = chosen(policy(["pods"], apiGroups=[""]), "NotIn", "spire", "istio-system", "cert-manager")

    found = minting(guarded(match, bindings=[enforced()], objects=objects), PODS)

    assert [guard.idle for guard in found.guards] == ["it leaves out every namespace that counts"]
    assert found.open_to()


def test_namespaces_do_not_matter_to_what_is_the_whole_clusters() -> None:
    objects = with_namespaces(everywhere(rule("cert-manager.io", "clusterissuers", "create")))
    match = chosen(policy(["clusterissuers"]), "In", "dev")

    assert ways(guarded(match, bindings=[enforced()], objects=objects)) == set()


def request_policy(**issuer_ref: str) -> Object:
    return {"metadata": {"name": "spire"}, "spec": {"selector": {"issuerRef": issuer_ref}}}


@pytest.mark.parametrize(
    ("policies", "in_force"),
    [
        ([request_policy()], True),
        ([request_policy(name="self*", kind="ClusterIssuer", group="cert-manager.io")], True),
        ([request_policy(name="letsencrypt")], False),
        ([request_policy(kind="Issuer")], False),
        ([], False),
    ],
    ids=["all", "pattern", "other-name", "other-kind", "not-installed"],
)
def test_approver_policy_guards_what_ends_in_a_request(policies: list[Object], in_force: bool) -> None:
    objects = replace(inside("dev", *EDIT_RULES), request_policies=policies)

    assert ways(objects) == (set() if in_force else named(REQUESTS, CERTIFICATES, INGRESSES))


# Issuers


ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
OTHER = mint.authority(mint.CERT_MANAGER_ROOT)
BUNDLE = TrustBundle((ROOT.cert,))
FIRST = mint.intermediate(ROOT)
SECOND = mint.intermediate(FIRST)


@pytest.mark.parametrize(
    ("ca", "bundle"),
    [
        (ROOT, BUNDLE),
        (FIRST, BUNDLE),
        (SECOND, BUNDLE),
        (mint.authority(mint.CERT_MANAGER_ROOT, key=ROOT.key), BUNDLE),
        (ROOT, TrustBundle((OTHER.cert, ROOT.cert))),
    ],
    ids=["root", "intermediate", "below-it", "renewed-root", "one-of-two"],
)
def test_issuer_whose_chain_leads_to_the_root_signs_from_it(ca: mint.Issued, bundle: TrustBundle) -> None:
    assert compared(MESH, ca.chain, (), bundle) == MESH


@pytest.mark.parametrize(
    "ca",
    [OTHER, mint.intermediate(OTHER), mint.intermediate(ROOT, with_key=OTHER.key)],
    ids=["root", "below", "forged"],
)
def test_issuer_of_another_root_does_not(ca: mint.Issued) -> None:
    assert compared(MESH, ca.chain, (ca.root,) if ca.root is OTHER.cert else (), BUNDLE) is None


def test_link_may_be_in_what_cert_manager_took_for_the_root() -> None:
    assert compared(MESH, (SECOND.cert,), (FIRST.cert,), BUNDLE) == MESH


def test_gap_below_the_root_leaves_a_doubt() -> None:
    found = compared(MESH, (SECOND.cert,), (ROOT.cert,), BUNDLE)

    assert found
    assert "its chain does not lead there" in found.doubt


def issuer(name: str, namespace: str = "", **spec: object) -> Object:
    return {"metadata": {"name": name, **({"namespace": namespace} if namespace else {})}, "spec": spec}


def test_issuers_with_a_ca_are_found() -> None:
    ca = {"secretName": "ca"}

    found = ca_issuers([issuer("mesh", ca=ca), issuer("le", acme={})], [issuer("team", "dev", ca=ca)])

    assert [str(one) for one in found] == ["ClusterIssuer mesh", "Issuer dev/team"]
    assert [(one.key_namespace, one.secret) for one in found] == [("cert-manager", "ca"), ("dev", "ca")]


def test_issuers_that_do_not_say_what_they_sign_with_are_named() -> None:
    others = [issuer("vault", vault={"server": "x"}), issuer("le", acme={}), issuer("self", selfSigned={})]

    assert elsewhere(others, [issuer("v", "dev", venafi={"zone": "z"})]) == (
        "ClusterIssuer vault (vault)",
        "Issuer dev/v (venafi)",
    )


# For people


def text(audit: Audit) -> str:
    return " ".join(" ".join(lines(audit)).split())


def test_finding_is_shown_with_who_how_where_and_what_to_do() -> None:
    shown = text(audit_of(inside("dev", *EDIT_RULES)))

    assert (
        "OPEN TO User jane: create certificaterequests, in namespace dev, by RoleBinding dev/given" in shown
    )
    assert f"guard none remedy {REQUESTS.remedy}" in shown
    assert "3 of 11 ways to an identity of the mesh stand open to who is not expected: User jane." in shown


def test_guard_is_named_and_not_trusted() -> None:
    shown = text(audit_of(guarded(policy(["certificaterequests"]), bindings=[enforced()])))

    assert "who User jane: create certificaterequests" in shown
    assert (
        "guard ValidatingAdmissionPolicy minting (CREATE certificaterequests);"
        " whether it lets them through is not evaluated here" in shown
    )
    assert "Nobody who is not expected has an unguarded way" in shown


def test_policy_that_is_not_in_force_is_shown_so() -> None:
    shown = text(audit_of(guarded(policy(["certificaterequests"]))))

    assert "(CREATE certificaterequests): it has no binding guard none" in shown


def test_issuers_are_shown_with_their_doubt() -> None:
    doubted = replace(MESH, doubt="its Secret may not be read")

    shown = text(audit_of(Objects(issuers=[doubted]), ("ClusterIssuer vault (vault)",)))

    assert "ClusterIssuer selfsigned-ca may be one: its Secret may not be read" in shown
    assert "not compared: ClusterIssuer vault (vault)" in shown
    assert "none of cert-manager's" in text(audit_of(Objects()))


def test_lines_fit_a_terminal() -> None:
    assert max(map(len, lines(audit_of(inside("spire", *EDIT_RULES))))) <= 110
