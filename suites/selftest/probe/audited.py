"""Clusters as the Kubernetes API returns their objects, and what an audit says of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fixtures.cluster.kube import Object
from fixtures.probe.issuers import Issuer
from fixtures.probe.minters import Minting, Objects, audit_of, unguarded
from fixtures.probe.ways import Way

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
