"""What the gate says of each thing it refuses, word for word: whoever is stopped by it has only that."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from fixtures.report.catalogue import PROFILES
from fixtures.report.gate import Reason, exit_code, flaky, is_number, judge, load_document
from fixtures.report.model import ClauseResult, ConformanceReport
from suites.selftest.report.test_gate import (
    CLAUSES,
    NOW,
    STARTED,
    made,
    other,
    policy,
    ran,
    with_outcome,
    without,
)

DAY = timedelta(days=1)
LINK = "upstream: https://example.org/1"
Document = dict[str, Any]


def judged(report: ConformanceReport, **changes: Any) -> list[Reason]:
    return judge(report, policy(**{"corePassed": 1, **changes}), now=NOW)


def doctored(change: Callable[[Document], object]) -> list[Reason]:
    document = made(CLAUSES).model_dump(mode="json", by_alias=True)
    change(document)
    found = judged(ConformanceReport.model_validate(document))
    return [reason for reason in found if reason.rule == "doctored"]


def against(*before: ClauseResult, now: list[ClauseResult] = CLAUSES) -> list[Reason]:
    old = made(list(before), ran(STARTED - DAY))
    return judge(made(now), policy(corePassed=1), now=NOW, baseline=old)


def bounded(value: object) -> list[Reason]:
    bounds = {"traffic.lost": {"min": 0.5, "max": 1.5}}
    return judged(made(CLAUSES, measurements={"traffic": {"lost": value}}), measurements=bounds)


LOWERED = [c.model_copy(update={"level": "extended"}) if c.id == "identity/b" else c for c in CLAUSES]
WORDS: dict[str, tuple[Callable[[], list[Reason]], list[str]]] = {
    "failed": (
        lambda: judged(made(with_outcome("wire/d", "fail", None), ran(STARTED, 1))),
        ["failed: wire/d: no reason given"],
    ),
    "unproven": (
        lambda: judged(made(with_outcome("identity/a", "skipped"))),
        ["unproven: identity/a: core, skipped: why"],
    ),
    "unproven for no reason": (
        lambda: judged(made(with_outcome("wire/d", "skipped", None))),
        ["unproven: wire/d: extended, skipped: no reason given"],
    ),
    "all that comes after what is unproven": (
        lambda: judged(
            made([*with_outcome("identity/a", "skipped"), with_outcome("wire/d", "fail")[-1]][1:]),
        ),
        [
            "doctored: wire/d: the clause is listed twice",
            "doctored: run: exit code 0, and yet there are failures: wire/d",
            "failed: wire/d: why",
        ],
    ),
    "too few": (
        lambda: judged(made(without("identity/b")), corePassed=3, clauses=5),
        [
            "too-few: core clauses: 2 passed, the policy asks for 3",
            "too-few: clauses: 4 are listed, the policy asks for 5",
        ],
    ),
    "another commit": (
        lambda: judge(made(CLAUSES), policy(), now=NOW, commit="d"),
        ["suite: commit: it is c, wanted is d"],
    ),
    "a test without a clause": (
        lambda: judged(made(CLAUSES, ran(STARTED, 1, "t.py::t"))),
        ["other-failure: t.py::t: a test that proves no clause failed"],
    ),
    "a gap nobody allowed": (
        lambda: judged(made(CLAUSES), knownGaps=[]),
        [f"known-gap: trust/gap: the policy does not allow this gap: {LINK}"],
    ),
    "a gap nobody allowed, for no reason": (
        lambda: judged(made(with_outcome("trust/gap", "known-gap", None)), knownGaps=[]),
        ["known-gap: trust/gap: the policy does not allow this gap: no reason given"],
    ),
    "a gap whose day is over": (
        lambda: judge(made(CLAUSES), policy(maxAge="90d"), now=STARTED + 30 * DAY),
        ["known-gap: trust/gap: the policy allowed it until 2026-06-30"],
    ),
    "a gap of another link": (
        lambda: judged(made(with_outcome("trust/gap", "known-gap", "upstream: https://example.org/2"))),
        [
            "known-gap: trust/gap: the policy allows it for https://example.org/1, "
            "the suite expects it for https://example.org/2"
        ],
    ),
    "a gap that is over by its own word": (
        lambda: judge(
            made(with_outcome("trust/gap", "known-gap", f"{LINK}, expires 2026-06-01")),
            policy(maxAge="90d"),
            now=NOW + DAY,
        ),
        ["known-gap: trust/gap: the suite expected it until 2026-06-01"],
    ),
    "another stack": (
        lambda: judged(
            made(CLAUSES, stack={"istio": "1.30", "kubernetes": "v1.340.1", "pace": "", "images": []})
        ),
        [
            "stack: istio: it is 1.30, the policy wants 1.31",
            "stack: kubernetes: it is v1.340.1, the policy wants v1.34*",
            "stack: pace: the report does not say it, the policy wants fast",
            "stack: images: the report does not say it, the policy wants any",
        ],
    ),
    "a star behind one digit": (
        lambda: judged(
            made(CLAUSES, stack={"kubernetes": "v1.40", "istio": "1.3.1"}),
            stack={"kubernetes": "v1.4*", "istio": "1.3*"},
        ),
        ["stack: kubernetes: it is v1.40, the policy wants v1.4*"],
    ),
    "long ago": (
        lambda: judge(made(CLAUSES), policy(maxAge="1h"), now=STARTED + timedelta(minutes=71)),
        ["stale: run: it finished at 2026-06-01 12:10:00+00:00, which is over 1:00:00 ago"],
    ),
    "yet to come": (
        lambda: judge(made(CLAUSES), policy(), now=STARTED + timedelta(minutes=4, seconds=59)),
        ["stale: run: it finished at 2026-06-01 12:10:00+00:00, which is yet to come"],
    ),
    "not yet to come": (
        lambda: judge(made(CLAUSES), policy(), now=STARTED + timedelta(minutes=5)),
        [],
    ),
    "not measured": (lambda: bounded(None), ["measurement: traffic.lost: it was not measured"]),
    "no number": (lambda: bounded("0"), ["measurement: traffic.lost: '0' is no number"]),
    "under": (lambda: bounded(0.25), ["measurement: traffic.lost: 0.25 is under 0.5"]),
    "over": (lambda: bounded(2), ["measurement: traffic.lost: 2 is over 1.5"]),
    "the least and the most": (lambda: [*bounded(0.5), *bounded(1.5)], []),
    "every measurement is looked at": (
        lambda: judged(
            made(CLAUSES, measurements={"b": "x", "c": 1}),
            measurements={"a": {"min": 0}, "b": {"min": 0}, "c": {"min": 2}},
        ),
        [
            "measurement: a: it was not measured",
            "measurement: b: 'x' is no number",
            "measurement: c: 1 is under 2",
        ],
    ),
    "an early end": (
        lambda: judged(made(CLAUSES, ran(STARTED, None))),
        ["ended-early: run: it did not reach its own end (exit code None)"],
    ),
    "unhealed": (
        lambda: judged(made(CLAUSES, ran().model_copy(update={"healing_failed": ["chaos/x: paused"]}))),
        ["healing: run: chaos/x: paused"],
    ),
    "doctored verdict": (
        lambda: doctored(lambda d: d.update(verdict="unknown")),
        [
            "doctored: verdict: it says unknown (3 core clauses passed, 1 known gap: trust/gap), "
            "the clauses say ship (3 core clauses passed, 1 known gap: trust/gap)"
        ],
    ),
    "doctored clause": (
        lambda: doctored(lambda d: d["clauses"].append(d["clauses"][0]))[:1],
        ["doctored: identity/a: the clause is listed twice"],
    ),
    "doctored profile": (
        lambda: doctored(lambda d: d["clauses"][0].update(id="x/y"))[:1],
        ["doctored: x/y: the clause is of no profile that there is"],
    ),
    "doctored pass": (
        lambda: doctored(lambda d: d["clauses"][0].update(message="so")),
        ["doctored: identity/a: it passed, and yet has a reason: so"],
    ),
    "doctored success": (
        lambda: judged(made(with_outcome("wire/d", "fail"), ran(STARTED, 0, "t.py::t"))),
        [
            "doctored: run: exit code 0, and yet there are failures: wire/d, t.py::t",
            "other-failure: t.py::t: a test that proves no clause failed",
            "failed: wire/d: why",
        ],
    ),
    "doctored failure": (
        lambda: judged(made(CLAUSES, ran(STARTED, 1))),
        ["doctored: run: exit code 1, and yet nothing failed"],
    ),
    "doctored time": (
        lambda: doctored(lambda d: d["run"].update(seconds=600.02)),
        ["doctored: run: 600.02 s, but 600 s lie between its start and its end"],
    ),
    "a hundredth is no doctoring": (lambda: doctored(lambda d: d["run"].update(seconds=600.01)), []),
    "a run of no time, to a hundredth of a second": (
        lambda: doctored(lambda d: d["run"].update(started="2026-06-01T12:10:00Z", seconds=0.01)),
        [],
    ),
    "a clause of a clause": (
        lambda: judged(made([*CLAUSES, CLAUSES[0].model_copy(update={"id": "identity/a/b"})])),
        [],
    ),
    "an unknown clause is why a run may exit with 1": (
        lambda: judged(made(with_outcome("wire/d", "unknown"), ran(STARTED, 1))),
        ["unproven: wire/d: extended, unknown: why"],
    ),
    "an end before the start, by its own word": (
        lambda: doctored(lambda d: d["run"].update(started="2026-06-01T12:10:00.005Z", seconds=0)),
        ["doctored: run: 0 s, but -0.005 s lie between its start and its end"],
    ),
    "doctored profiles": (
        lambda: doctored(lambda d: d.update(profiles=[])),
        ["doctored: profiles: it has nothing, the clauses are of identity, trust, wire"],
    ),
    "doctored sums": (
        lambda: doctored(
            lambda d: (
                [d["profiles"][0].update(result="failure"), d["profiles"][0]["core"].update(failed=[])]
                and [d["profiles"][0].update(extended=d["profiles"][2]["extended"])]
            )
        ),
        ["doctored: identity: its result, extended do not follow from the clauses"],
    ),
    "missing now": (
        lambda: against(*CLAUSES, now=without("wire/d")),
        ["regression: wire/d: it is missing; before it was pass"],
    ),
    "missing now, and others worse": (
        lambda: against(*CLAUSES[::-1], now=with_outcome("identity/b", "skipped")[:-1]),
        [
            "unproven: identity/b: core, skipped: why",
            "regression: wire/d: it is missing; before it was pass",
            "regression: identity/b: it passed before, and now is skipped",
        ],
    ),
    "extended now": (
        lambda: against(*CLAUSES, now=LOWERED),
        ["regression: identity/b: it was core before, and now is extended"],
    ),
    "a baseline of nothing": (lambda: against(), ["baseline: core clauses: none of them passed in it"]),
    "a baseline in which only extended clauses passed": (
        lambda: against(CLAUSES[-1]),
        ["baseline: core clauses: none of them passed in it"],
    ),
    "a baseline in which no core clause passed": (
        lambda: against(with_outcome("identity/a", "skipped")[0], CLAUSES[-1]),
        ["baseline: core clauses: none of them passed in it"],
    ),
    "a baseline of later": (
        lambda: judge(made(CLAUSES), policy(), now=NOW, baseline=made(CLAUSES)),
        ["baseline: run: it finished at 2026-06-01 12:10:00+00:00, not before this run began"],
    ),
    "a baseline that ended when this began": (
        lambda: judge(
            made(CLAUSES), policy(), now=NOW, baseline=made(CLAUSES, ran(STARTED - timedelta(minutes=10)))
        ),
        [],
    ),
    "a doctored baseline": (
        lambda: judge(
            made(CLAUSES),
            policy(),
            now=NOW,
            baseline=made(CLAUSES, ran(STARTED - DAY)).model_copy(update={"profiles": []}),
        ),
        ["baseline: profiles: it has nothing, the clauses are of identity, trust, wire"],
    ),
    "a history of others": (
        lambda: flaky(made(CLAUSES), [made(CLAUSES), other(stack={})]),
        ["flaky: history: of 2 reports none is of another run of this commit on this stack"],
    ),
    "a doctored history": (
        lambda: flaky(made(CLAUSES), [other().model_copy(update={"profiles": []})]),
        ["flaky: o: profiles: it has nothing, the clauses are of identity, trust, wire"],
    ),
}


@pytest.mark.parametrize("case", WORDS)
def test_the_gate_says_this(case: str) -> None:
    found, wanted = WORDS[case]
    assert [str(reason) for reason in found()] == wanted


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ([], 0),
        (["stale"], 1),
        (["ended-early"], 3),
        (["ended-early", "stale"], 3),
        (["ended-early", "failed"], 1),
        (["ended-early", "other-failure"], 1),
        (["ended-early", "doctored"], 1),
        (["healing"], 4),
        (["healing", "ended-early", "failed"], 4),
        (["healing", "doctored"], 1),
        (["healing", "doctored", "ended-early"], 1),
    ],
    ids=str,
)
def test_exit_codes(rules: list[Any], code: int) -> None:
    assert exit_code([Reason(rule, "a", "b") for rule in rules]) == code


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"maxAge": "48"}, "'48' is no age: want hours or days, as 48h or 7d"),
        ({"maxAge": 48}, "48 is no age: want hours or days, as 48h or 7d"),
        (
            {"profiles": ["identiy"]},
            f"unknown profile 'identiy'; there are {', '.join(PROFILES)}",
        ),
        ({"knownGaps": [{"id": "a/b", "expires": "2027-01-01"}]}, "a/b: neither a link nor a reason"),
        ({"measurements": {"a": {}}}, "neither min nor max"),
        (
            {"measurements": {"a": {"min": 1.5, "max": 0}}},
            "min 1.5 is over max 0: nothing could fulfil it",
        ),
        (
            {
                "knownGaps": [
                    {"id": name, "reason": "so", "expires": "2027-01-01"}
                    for name in ("a/b", "c/d", "a/b", "e/f", "c/d")
                ]
            },
            "known gap listed twice: a/b, c/d",
        ),
    ],
    ids=str,
)
def test_a_policy_is_refused_in_these_words(change: Document, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        policy(**change)
    assert [error["msg"] for error in caught.value.errors()] == [f"Value error, {words}"]


@pytest.mark.parametrize(("age", "hours"), [("1h", 1), ("48h", 48), ("2d", 48), ("999999h", 999999)], ids=str)
def test_ages_of_hours_and_of_days(age: str, hours: int) -> None:
    assert policy(maxAge=age).max_age == timedelta(hours=hours)


def test_bounds_may_be_one_number_and_gaps_may_have_a_reason_alone() -> None:
    gap = {"id": "a/b", "reason": "so", "expires": "2027-01-01"}
    found = policy(measurements={"a": {"min": 1, "max": 1}, "b": {"max": 0}}, knownGaps=[gap])
    assert (found.measurements["a"].max, found.known_gaps[0].link) == (1, None)


@pytest.mark.parametrize(
    ("value", "is_one"),
    [(0, True), (-1.5, True), (1.7976931348623157e308, True), (True, False), ("1", False), (10**400, False)],
    ids=str,
)
def test_numbers(value: Any, is_one: bool) -> None:
    assert is_number(value) is is_one


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "not YAML: the key 'a' stands twice\n"),
        ("x:\n  a: 1\n  a: 3\n", "not YAML: the key 'a' stands twice\n"),
        ("a: [", "not YAML: while parsing a flow node\n"),
        ("[" * 1000, "not a document of ours: nested too deeply"),
    ],
    ids=["twice", "twice-within", "broken", "deep"],
)
def test_a_document_is_refused_in_these_words(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        load_document(text)
    assert str(caught.value).startswith(words)
    if "twice" in words:
        assert f"line {2 if text[0] == 'x' else 1}, column" in str(caught.value)


def test_a_day_is_one_in_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Pacific/Kiritimati")
        time.tzset()
        late = datetime(2026, 6, 30, 23, 59, tzinfo=UTC)
        found = judge(made(CLAUSES), policy(maxAge="90d"), now=late)
    time.tzset()
    assert found == []


def test_a_document_may_have_a_list_as_a_key() -> None:
    """YAML allows it; Python cannot hold it, and says so with the one documented error."""
    with pytest.raises(ValueError, match="not YAML"):
        load_document("? [a, b]\n: 1\n")
    assert load_document("a: {b: 1}\nc: {b: 2}\n") == {"a": {"b": 1}, "c": {"b": 2}}
