from fixtures.pki import TrustBundle, judge_chain, judge_svid, mint


def test_depths() -> None:
    root = mint.authority()
    inter = mint.intermediate(root)
    leaf = mint.leaf(inter)
    v = judge_svid(leaf.chain, TrustBundle((root.cert,)), now=mint.NOON)
    assert v.mismatches == ()
    assert v.warnings == ()
    assert v.depth == 3
    v = judge_chain((root.cert,), TrustBundle((root.cert,)), now=mint.NOON)
    assert v.mismatches == ()
    assert v.depth == 1
