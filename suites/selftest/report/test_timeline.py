from __future__ import annotations

import ast
import re
import sys
from datetime import UTC, datetime, timedelta, timezone
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest

from fixtures.report import timeline as module
from fixtures.report.timeline import (
    FONT_SIZE,
    LEFT,
    RIGHT,
    WIDTH,
    Backdrop,
    Events,
    Lane,
    Log,
    Mark,
    Point,
    Row,
    Series,
    Span,
    Spans,
    per_second,
    serial_span,
    text_width,
    timeline,
)

SVG = "{http://www.w3.org/2000/svg}"
BEGIN = datetime(2026, 11, 24, 22, 33, tzinfo=UTC)
SECONDS = 60


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def x_of(seconds: float) -> float:
    return LEFT + seconds / SECONDS * (RIGHT - LEFT)


def drawn(*lanes: Lane, title: str = "A rotation", begin: float = 0, end: float = SECONDS) -> Element:
    return fromstring(timeline(title, at(begin), at(end), lanes))


def of_class(svg: Element, name: str) -> list[Element]:
    return [each for each in svg.iter() if each.get("class") == name]


def title_of(element: Element) -> str:
    return element.findtext(f"{SVG}title") or ""


def number(element: Element | None, name: str) -> float:
    assert element is not None
    return float(element.get(name, "nan"))


def texts(svg: Element) -> list[str]:
    return [each.text or "" for each in svg.iter(f"{SVG}text")]


Box = tuple[float, float, float, float]


def boxes(svg: Element) -> dict[str, Box]:
    """Where the text of each label is, by its own estimate of width and by the size of its font."""
    found: dict[str, Box] = {}
    for index, label in enumerate(of_class(svg, "label")):
        text = label if label.tag == f"{SVG}text" else label.find(f"{SVG}text")
        assert text is not None
        x, y = number(text, "x"), number(text, "y")
        found[f"{index}: {text.text}"] = (x, y - FONT_SIZE, x + text_width(text.text or ""), y)
    return found


def overlaps(svg: Element) -> list[tuple[str, str]]:
    def overlap(one: Box, other: Box) -> bool:
        return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]

    pairs = combinations(boxes(svg).items(), 2)
    return [(one, other) for (one, box), (other, box2) in pairs if overlap(box, box2)]


LOAD = Series(
    "handshakes",
    per_second(
        [at(n / 10) for n in range(600) if n not in (315, 316)],
        [Mark(at(31.5), "503 UF"), Mark(at(31.6), "503 UC")],
    ),
)
STEPS = Events(
    "rotation",
    (
        Mark(at(20), "edited", "duration 1441h0m0s"),
        Mark(at(20.9), "issued"),
        Mark(at(23.1), "mounted"),
        Mark(at(23.3), "reloaded"),
        Mark(at(23.9), "served"),
        Mark(at(28), "first workload"),
    ),
)
LINES = Log("istiod", tuple(Mark(at(23.2 + n / 50), f"line {n}", f"the whole line {n}") for n in range(5)))
PROXIES = Spans(
    "proxies",
    (
        Row("a", (serial_span(at(0), at(25), "0a" * 17 + "aaaaaa"), serial_span(at(25), at(60), "bbbbbb"))),
        Row("b", (serial_span(at(0), at(60), "cccccc", "expires soon"),)),
        Row("c", ()),
    ),
)
ALL = (LOAD, STEPS, LINES, PROXIES)


def test_every_loss_is_where_it_was_and_says_what_and_when() -> None:
    svg = drawn(*ALL)
    (loss,) = of_class(svg, "loss")
    assert title_of(loss) == "handshakes: 2 lost at 22:33:31: 1 \u00d7 503 UC, 1 \u00d7 503 UF"
    rect = loss.find(f"{SVG}rect")
    assert number(rect, "x") == pytest.approx(x_of(31), abs=0.01)
    assert number(rect, "width") == pytest.approx(x_of(32) - x_of(31), abs=0.02)
    assert loss.get("fill") == "#cf222e"
    assert texts(svg).count("2 lost") == 2


