from __future__ import annotations

import yaml

from fixtures.stack.beside import NAMESPACE, Beside, deployment
from fixtures.stack.manifests import MANIFESTS

WANTED = Beside("istio-1-16-false", "built/pilot:1", "roots", {"AUTO_RELOAD_PLUGIN_CERTS": "false"})


def test_deployment_is_of_the_image_the_secret_and_the_flags_that_are_wanted() -> None:
    document = yaml.safe_load(deployment(WANTED))
    pod = document["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert document["metadata"] == {"name": "istio-1-16-false", "namespace": NAMESPACE}
    assert container["image"] == "built/pilot:1"
    assert {"name": "AUTO_RELOAD_PLUGIN_CERTS", "value": "false"} in container["env"]
    assert {"secretName": "roots", "optional": True} in [volume.get("secret") for volume in pod["volumes"]]


def test_two_istiods_share_no_selector() -> None:
    documents = [
        yaml.safe_load(deployment(Beside(name, "image", "roots"))) for name in ("one-root", "many-roots")
    ]

    assert len({str(document["spec"]["selector"]) for document in documents}) == 2


def test_istiods_beside_may_change_nothing_outside_their_namespace() -> None:
    documents = yaml.safe_load_all((MANIFESTS / "reload" / "namespace.yaml").read_text())
    (role,) = [document for document in documents if document["kind"] == "ClusterRole"]

    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
