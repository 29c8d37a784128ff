"""What admission policies and approver-policy keep from minting, and what they do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.cluster.kube import Object
from fixtures.probe.minters import Objects
from fixtures.probe.ways import CERTIFICATES, EXEC, INGRESSES, PODS, REQUESTS, Way
from suites.selftest.probe.audited import (
    EDIT_RULES,
    enforced,
    everywhere,
    guarded,
    inside,
    minting,
    named,
    policy,
    rule,
    ways,
)


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