def test_every_loss_of_a_long_time_is_there_though_a_second_is_narrow() -> None:
    points = tuple(Point(at(n), 0 if n % 7 == 0 else 9, 1 if n % 7 == 0 else 0) for n in range(3600))
    svg = drawn(Series("load", points), end=3600)
    losses = of_class(svg, "loss")
    assert len(losses) == len(range(0, 3600, 7))
    for n, loss in zip(range(0, 3600, 7), losses, strict=True):
        rect = loss.find(f"{SVG}rect")
        assert number(rect, "x") == pytest.approx(LEFT + n / 3600 * (RIGHT - LEFT), abs=3)
        assert number(rect, "width") >= 3
    assert overlaps(svg) == []


def test_the_rate_stands_from_the_first_to_the_last_second_and_a_stall_is_a_gap() -> None:
    svg = drawn(Series("load", (Point(at(10), 4), Point(at(11), 2), Point(at(12), 0), Point(at(20), 4))))
    (rate,) = of_class(svg, "rate")
    path = rate.find(f"{SVG}path")
    assert path is not None
    moves = re.findall(r"[MVHZ][^MVHZ]*", path.get("d", ""))
    across = [float(move[1:]) for move in moves if move[0] == "H"]
    assert across == pytest.approx([x_of(11), x_of(12), x_of(13), x_of(21)], abs=0.01)
    starts = [float(move[1:].split()[0]) for move in moves if move[0] == "M"]
    assert starts == pytest.approx([x_of(10), x_of(20)], abs=0.01)
    base = float(moves[0].split()[1])
    up = [base - float(move[1:]) for move in moves if move[0] == "V"]
    assert up == pytest.approx([up[0], up[0] / 2, 0, 0, up[0], 0])
    assert title_of(rate) == "load: 10 ok, at most 4 in a second"


def test_every_mark_is_where_it_was_with_its_detail() -> None:
    svg = drawn(*ALL)
    given = [*STEPS.marks, *LINES.marks]
    marks = of_class(svg, "mark")
    assert len(marks) == len(given)
    for mark, one in zip(given, marks, strict=True):
        assert number(one.find(f"{SVG}circle"), "cx") == pytest.approx(
            x_of((mark.time - BEGIN).total_seconds()), abs=0.01
        )
        assert title_of(one).startswith(f"{mark.label}, {mark.time:%H:%M:%S}.")
        assert mark.detail in title_of(one)
        assert mark.label in texts(svg)


def test_an_event_has_a_line_through_all_lanes() -> None:
    svg = drawn(*ALL)
    guides = of_class(svg, "guide")
    assert [number(guide, "x1") for guide in guides] == pytest.approx(
        [x_of((mark.time - BEGIN).total_seconds()) for mark in STEPS.marks], abs=0.01
    )
    rects = [next(each.iter(f"{SVG}rect")) for name in ("loss", "span") for each in of_class(svg, name)]
    assert all(number(guide, "y1") < min(number(rect, "y") for rect in rects) for guide in guides)
    assert all(number(guide, "y2") > max(number(rect, "y") for rect in rects) for guide in guides)


FAULTS = Backdrop(
    "faults", (Span(at(10), at(40), "outage", "0.5 of a lifetime"), Span(at(12), at(12.5), "kill"))
)


def test_a_fault_is_where_it_was_and_shades_all_lanes() -> None:
    svg = drawn(LOAD, FAULTS, PROXIES)
    windows, shades = of_class(svg, "window"), of_class(svg, "shade")
    assert [title_of(each) for each in windows] == [
        "outage, 22:33:10.000 to 22:33:40.000\n0.5 of a lifetime",
        "kill, 22:33:12.000 to 22:33:12.500",
    ]
    for rects in ([each.find(f"{SVG}rect") for each in windows], shades):
        assert [number(each, "x") for each in rects] == pytest.approx([x_of(10), x_of(12)], abs=0.01)
        ends = [number(each, "x") + number(each, "width") for each in rects]
        assert ends == pytest.approx([x_of(40), x_of(12.5)], abs=0.02)
    rects = [next(each.iter(f"{SVG}rect")) for name in ("loss", "span") for each in of_class(svg, name)]
    for shade in shades:
        bottom = number(shade, "y") + number(shade, "height")
        assert all(number(shade, "y") < number(rect, "y") < bottom for rect in rects)
    order = list(svg.iter())
    assert max(map(order.index, shades)) < min(map(order.index, of_class(svg, "lane")))
    assert {"faults", "outage", "kill"} <= set(texts(svg))
    told = "faults: outage 22:33:10.000 to 22:33:40.000; kill 22:33:12.000 to 22:33:12.500"
    assert told in (svg.findtext(f"{SVG}desc") or "").splitlines()


