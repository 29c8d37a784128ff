from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any, Protocol
from xml.etree import ElementTree

import pytest

from fixtures.report.catalogue import PROFILES, Clause
from fixtures.report.model import ConformanceReport, Timeline
from fixtures.report.page import Beside, inline_svg, page

VOID = {"meta"}


class Sample(Protocol):
    @property
    def report(self) -> ConformanceReport: ...
    @property
    def beside(self) -> Beside: ...


class Read(HTMLParser):
    """What a browser finds: elements with their attributes, texts; and that all elements are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def shown(sample: Sample, beside: Beside | None = None, **changes: Any) -> Read:
    report = sample.report.model_copy(update=changes)
    return Read(page(report, sample.beside if beside is None else beside))


def section(text: str, name: str) -> str:
    return text.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def rows_of(text: str) -> list[str]:
    """Give the text of each row, its cells apart by a space."""
    rows = re.findall(r"<tr.*?</tr>", text.replace("</td>", " </td>").replace("</th>", " </th>"), re.DOTALL)
    return [" ".join(Read(row).text.split()) for row in rows]


def test_what_failed_comes_first(sample: Sample) -> None:
    read = shown(sample)
    assert [attributes["id"] for attributes in read.all("section")] == [
        *("failed", "unknown", "others", "unhealed", "gaps", "profiles"),
        *("clauses", "measurements", "timelines", "stack"),
    ]
    assert [a["href"] for a in read.all("a")][:2] == ["#failed", "#unknown"]
    text = page(sample.report, sample.beside)
    assert text.index("DO NOT SHIP</h1>") < text.index('<section id="failed">')
    rows = re.findall(r'<tr class="([a-z-]+)">', section(text, "clauses"))
    assert rows[8:10] == ["fail", "pass"]


def test_every_clause_has_its_level_claim_outcome_reason_and_time(sample: Sample) -> None:
    text = section(page(sample.report, sample.beside), "clauses")
    rows = [row for row in rows_of(text) if "seconds" not in row]
    assert len(rows) == len(sample.report.clauses) == 8 * len(PROFILES)
    words = {"fail": "failed", "pass": "passed", "known-gap": "known gap", "not-supported": "not supported"}
    for clause in sample.report.clauses:
        (row,) = [each for each in rows if f" {clause.id} " in each]
        assert row.startswith(words.get(clause.outcome, clause.outcome))
        assert clause.level in row
        assert sample.beside.clauses[clause.id].claim in row
        assert (clause.message or "") in row
        assert row.endswith(f" {clause.seconds:.1f} s")


def test_a_failure_is_explained(sample: Sample) -> None:
    failed = section(page(sample.report, sample.beside), "failed")
    text = Read(failed).text
    assert "AssertionError: [no-root] 2 roots in Envoy, 1 in SPIRE <&>" in text
    assert "MUST contain exactly one URI SAN" in text
    assert ">       assert roots == {spire}\nE       AssertionError: 2 roots\n" in text
    assert 'href="evidence/trust-c3.tar.gz"' in failed


def test_a_long_failure_is_cut_and_says_so(sample: Sample) -> None:
    beside = replace(sample.beside, failures={"trust/c3": "x" * 30_000})
    assert "[10000 more characters]" in shown(sample, beside).text


def test_how_to_repeat_the_run_is_said_and_what_it_ran_on(sample: Sample) -> None:
    text = shown(sample).text
    assert "tox -e e2e -- --pace fast --images build" in text
    assert "0a1b2c3d" * 5 in text
    assert "25 min 3 s" in text
    assert f"sha256:{'i' * 64}" in text
    assert "test_loads_came_through" in text
    assert "chaos/c5: the worker stays paused" in text


def test_known_gaps_have_a_link_and_an_end(sample: Sample) -> None:
    read = Read(section(page(sample.report, sample.beside), "gaps"))
    links = [attributes["href"] for attributes in read.all("a")]
    assert links == [f"https://github.com/istio/istio/issues/{number}" for number in ("57854", "5785")]
    assert "2030-06-30" in read.text
    assert "expired 2030-01-30" in read.text
    assert "expired 2030-06-30" not in read.text


def test_profiles_are_counted_by_level(sample: Sample) -> None:
    text = section(page(sample.report, sample.beside), "profiles")
    rows = [row for row in rows_of(text) if " core " in row]
    assert rows[PROFILES.index("reload")] == "reload failure core 4 1 \u00b7 \u00b7 \u00b7 1"


def test_what_was_measured_alike_is_one_table(sample: Sample) -> None:
    text = section(page(sample.report, sample.beside), "measurements")
    matrix = text.partition("<caption>traffic</caption>")[2].partition("</table>")[0]
    assert re.findall(r"<th>([^<]+)</th>", matrix)[:5] == [
        *("lost", "perSecond", "requests", "retries", "reload.handshakes"),
    ]
    assert "ratio of total to kindCreate" in text


def test_an_empty_run_has_a_page(sample: Sample) -> None:
    empty: dict[str, Any] = {
        "clauses": [],
        "profiles": [],
        "measurements": {},
        "timelines": None,
        "stack": {},
    }
    run = sample.report.run.model_copy(update={"other_failures": [], "healing_failed": [], "exit_code": None})
    assert shown(sample, Beside({}), run=run, **empty).all("section") == []


# --- nothing but a page ------------------------------------------------------------------------


def check_harmless(read: Read) -> None:
    allowed = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "nav",
        "main",
        "section",
        "article",
    }
    allowed |= {"h1", "h2", "h3", "p", "a", "b", "i", "small", "strong", "span", "pre", "blockquote", "div"}
    allowed |= {"ul", "li", "dl", "dt", "dd", "details", "summary"}
    allowed |= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    allowed |= {"svg", "g", "rect", "line", "circle", "path", "text", "desc"}
    assert {tag for tag, _ in read.elements} <= allowed
    names = {name for _, attributes in read.elements for name in attributes}
    assert not [name for name in names if name.startswith("on") or name in {"src", "srcset", "xlink:href"}]
    for attributes in read.all("a"):
        assert re.match(r"#|https?://|[a-z]+/[\w.-]+$", attributes["href"])


def test_the_page_loads_nothing_and_runs_nothing(sample: Sample) -> None:
    read = shown(sample)
    check_harmless(read)
    (policy,) = [meta["content"] for meta in read.all("meta") if "http-equiv" in meta]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    style = page(sample.report, sample.beside).partition("<style>")[2].partition("</style>")[0]
    assert not re.search(r"url\(|@import|@font-face|expression", style)


NASTY = "</pre></style><script>alert('x')</script><img src=x onerror=y> \"q\" {0} \x1b[31m\x00\ud800 &amp;"


def test_what_is_given_stays_text(sample: Sample) -> None:
    report, beside = sample.report, sample.beside
    clauses: Mapping[str, Clause] = {
        name: replace(each, claim=NASTY, source=NASTY) for name, each in beside.clauses.items()
    }
    results = [c.model_copy(update={"message": NASTY, "requires": [NASTY]}) for c in report.clauses]
    suite = report.suite.model_copy(update={"version": NASTY, "commit": NASTY, "reproduce": NASTY})
    run = report.run.model_copy(update={"id": NASTY, "other_failures": [NASTY], "healing_failed": [NASTY]})
    profiles = [each.model_copy(deep=True) for each in report.profiles]
    gap = {"reason": NASTY, "link": "javascript:alert(1)", "expires": NASTY}
    core = profiles[4].core
    changed = core.model_copy(
        update={"known_gaps": [each.model_copy(update=gap) for each in core.known_gaps]}
    )
    profiles[4] = profiles[4].model_copy(update={"name": NASTY, "core": changed})
    read = shown(
        sample,
        Beside(clauses, {"trust/c3": NASTY}, {"trust/c3": "../../x", "reload/c1": NASTY}, beside.drawings),
        clauses=results,
        suite=suite,
        run=run,
        reason=NASTY,
        profiles=profiles,
        stack={NASTY: NASTY, "x": {NASTY: NASTY}},
        measurements={NASTY: {NASTY: NASTY}},
        timelines=[Timeline(title=NASTY, path=NASTY), Timeline(title="x", path="javascript:alert(1)")],
    )
    check_harmless(read)
    expected = "</pre></style><script>alert('x')</script><img src=x onerror=y> \"q\" {0} \ufffd\ufffd &amp;"
    assert read.text.count(expected) > 2 * len(results)


# --- pictures ----------------------------------------------------------------------------------


def test_pictures_are_part_of_the_page_each_with_ids_of_its_own(sample: Sample) -> None:
    read = shown(sample)
    assert len(read.all("svg")) == 2
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in read.all("svg"):
        assert set(attributes["aria-labelledby"].split()) <= set(ids)


def test_a_picture_of_ours_loses_nothing_but_classes(sample: Sample) -> None:
    for svg in sample.beside.drawings.values():
        drawn = ElementTree.fromstring(svg)
        taken = inline_svg(svg, "")
        assert taken is not None
        assert "class=" not in taken
        copied = list(ElementTree.fromstring(taken).iter())
        for one, other in zip(drawn.iter(), copied, strict=True):
            assert one.tag.rpartition("}")[2] == other.tag
            assert (one.text or "").strip() == (other.text or "")
            assert {n: v for n, v in one.attrib.items() if n != "class"} == other.attrib


HEAD = '<svg xmlns="http://www.w3.org/2000/svg">'


@pytest.mark.parametrize(
    "svg",
    [
        pytest.param("", id="nothing"),
        pytest.param("<svg", id="no-xml"),
        pytest.param("<svg/>", id="no-namespace"),
        pytest.param('<g xmlns="http://www.w3.org/2000/svg"/>', id="no-picture"),
        pytest.param(f"{HEAD}<script>alert(1)</script></svg>", id="script"),
        pytest.param(f"{HEAD}<style>*{{fill:red}}</style></svg>", id="style"),
        pytest.param(f'{HEAD}<image href="http://x"/></svg>', id="image"),
        pytest.param(f"{HEAD}<foreignObject/></svg>", id="foreign-object"),
        pytest.param(f'{HEAD}<g><a href="javascript:alert(1)"><text>x</text></a></g></svg>', id="link"),
        pytest.param(f'{HEAD}<rect onload="alert(1)"/></svg>', id="handler"),
        pytest.param(f'{HEAD}<rect style="fill:red"/></svg>', id="style-attribute"),
        pytest.param(f'{HEAD}<rect fill="url(http://x)"/></svg>', id="reference"),
        pytest.param(f'{HEAD}<g xmlns:h="http://www.w3.org/1999/xhtml"><h:title/></g></svg>', id="html"),
        pytest.param(f'<!DOCTYPE svg [<!ENTITY a "b">]>{HEAD}<text>&a;</text></svg>', id="entity"),
    ],
)
def test_any_other_picture_is_no_part_of_the_page(sample: Sample, svg: str) -> None:
    assert inline_svg(svg, "") is None
    timelines = [Timeline(title="From elsewhere", path="timelines/a.svg")]
    read = shown(sample, replace(sample.beside, drawings={"timelines/a.svg": svg}), timelines=timelines)
    assert read.all("svg") == []
    assert "From elsewhere" in read.text
    assert "It is not shown here." in read.text


def test_times_are_of_utc(sample: Sample) -> None:
    moment = datetime(2030, 1, 31, 12, tzinfo=UTC)
    run = sample.report.run.model_copy(update={"started": moment, "finished": moment + timedelta(days=400)})
    text = shown(sample, run=run).text
    assert "2030-01-31 12:00:00 UTC" in text
    assert "expired 2030-06-30" in text
