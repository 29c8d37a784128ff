"""What istiod does when its roots change, come late, or come with a revocation list that does not fit."""

from __future__ import annotations

import pytest

from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved
from suites.reload.beside import Tried
from suites.reload.roots import CRL, LATE, MANY, ONE

TAKES_ROOT = "Updating new ROOT-CA"
ONE_ROOT = "Multi root is disabled, updating new ROOT-CA not supported"
NOT_THIS_ROOT = "Updating new ROOT-CA not supported"


@conformance(id="reload/root-reordered", level="extended", requires={"istio"})
def test_reordered_roots(tried: Tried) -> None:
    """The same roots in another order are another bundle for istiod, unless it knows several roots.

    > istiod compares the file of roots with the one it runs with byte by byte; only with
    > ISTIO_MULTIROOT_MESH does it look at the certificates in it (istio/istio
    > pilot/pkg/bootstrap/istio_ca.go, handleEvent and pemBundleHasSubsetRelation).

    Break: an istiod whose ISTIO_MULTIROOT_MESH is the other way.
    """
    tried.roots.reordered.refused(ONE, "warn", ONE_ROOT)
    tried.roots.reordered.taken(MANY, TAKES_ROOT)


@conformance(id="reload/multi-root-superset", level="extended", requires={"istio"})
def test_superset_then_subset(tried: Tried) -> None:
    """With ISTIO_MULTIROOT_MESH istiod takes one root more, then fewer, and no foreign one.

    > A root is replaced in two steps, first both and then only the new one, so that at each moment
    > every proxy knows the issuer of every other (istio/istio pilot/pkg/bootstrap/istio_ca.go).

    Without the flag every one of these is refused, and the roots of the beginning are taken again.

    Break: an istiod whose ISTIO_MULTIROOT_MESH is the other way.
    """
    roots = tried.roots
    roots.superset.taken(MANY, TAKES_ROOT)
    roots.subset.taken(MANY, TAKES_ROOT)
    roots.foreign.refused(MANY, "warn", NOT_THIS_ROOT)
    for change in (roots.superset, roots.subset, roots.foreign):
        change.refused(ONE, "warn", ONE_ROOT)
    roots.back.taken(ONE)


@conformance(id="reload/late-cacerts", level="extended", requires={"istio"})
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="https://github.com/istio/istio/issues/57853: its own CA is not watched, expires 2027-06-30",
)
def test_late_cacerts_are_taken(tried: Tried) -> None:
    """An istiod that began without `cacerts` takes them when they come.

    > An operator who plugs a CA in expects what happens when he replaces it: istiod loads it
    > (https://istio.io/latest/docs/tasks/security/cert-management/plugin-ca-cert/).

    Break: as it is, istiod signs on with its own CA until it is restarted.
    """
    change = tried.late
    watched = change.watched[LATE]
    if watched.stuck or watched.after.mounted is None or watched.after.mounted <= watched.changed:
        raise NothingObserved(f"the kubelet did not bring the Secret: {watched.stuck or watched.after}")
    change.taken(LATE)


@conformance(id="reload/bad-crl", level="extended", requires={"istio"})
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="https://github.com/istio/istio/issues/61075: an unfit list stops it, expires 2027-06-30",
)
def test_stale_crl_does_not_stop_a_rotation(tried: Tried) -> None:
    """A revocation list that does not fit does not keep a new intermediate out.

    > Where `ca-crl.pem` is there, istiod takes certificates and list together or not at all
    > (istio/istio security/pkg/pki/util/keycertbundle.go, Verify).

    The new intermediate comes with the list of the one before it, as happens to whoever replaces
    the CA and forgets the list. Then the right list comes, and istiod takes both.

    Break: as it is, istiod refuses both.
    """
    right = tried.lists.right
    if right.watched[CRL].stuck or right.new not in right.watched[CRL].after.serials:
        raise NothingObserved(f"with its own list it is not taken either: {right.watched[CRL]}")
    tried.lists.stale.taken(CRL)