@pytest.mark.parametrize(
    ("count", "begin", "step", "length"),
    [(6, 0, 8, 3), (12, 30, 0, 1), (20, 55, 0.2, 9), (60, 0, 1, 0.1), (200, 0, 0.3, 60), (3, 0, 0, 60)],
)
def test_labels_of_faults_cover_nothing_and_every_fault_is_there(
    count: int, begin: float, step: float, length: float
) -> None:
    spans = tuple(
        Span(at(begin + n * step), at(begin + n * step + length), f"kill-spire-agent {n}")
        for n in range(count)
    )
    svg = drawn(Backdrop("faults", spans))
    windows = of_class(svg, "window")
    assert len(windows) == len(of_class(svg, "shade")) == count
    assert overlaps(svg) == []
    bars = [each.find(f"{SVG}rect") for each in windows]
    for label in of_class(svg, "label"):
        x, y = number(label, "x"), number(label, "y")
        assert x >= LEFT
        assert x + text_width(label.text or "") <= RIGHT
        crossed = [
            bar
            for bar, window in zip(bars, windows, strict=True)
            if label not in list(window)
            and number(bar, "y") < y < number(bar, "y") + number(bar, "height")
            and number(bar, "x") < x + text_width(label.text or "")
            and x < number(bar, "x") + number(bar, "width")
        ]
        assert crossed == []
    unsaid = sum(int(text.split()[0]) for text in texts(svg) if text.endswith("without a label"))
    assert len(of_class(svg, "label")) + unsaid == count


def test_every_serial_is_a_span_of_its_own_colour() -> None:
    svg = drawn(*ALL)
    spans = of_class(svg, "span")
    rects = [span.find(f"{SVG}rect") for span in spans]
    assert [number(rect, "x") for rect in rects] == pytest.approx([x_of(0), x_of(25), x_of(0)], abs=0.01)
    assert [number(rect, "width") for rect in rects] == pytest.approx(
        [x_of(25) - x_of(0), x_of(60) - x_of(25), x_of(60) - x_of(0)], abs=0.02
    )
    assert len({rect.get("fill") for rect in rects if rect is not None}) == 3
    assert {"aaaaaa", "bbbbbb", "cccccc", "a", "b"} <= set(texts(svg))
    assert title_of(spans[0]) == f"aaaaaa, 22:33:00.000 to 22:33:25.000\nserial {'0a' * 17}aaaaaa"
    assert title_of(spans[2]).endswith("\nserial cccccc\nexpires soon")


def test_one_serial_has_one_colour_in_all_rows() -> None:
    rows = tuple(Row(name, (Span(at(0), at(9), "ca"), Span(at(9), at(20), name))) for name in "xyz")
    fills = [
        rect.get("fill")
        for span in of_class(drawn(Spans("authorities", rows)), "span")
        for rect in span.iter(f"{SVG}rect")
    ]
    assert fills[0] == fills[2] == fills[4]
    assert len(set(fills)) == 4


def burst(count: int, begin: float, step: float) -> tuple[Mark, ...]:
    return tuple(Mark(at(begin + n * step), f"mark number {n}") for n in range(count))


