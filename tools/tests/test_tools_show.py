"""What a person sees: the board, plain lines, the live screen, the reports."""

import io
from typing import Any

import pytest
from rich.console import Console

from fieldcoach.tools.commands.progress import StartProgress
from fieldcoach.tools.phone.stages import StageRow
from fieldcoach.tools.show.board import Board, Stage
from fieldcoach.tools.show.live import LiveView
from fieldcoach.tools.show.plain import PlainView
from fieldcoach.tools.show.report import print_stages, print_summary

SESSION = {
    "session_id": "s",
    "asr": {"engine": "whisper", "model": "outlet-en"},
    "profile": {"rung": "L1", "max_bitrate": 16_000, "ptime_ms": 40},
}
STAGES = [{"id": "greet", "title": "Greet", "done": True}, {"id": "thanks", "title": "Thank", "done": False}]
EVENTS: list[dict[str, Any]] = [
    {"type": "state", "state": "live", "reason": "", "degraded": None},
    {"type": "partial", "committed": "there is", "tentative": " no pace"},
    {"type": "partial", "committed": "there is", "tentative": " no pace"},
    {"type": "final", "start": 1.0, "end": 2.0, "text": "there is no space"},
    {"type": "cue", "title": "No space?", "text": "Offer a counter strip", "ttl_ms": 8_000},
    {"type": "checklist", "stages": STAGES},
    {"type": "checklist", "stages": STAGES},
    {"type": "profile", "rung": "L2", "max_bitrate": 12_000, "ptime_ms": 60},
    {"type": "gap", "start": 3.0, "duration": 0.5},
    {"type": "state", "state": "live", "degraded": "every recogniser is full"},
    {"type": "error", "detail": "action: unknown"},
    {"type": "pong"},
]


def screen(width: int = 100) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=width, height=30, color_system=None), out


def test_plain_lines_say_each_thing_once_without_control_characters() -> None:
    lines: list[str] = []
    view = PlainView(lines.append)
    view.session(SESSION)
    view.audio_started(100.0)
    for place, event in enumerate(EVENTS):
        view.event(event, 100.0 + place)
    assert lines == [
        "session s; recogniser whisper / outlet-en; L1: 16 kbit/s, 40 ms a packet",
        "   0.00  audio    the first sample is on its way",
        "   0.00  state    live",
        "   1.00  ...      there is [no pace]",
        "   3.00  heard    there is no space",
        "   4.00  CUE      No space? Offer a counter strip",
        "   5.00  done     Greet",
        "   7.00  profile  L2: 12 kbit/s, 60 ms a packet",
        "   8.00  gap      0.50 s of audio never came",
        "   9.00  state    live (every recogniser is full)",
        "  10.00  error    action: unknown",
    ]
    assert "\x1b" not in "".join(lines)


def test_before_the_first_sample_there_is_no_time() -> None:
    lines: list[str] = []
    PlainView(lines.append).event({"type": "state", "state": "created", "reason": "asked"}, 5.0)
    assert lines == ["      -  state    created (asked)"]


def test_the_board_follows_the_events() -> None:
    board = Board()
    board.session(SESSION)
    for event in EVENTS[:3]:
        board.event(event, 10.0)
    assert (board.committed, board.tentative) == ("there is", " no pace")
    for event in EVENTS[3:]:
        board.event(event, 10.0)
    assert list(board.finals) == [(1.0, "there is no space")]
    assert (board.committed, board.tentative) == ("", "")
    assert board.stages == [Stage("Greet", True), Stage("Thank", False)]
    assert board.cue_is_shown(17.9)
    assert not board.cue_is_shown(18.0)
    assert (board.gaps_s, board.degraded) == (0.5, "every recogniser is full")
    board.event({"type": "summary", "checklist": [{"id": "x", "done": True}]}, 20.0)
    assert board.stages == [Stage("x", True)]


def test_the_live_screen_shows_transcript_card_checklist_and_link() -> None:
    console, out = screen(width=140)
    now = 100.0
    view = LiveView(console, "a-visit", 50.0, clock=lambda: now)
    view.session(SESSION)
    view.audio_started(90.0)
    console.print(view.render())
    assert "listening" in out.getvalue()
    for event in [*EVENTS, {"type": "partial", "committed": "and the", "tentative": "shelf"}]:
        view.event(event, now)
    console.print(view.render())
    shown = out.getvalue()
    for text in (
        "there is no space",
        "and the shelf",
        "No space?",
        "Offer a counter strip",
        "✓ Greet",
        "· Thank",
        "L2: 12 kbit/s",
        "10.0 / 50 s",
        "degraded: every recogniser is full",
        "gaps 0.5 s",
    ):
        assert text in shown


def test_the_live_screen_runs_as_a_context_manager() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, height=20, force_terminal=True, color_system=None)
    with LiveView(console, "a-visit", 1.0) as view:
        view.session(SESSION)
    assert "a-visit" in out.getvalue()


def test_the_summary_names_what_was_done_and_ordered() -> None:
    console, out = screen()
    print_summary(
        console,
        {
            "score": 55,
            "stages": ["greet"],
            "checklist": STAGES,
            "objections": ["no_space"],
            "orders": [
                {"sku": "noodles", "qty": 2, "unit": "cartons"},
                {"sku": "cola", "qty": 6, "unit": "cases"},
            ],
            "tips": ["Thank the shopkeeper"],
        },
    )
    assert out.getvalue().splitlines() == [
        "",
        "Summary: score 55 of 100",
        "  done        Greet",
        "  left out    Thank",
        "  objections  no space",
        "  order       2 cartons of noodles",
        "              6 cases of cola",
        "  tip         Thank the shopkeeper",
    ]


def test_an_empty_summary_says_so() -> None:
    console, out = screen()
    print_summary(console, {})
    assert "done        nothing" in out.getvalue()
    assert "objections  none" in out.getvalue()
    assert "order       none" in out.getvalue()


def test_the_table_of_stages() -> None:
    console, out = screen()
    print_stages(
        console, [StageRow("uplink", 90.4, 120.0), StageRow("end of speech → final", 600, 700)], 3, 1
    )
    shown = out.getvalue()
    assert "Where the time went (3 finals, 1 cues)" in shown
    assert "uplink" in shown
    assert "90" in shown
    print_stages(console, [], 0, 0)
    assert "no table" in out.getvalue()


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_is_told_when_it_changes(is_terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=is_terminal, color_system=None)
    with StartProgress(console) as progress:
        progress.waiting({"asr": "downloading the model: 40 %"})
        progress.waiting({"asr": "downloading the model: 40 %"})
        progress.waiting({})
    if not is_terminal:
        assert out.getvalue() == "  waiting for asr: downloading the model: 40 %\n"
