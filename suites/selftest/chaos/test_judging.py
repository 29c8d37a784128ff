"""What an experiment came to, from records that were saved and read again; each flaw turns it red."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fixtures.chaos import __main__ as command
from fixtures.chaos import records
from fixtures.chaos.checks import Counters, Identity, Outcome
from fixtures.chaos.history import Operation
from fixtures.chaos.judging import HOPS, judge
from fixtures.chaos.records import Expectation, Fresh, Held, Records, RecordsError

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
LIFETIME = timedelta(seconds=60)
ENDPOINT = (*HOPS[1], "10.0.0.1:9080")
APPS = sorted({app for hop in HOPS for app in hop})


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def spiffe_id(app: str) -> str:
    return f"spiffe://example.org/ns/bookinfo/sa/bookinfo-{app}"


def identity(app: str, serial: str, begin: float) -> Identity:
    return Identity(spiffe_id(app), serial, at(begin), at(begin) + LIFETIME)


def held(app: str) -> tuple[Held, ...]:
    """An SVID from before the fault, and the one that came after the recovery."""
    return (
        Held(identity(app, "0a", -20), at(-20), at(29)),
        Held(identity(app, "0b", 30), at(30), at(70)),
    )


def request(seconds: float, **changes: Any) -> Iterator[Operation]:
    """One request of the load, in all of its hops."""
    for caller, target in HOPS:
        one = Operation(
            time=at(seconds),
            caller=caller,
            target=target,
            outcome="ok",
            code=200,
            flags="",
            reason="",
            attempts=1,
            peer_id=spiffe_id(target),
            peer_serial="0a" if seconds < 30 else "0b",
            request_id=f"r{seconds}",
        )
        yield replace(one, **changes)


def run(func: str, begin: float, end: float, *, kind: str = "action", output: Any = None) -> dict[str, Any]:
    return {
        "activity": {"name": func, "type": kind, "provider": {"module": "m", "func": func}},
        "start": at(begin).isoformat(),
        "end": at(end).isoformat(),
        "status": "succeeded",
        "output": ["touched"] if output is None else output,
    }


def journal(*runs: dict[str, Any]) -> dict[str, Any]:
    met = {"steady_state_met": True, "probes": [{}]}
    return {
        "status": "completed",
        "deviated": False,
        "steady_states": {"before": met, "after": met, "during": []},
        "experiment": {"method": [one["activity"] for one in runs], "rollbacks": []},
        "run": list(runs),
        "rollbacks": [],
        "end": at(50).isoformat(),
    }


IN_HAND = {f"bookinfo/{app}-pod": identity(app, "0a", -20).to_json() for app in APPS}
KILL = journal(
    run("kill_pods", 0, 2),
    run("certificates_in_hand", 2, 3, kind="probe", output=IN_HAND),
)
OUTAGE = journal(
    run("scale_to_zero", 0, 2),
    run("certificates_in_hand", 2, 3, kind="probe", output=IN_HAND),
    run("scale_back", 60, 61),
)
GOOD = Records(
    name="kill-spire-server",
    trust_domain="example.org",
    expectation=Expectation(),
    journal=KILL,
    sent=80,
    refused=0,
    history=tuple(one for second in range(-10, 70) for one in request(second)),
    counters=(
        {(*hop, "10.0.0.1:9080"): Counters(0, 0) for hop in HOPS},
        {(*hop, "10.0.0.1:9080"): Counters(80, 80) for hop in HOPS},
    ),
    held={app: held(app) for app in APPS},
    after={name: identity(name[9:-4], "0b", 30) for name in IN_HAND},
    settled=at(35),
    waited_until=at(150),
    fresh=Fresh(spiffe_id("details"), 4.2),
)


def spoilt(begin: float, end: float | None = None, **changes: Any) -> tuple[Operation, ...]:
    """The history, with the requests from one second to another changed; without an end, of that second."""
    until = at(begin + 0.5 if end is None else end)
    return tuple(replace(one, **changes) if at(begin) <= one.time < until else one for one in GOOD.history)


def outcomes(found: Records) -> dict[str, Outcome]:
    return {result.check: result.outcome for result in judge(found).results}


def reds(found: Records) -> set[str]:
    return {check for check, outcome in outcomes(found).items() if outcome == "fail"}


def test_an_experiment_that_held_passes() -> None:
    judgement = judge(GOOD)
    assert judgement.outcome == "pass", "\n".join(map(str, judgement.results))
    assert (judgement.budget_seconds, judgement.recovery_seconds) == (39.0, 33.0)
    assert judgement.figures(GOOD) == {
        "requests": 80,
        "lost": 0,
        "lostInBudget": 0,
        "retries": 0,
        "outageBudgetSeconds": 39.0,
        "faultSeconds": 2.0,
        "recoverySeconds": 33.0,
        "freshPodSeconds": 4.2,
    }


LOST: dict[str, Any] = {
    "outcome": "fail",
    "code": 503,
    "flags": "UF",
    "reason": "connection refused",
    "peer_serial": "",
}
EXPIRED: dict[str, Any] = {**LOST, "reason": "TLS_error: certificate_has_expired"}


SPOILT: dict[str, tuple[str, Records]] = {
    "broken-off": ("journal", replace(GOOD, journal={**KILL, "status": "failed"})),
    "unlogged-loss": ("losses-counted", replace(GOOD, refused=1)),
    "uncounted": ("load-counted", replace(GOOD, sent=81)),
    "lost": ("no-loss-in-budget", replace(GOOD, history=spoilt(10, **LOST))),
    "refused-too-early": ("no-loss-in-budget", replace(GOOD, history=spoilt(10, **EXPIRED))),
    "lost-later": ("fails-closed", replace(GOOD, history=spoilt(40, **LOST))),
    "refused-too-late": ("no-loss-after-recovery", replace(GOOD, history=spoilt(40, **EXPIRED))),
    "retried": ("retries", replace(GOOD, history=spoilt(40, attempts=2))),
    "plaintext": ("expected-peers", replace(GOOD, history=spoilt(40, peer_id=""))),
    "expired": ("nothing-expired-accepted", replace(GOOD, history=spoilt(45, peer_serial="0a"))),
    "same-certificate": (
        "renewed",
        replace(GOOD, after={**GOOD.after, "bookinfo/details-pod": identity("details", "0a", -20)}),
    ),
    "another-identity": (
        "renewed",
        replace(GOOD, after={**GOOD.after, "bookinfo/details-pod": identity("ratings", "0c", 30)}),
    ),
    "no-fresh-pod": ("fresh-pod", replace(GOOD, fresh=Fresh("", 120, ("never Ready",)))),
    "fresh-stranger": (
        "fresh-pod",
        replace(GOOD, fresh=Fresh("spiffe://example.org/ns/other/sa/default", 3)),
    ),
    "no-recovery": ("no-loss-after-recovery", replace(GOOD, settled=None)),
    "pooled": (
        "every-request-a-handshake",
        replace(GOOD, counters=(GOOD.counters[0], {**GOOD.counters[1], ENDPOINT: Counters(3, 80)})),
    ),
}


@pytest.mark.parametrize("flaw", SPOILT)
def test_each_flaw_turns_its_check_red(flaw: str) -> None:
    red, found = SPOILT[flaw]
    assert red in reds(found)
    assert judge(found).outcome == "fail"


def test_what_a_proxy_held_for_a_moment_is_judged() -> None:
    wrong = replace(identity("details", "0c", 30), flaws=("issued by somebody else",))
    spell = Held(wrong, at(31), at(32))
    assert reds(replace(GOOD, held={**GOOD.held, "details": (*held("details"), spell)})) == {
        "identities-held"
    }


UNSEEN: dict[str, Records] = {
    "load-counted": replace(GOOD, sent=None),
    "identities-held": replace(GOOD, held={**GOOD.held, "client": ()}),
    "no-loss-in-budget": replace(GOOD, journal=journal(run("kill_pods", 0, 2))),
    "fresh-pod": replace(GOOD, fresh=None),
    "no-loss-after-recovery": replace(GOOD, settled=None, journal=journal(KILL["run"][1])),
}


@pytest.mark.parametrize("check", UNSEEN)
def test_what_nobody_observed_is_unknown(check: str) -> None:
    assert outcomes(UNSEEN[check])[check] == "unknown"
    assert judge(UNSEEN[check]).outcome != "pass"


def outage(**changes: Any) -> Records:
    """An outage beyond the end of all certificates: refused from second 40 to 62, renewed at 62."""
    refused = tuple(
        replace(one, **EXPIRED)
        if 39 <= (one.time - START).total_seconds() < 62
        else replace(one, peer_serial="0a" if one.time < at(40) else "0b")
        for one in GOOD.history
    )
    spells = {
        app: (
            Held(identity(app, "0a", -20), at(-20), at(61)),
            Held(identity(app, "0b", 62), at(62), at(70)),
        )
        for app in APPS
    }
    found = replace(
        GOOD,
        expectation=Expectation(refusal=True),
        journal=OUTAGE,
        history=refused,
        held=spells,
        after={name: identity(name[9:-4], "0b", 62) for name in IN_HAND},
        settled=at(64),
    )
    return replace(found, **changes)


def test_an_outage_beyond_the_lifetime_is_refused_and_recovers() -> None:
    judgement = judge(outage())
    assert judgement.outcome == "pass", "\n".join(map(str, judgement.results))
    assert (judgement.recovery_seconds, judgement.lost, judgement.lost_in_budget) == (3.0, 23, 0)


def test_an_answer_while_all_certificates_have_expired_is_red() -> None:
    answered = tuple(
        replace(one, outcome="ok", peer_serial="0a", reason="") if one.time == at(50) else one
        for one in outage().history
    )
    assert reds(outage(history=answered)) == {"refused", "nothing-expired-accepted"}


def test_without_a_request_in_the_outage_nothing_was_refused() -> None:
    none = tuple(one for one in outage().history if not at(41) <= one.time < at(61))
    assert outcomes(outage(history=none, sent=60))["refused"] == "unknown"


def test_a_fault_that_takes_a_node_is_forgiven_until_the_recovery_only() -> None:
    forgiving = replace(GOOD, expectation=Expectation(losses="during-fault"))
    within = spoilt(0, 30, **LOST)
    assert judge(replace(forgiving, history=within)).outcome == "pass"
    assert reds(replace(forgiving, sent=81)) == {"load-counted"}
    assert judge(replace(forgiving, sent=79)).outcome == "pass"
    before = spoilt(-5, **LOST)
    assert reds(replace(forgiving, history=before)) == {"no-loss-before-the-fault"}
    late = spoilt(40, **LOST)
    assert reds(replace(forgiving, history=late)) == {"no-loss-after-recovery"}


def said(found: Records) -> dict[str, tuple[Outcome, tuple[str, ...]]]:
    return {result.check: (result.outcome, result.reasons) for result in judge(found).results}


def test_a_pass_says_what_it_saw() -> None:
    assert said(GOOD) == {
        "journal": ("pass", ("every activity succeeded",)),
        "load-counted": ("pass", ("sent 80, logged by the proxy of client 80",)),
        "losses-counted": ("pass", ("the load generator had no answer 0 times, its proxy logged 0 losses",)),
        "every-hop-seen": ("pass", tuple(f"{caller} -> {target}: 80" for caller, target in HOPS)),
        "every-request-a-handshake": (
            "pass",
            tuple(f"{caller} -> {target}: 80 requests on 80 connections" for caller, target in HOPS),
        ),
        "no-loss-in-budget": ("pass", ("0 of 196 lost",)),
        "fails-closed": ("pass", ("no certificate expired in use",)),
        "no-loss-after-recovery": ("pass", ("0 of 140 lost",)),
        "retries": ("pass", ("0 of 320 needed more than one attempt",)),
        "expected-peers": ("pass", ("all 320 answers by whom they should",)),
        "nothing-expired-accepted": ("pass", ("320 answers, each to a certificate that was valid",)),
        "identities-held": ("pass", ("10 certificates, each its proxy's own, from SPIRE",)),
        "renewed": ("pass", ("5 of 5 renewed after the fault",)),
        "fresh-pod": ("pass", ("spiffe://example.org/ns/bookinfo/sa/bookinfo-details within 4.2 s",)),
    }


FORGIVING = replace(GOOD, expectation=Expectation(losses="during-fault"))
NO_FAULT = journal(KILL["run"][1])
WORDS: dict[str, tuple[Records, dict[str, tuple[Outcome, tuple[str, ...]]]]] = {
    "failed-journal": (
        replace(GOOD, journal={**KILL, "status": "failed"}),
        {"journal": ("fail", ("status: failed",))},
    ),
    "load-without-a-word": (
        replace(GOOD, sent=None, refused=1),
        {"load-counted": ("unknown", ("the load generator does not say what it sent",))},
    ),
    "losses-of-other-callers-are-not-the-loads": (
        replace(
            GOOD,
            refused=1,
            history=tuple(one if one.caller == "client" else replace(one, **LOST) for one in GOOD.history),
        ),
        {
            "losses-counted": (
                "fail",
                ("the load generator had no answer 1 times, its proxy logged 0 losses",),
            )
        },
    ),
    "unseen-certificates": (
        replace(GOOD, journal=journal(KILL["run"][0])),
        {
            "no-loss-in-budget": ("unknown", ("nobody saw the certificates in hand",)),
            "no-loss": ("pass", ("0 of 320 lost",)),
            "renewed": ("unknown", ("no fault, or nobody saw the certificates in hand",)),
        },
    ),
    "no-fault": (
        replace(GOOD, journal=NO_FAULT),
        {"renewed": ("unknown", ("no fault, or nobody saw the certificates in hand",))},
    ),
    "no-fault-that-could-be-forgiven": (
        replace(FORGIVING, journal=NO_FAULT),
        {"no-loss-before-the-fault": ("unknown", ("there was no fault",))},
    ),
    "no-recovery": (
        replace(GOOD, settled=None),
        {"no-loss-after-recovery": ("fail", ("no recovery until 12:02:30",))},
    ),
    "wrong-identities-held": (
        replace(
            GOOD,
            held={
                **GOOD.held,
                "details": (Held(replace(identity("details", "0c", 30), flaws=("a", "b")), at(31), at(32)),),
            },
        ),
        {"identities-held": ("fail", ("details from 12:00:31: a", "details from 12:00:31: b"))},
    ),
    "never-sampled": (
        replace(GOOD, held={**GOOD.held, "client": (), "details": ()}),
        {"identities-held": ("unknown", ("never sampled: client, details",))},
    ),
    "no-fresh-pod": (
        replace(GOOD, fresh=None),
        {"fresh-pod": ("unknown", ("no pod was made after the recovery",))},
    ),
    "flawed-fresh-pod": (
        replace(GOOD, fresh=Fresh("", 120, ("never Ready", "no SVID"))),
        {"fresh-pod": ("fail", ("never Ready", "no SVID"))},
    ),
    "fresh-stranger": (
        replace(GOOD, fresh=Fresh("spiffe://example.org/ns/x/sa/y", 3)),
        {"fresh-pod": ("fail", ("it was given spiffe://example.org/ns/x/sa/y",))},
    ),
}


@pytest.mark.parametrize("case", WORDS)
def test_a_check_says_what_it_missed(case: str) -> None:
    found, wanted = WORDS[case]
    results = said(found)
    assert {check: results.get(check) for check in wanted} == wanted


def test_an_outage_without_an_end_is_no_refusal_that_was_seen() -> None:
    """Neither one that nobody healed, nor the end of a kill that struck beside it."""
    endless = {**journal(*OUTAGE["run"][:2]), "end": None}
    with_a_kill = {**journal(*OUTAGE["run"][:2], run("kill_pods", 41, 60)), "end": None}
    for one in (endless, with_a_kill):
        found = outage(journal=one)
        assert judge(found).over is None
        assert said(found)["refused"] == ("unknown", ("the fault had no end",))


def test_refused_has_to_be_the_load_itself() -> None:
    """That the services further down were asked nothing is no answer to who asked them."""
    answered = tuple(
        replace(one, outcome="ok", reason="") if one.caller == "client" else one for one in outage().history
    )
    assert said(outage(history=answered))["refused"] == ("fail", ("20 of 20 answered, 12:00:41 to 12:01:00",))
    assert said(outage())["refused"] == ("pass", ("all 20 from 12:00:41 to 12:01:01",))


def test_a_judgement_keeps_the_moments_it_rests_on() -> None:
    judgement = judge(replace(GOOD, history=(*spoilt(10, **LOST), *request(40, **LOST))))
    (window,) = judgement.windows
    assert (window.name, window.begin, window.end) == ("kill_pods", at(0), at(2))
    moments = judgement.struck, judgement.budget, judgement.over, judgement.recovered
    assert moments == (at(0), at(39), at(2), at(35))
    assert (judgement.lost_in_budget, judgement.lost) == (1, 2)


def test_without_certificates_in_hand_every_loss_is_in_the_budget() -> None:
    found = replace(GOOD, journal=journal(KILL["run"][0]), history=spoilt(60, **LOST))
    judgement = judge(found)
    assert (judgement.budget, judgement.lost_in_budget, judgement.lost) == (None, 1, 1)


def test_figures_leave_out_what_nobody_saw() -> None:
    found = replace(
        GOOD, journal=NO_FAULT, settled=None, fresh=None, history=spoilt(40, 42, attempts=2), sent=None
    )
    assert judge(found).figures(found) == {"lost": 0, "lostInBudget": 0, "retries": 8}


def test_figures_are_in_tenths_of_a_second() -> None:
    found = replace(GOOD, settled=at(35.16), fresh=Fresh(spiffe_id("details"), 4.26))
    figures = judge(found).figures(found)
    assert (figures["recoverySeconds"], figures["freshPodSeconds"]) == (33.2, 4.3)


def test_records_are_read_as_they_were_saved(tmp_path: Path) -> None:
    records.save(GOOD, tmp_path)
    assert records.load(tmp_path) == GOOD
    assert judge(records.load(tmp_path)) == judge(GOOD)


@pytest.mark.parametrize("name", ["journal.json", "history.jsonl", "records.json"])
def test_records_with_a_part_missing_or_broken_are_refused(tmp_path: Path, name: str) -> None:
    records.save(GOOD, tmp_path)
    (tmp_path / name).write_text('{"a":')
    with pytest.raises(RecordsError):
        records.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(RecordsError):
        records.load(tmp_path)


@pytest.mark.parametrize(
    "extension",
    [
        [],
        [{"name": "meshproof", "quick": "yes"}],
        [{"name": "meshproof", "losses": "never"}],
        [{"name": "meshproof", "levels": "core"}],
        [{"name": "meshproof"}, {"name": "meshproof"}],
    ],
    ids=["none", "no-boolean", "no-such-value", "no-such-key", "two"],
)
def test_an_experiment_says_clearly_what_is_expected_of_it(extension: list[dict[str, Any]]) -> None:
    with pytest.raises(RecordsError):
        Expectation.of({"extensions": extension})


def test_judge_command_finds_the_experiments_of_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records.save(GOOD, tmp_path / "chaos" / "good")
    assert command.main(["judge", str(tmp_path)]) == 0
    assert "kill-spire-server: pass (budget 39.0 s, recovery 33.0 s, 0 lost)" in capsys.readouterr().out
    records.save(replace(GOOD, sent=None), tmp_path / "chaos" / "unsure")
    assert command.main(["judge", str(tmp_path)]) == 3
    records.save(replace(GOOD, sent=81), tmp_path / "chaos" / "bad")
    assert command.main(["judge", str(tmp_path)]) == 1
    assert "load-counted: fail: sent 81, logged by the proxy of client 80" in capsys.readouterr().out


def test_judge_command_refuses_what_holds_no_experiment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["judge", str(tmp_path)]) == 2
    assert "holds no experiment" in capsys.readouterr().err
    (tmp_path / "records.json").write_text(json.dumps({"name": "x"}))
    assert command.main(["judge", str(tmp_path)]) == 2