@pytest.mark.parametrize(
    "marks",
    [
        pytest.param(burst(10, 30, 0), id="one-moment"),
        pytest.param(burst(10, 30, 0.05), id="burst"),
        pytest.param(burst(86, 0, 0.7), id="all-along"),
        pytest.param(burst(6, 55, 1), id="right-edge"),
        pytest.param(burst(10, 0, 0.1), id="left-edge"),
        pytest.param(burst(40, 59, 0.025), id="too-many-at-the-edge"),
    ],
)
def test_labels_do_not_overlap_and_every_mark_is_there(marks: tuple[Mark, ...]) -> None:
    svg = drawn(
        Log("log", marks), Events("events", marks), Series("s", tuple(Point(at(n), 0, 1) for n in range(60)))
    )
    assert overlaps(svg) == []
    assert len(of_class(svg, "mark")) == 2 * len(marks)
    assert all(x >= LEFT and x2 <= RIGHT + 0.1 for x, _, x2, _ in boxes(svg).values())
    labelled = sum(text.startswith("mark number") for text in texts(svg))
    unsaid = sum(int(text.split()[0]) for text in texts(svg) if text.endswith("without a label"))
    assert labelled + unsaid == 2 * len(marks)


def test_where_there_is_room_no_line_crosses_a_label_and_none_is_missing() -> None:
    svg = drawn(STEPS)
    leaders = [
        line
        for line in svg.iter(f"{SVG}line")
        if line.get("stroke") == "#8250df" and line.get("class") is None
    ]
    assert len(leaders) == len(STEPS.marks)
    crossed = [
        name
        for leader in leaders
        for name, (x, y, x2, y2) in boxes(svg).items()
        if x < number(leader, "x1") < x2 and number(leader, "y2") < y2 and number(leader, "y1") > y
    ]
    assert crossed == []


def test_neighbours_that_say_the_same_share_a_label() -> None:
    svg = drawn(Log("istiod", tuple(Mark(at(30 + n / 1000), "Issuer", f"line {n}") for n in range(3))))
    assert "Issuer \u00d73" in texts(svg)
    (label,) = of_class(svg, "label")
    assert all(f"line {n}" in title_of(label) for n in range(3))
    assert len(of_class(svg, "mark")) == 3


def test_what_is_outside_is_left_out_and_counted() -> None:
    svg = drawn(
        Series(
            "load", (Point(at(-5), 1, 3), Point(at(-0.5), 2, 0), Point(at(59.5), 4, 1), Point(at(61), 1, 4))
        ),
        Events(
            "events",
            (Mark(at(-1), "before"), Mark(at(0), "first"), Mark(at(60), "last"), Mark(at(61), "after")),
        ),
        Spans("spans", (Row("r", (Span(at(-9), at(-1), "gone"), Span(at(-5), at(70), "always"))),)),
        Backdrop("faults", (Span(at(-9), at(-1), "healed"), Span(at(61), at(70), "yet to come"))),
    )
    said = texts(svg)
    assert {"first", "last", "always", "1 lost", "6 ok, at most 4/s"} <= set(said)
    assert {"before", "after", "gone", "healed", "yet to come"}.isdisjoint(said)
    assert "7 losses outside of this time" in said
    assert "2 marks outside of this time" in said
    assert "1 span outside of this time" in said
    assert "2 spans outside of this time" in said
    assert of_class(svg, "shade") == []
    rects = [
        rect for name in ("loss", "span") for each in of_class(svg, name) for rect in each.iter(f"{SVG}rect")
    ]
    assert len(rects) == 2
    for rect in rects:
        assert number(rect, "x") >= LEFT
        assert number(rect, "x") + number(rect, "width") <= RIGHT + 0.01
    assert all(LEFT <= number(one.find(f"{SVG}circle"), "cx") <= RIGHT for one in of_class(svg, "mark"))


@pytest.mark.parametrize(
    "lane",
    [
        Series("empty lane", ()),
        Events("empty lane", ()),
        Log("empty lane", ()),
        Spans("empty lane", ()),
        Spans("empty lane", (Row("r", ()),)),
        Backdrop("empty lane", ()),
    ],
)
def test_an_empty_lane_says_so(lane: Lane) -> None:
    said = texts(drawn(lane))
    assert "empty lane" in said
    assert said.count("nothing recorded") == 1


@pytest.mark.parametrize(
    "lane",
    [
        Series("lane", (Point(at(-9), 1),)),
        Log("lane", (Mark(at(-9), "x"),)),
        Spans("lane", (Row("r", (Span(at(-9), at(-8), "x"),)),)),
        Backdrop("lane", (Span(at(-9), at(-8), "x"),)),
    ],
)
def test_a_lane_with_all_of_it_outside_does_not_say_that_nothing_was_recorded(lane: Lane) -> None:
    said = texts(drawn(lane))
    assert "nothing recorded" not in said
    assert said.count("nothing within this time") == 1


NASTY = "<script>alert('x')</script> & \"quoted\" ]]> \x1b[31m\x00\ud800 &amp;"


def test_what_is_given_stays_text() -> None:
    svg = drawn(
        Series(NASTY, (Point(at(1), 1, 1, NASTY),)),
        Events(NASTY, (Mark(at(2), NASTY, NASTY),)),
        Log(NASTY, (Mark(at(2), NASTY, NASTY),)),
        Spans(NASTY, (Row(NASTY, (Span(at(1), at(50), NASTY, NASTY),)),)),
        Backdrop(NASTY, (Span(at(1), at(50), NASTY, NASTY),)),
        title=NASTY,
    )
    shown = "<script>alert('x')</script> & \"quoted\" ]]> \ufffd[31m\ufffd\ufffd &amp;"
    assert title_of(svg) == shown
    assert {each.tag.removeprefix(SVG) for each in svg.iter()} == {
        *("svg", "title", "desc", "g", "rect", "line", "circle", "path", "text"),
    }
    assert not [
        name for each in svg.iter() for name in each.attrib if name.startswith("on") or "href" in name
    ]
    for name in ("loss", "mark", "span", "window"):
        assert all(shown in title_of(each) for each in of_class(svg, name))


def test_nothing_but_what_is_given_is_in_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words are ours, or times and counts, or given; and the module has no way to read anything else."""
    monkeypatch.setenv("TOKEN", "c2VjcmV0")
    svg = drawn(*ALL)
    given = {"A", "rotation", "handshakes", "503", "UF", "UC", "istiod", "proxies", "a", "b", "c"}
    given |= {word for mark in (*STEPS.marks, *LINES.marks) for word in f"{mark.label} {mark.detail}".split()}
    given |= {"aaaaaa", "bbbbbb", "cccccc", "0a" * 17 + "aaaaaa", "expires", "soon"}
    ours = {
        "ok",
        "lost",
        "at",
        "most",
        "in",
        "to",
        "UTC",
        "second",
        "serial",
        "nothing",
        "recorded",
        "\u00d7",
    }
    words = {
        word.strip(",;:")
        for each in svg.iter()
        for text in [(each.text or ""), (each.tail or "")]
        for word in text.split()
    }
    rest = {word for word in words - given - ours if not re.fullmatch(r"[\d:.,-]+(/s)?", word)}
    assert rest == set()
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert imported <= sys.stdlib_module_names
    assert imported.isdisjoint({"os", "pathlib", "io", "socket", "subprocess", "urllib"})
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "open"]


def test_it_is_accessible_and_has_a_background_of_its_own() -> None:
    svg = drawn(*ALL)
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby") == "title desc"
    described = {each.get("id"): each.text or "" for each in svg if each.get("id")}
    assert described["title"] == "A rotation"
    assert described["desc"].splitlines() == [
        "2026-11-24 22:33:00 to 2026-11-24 22:34:00 UTC",
        "handshakes: 598 ok, 2 lost; 2 lost at 22:33:31: 1 \u00d7 503 UC, 1 \u00d7 503 UF",
        "rotation: edited at 22:33:20.000; issued at 22:33:20.900; mounted at 22:33:23.100; "
        "reloaded at 22:33:23.300; served at 22:33:23.900; first workload at 22:33:28.000",
        "istiod: line 0 at 22:33:23.200; line 1 at 22:33:23.220; line 2 at 22:33:23.240; "
        "line 3 at 22:33:23.260; line 4 at 22:33:23.280",
        "proxies: a aaaaaa, bbbbbb; b cccccc; c nothing",
    ]
    paper = svg.find(f"{SVG}rect")
    assert paper is not None
    assert [paper.get(name) for name in ("x", "y", "width", "height", "fill")] == [
        *("0", "0", str(WIDTH), svg.get("height"), "#ffffff"),
    ]
    assert svg.get("viewBox") == f"0 0 {WIDTH} {svg.get('height')}"


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (0, 60, ["22:33:10", "22:33:20", "22:33:30", "22:33:40", "22:33:50"]),
        (0.4, 4, ["22:33:01", "22:33:02", "22:33:03"]),
        (0, 600, ["22:34:00", "22:36:00", "22:38:00", "22:40:00", "22:42:00"]),
        (0, 7200, ["23:00:00", "23:30:00", "00:00:00"]),
    ],
)
def test_ticks_are_round_moments_of_utc(begin: float, end: float, expected: list[str]) -> None:
    svg = drawn(LOAD, begin=begin, end=end)
    (axis,) = of_class(svg, "axis")
    found = texts(axis)
    assert set(expected) <= set(found)
    places = [number(text, "x") for text in axis.iter(f"{SVG}text")]
    assert all(later - earlier >= 75 for earlier, later in pairwise(places))
    for text, place in zip(found, places, strict=True):
        moment = datetime.combine(BEGIN, datetime.strptime(text, "%H:%M:%S").time(), UTC)
        seconds = (moment - BEGIN).total_seconds() % 86400
        assert place == pytest.approx(LEFT + (seconds - begin) / (end - begin) * (RIGHT - LEFT), abs=0.01)


def test_other_zones_are_shown_in_utc() -> None:
    def picture(zone: timezone) -> str:
        begin, moment, end = (at(seconds).astimezone(zone) for seconds in (0, 9, 60))
        lanes = (Events("e", (Mark(moment, "x"),)), Series("s", (Point(moment, 0, 1),)))
        return timeline("T", begin, end, lanes)

    assert picture(timezone(timedelta(hours=2))) == picture(UTC)


def test_equal_records_give_equal_pictures_whatever_their_order() -> None:
    turned = (
        Series(LOAD.name, LOAD.points[::-1]),
        Events(STEPS.name, STEPS.marks[::-1]),
        Log(LINES.name, LINES.marks[::-1]),
        PROXIES,
    )
    assert timeline("T", at(0), at(60), ALL) == timeline("T", at(0), at(60), turned)


@pytest.mark.parametrize("end", [BEGIN, at(-1), datetime(2026, 11, 25)])
def test_a_time_that_is_none_is_refused(end: datetime) -> None:
    with pytest.raises(ValueError):
        timeline("T", BEGIN, end, [])


def test_long_names_fit_their_place_and_stay_in_the_tooltip() -> None:
    name = "istio-system/istio-ingressgateway-5d8f7c6b9-" + "abcde"
    svg = drawn(Spans("proxies", (Row(name, ()),)), title="T" * 5000)
    (row,) = of_class(svg, "row")
    assert title_of(row) == name
    (shown,) = texts(row)
    assert shown.startswith("istio")
    assert shown.endswith("abcde")
    assert "\u2026" in shown
    assert text_width(shown) <= LEFT - 20
    assert max(text_width(text, 16) for text in texts(svg) if text.startswith("TT")) <= WIDTH


def test_requests_are_counted_by_the_second_with_the_empty_ones_in_between() -> None:
    ok = [at(1.1), at(1.9), at(4)]
    lost = [Mark(at(2.5), "timeout"), Mark(at(2.6), "reset"), Mark(at(2.7), "timeout")]
    assert per_second(ok, lost) == (
        Point(at(1), 2),
        Point(at(2), 0, 3, "1 \u00d7 reset, 2 \u00d7 timeout"),
        Point(at(3), 0),
        Point(at(4), 1),
    )
    assert per_second([], [Mark(at(2.5), "timeout")]) == (Point(at(2), 0, 1, "1 \u00d7 timeout"),)
    assert per_second([]) == ()
