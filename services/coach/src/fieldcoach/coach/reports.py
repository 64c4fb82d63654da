"""What the coach tells the phone, built from the engine's state. Pure: numbers and times are given."""

from collections.abc import Sequence

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    Cue,
    FinalTranscript,
    ObjectionRaised,
    OrderLine,
    StageStatus,
    Summary,
    VisitMetrics,
    VisitNote,
)
from fieldcoach.common.messages.coaching import MAX_NOTE_TEXT

from .engine import Conclusion, VisitEngine
from .figures import WINDOW_S, Figures
from .notes import NoteMark
from .playbook import Note
from .policy import Candidate
from .prompt import SummaryAnswer


def cue_message(
    engine: VisitEngine,
    candidate: Candidate,
    language: str,
    llm_text: str | None,
    *,
    session: str,
    n: int,
    now: float,
    final: FinalTranscript | None,
    received_at: float | None,
) -> Cue:
    """A cue that goes out at `now` (seconds since 1970), fired by `final` where one did."""
    playbook = engine.playbook
    rule = next(cue for cue in playbook.cues if cue.id == candidate.cue)
    ttl_ms = round((rule.ttl_s or playbook.limits.ttl_s) * 1e3)
    return Cue(
        session=session,
        n=n,
        id=new_id(),
        cue=rule.id,
        objection=candidate.objection,
        title=playbook.say(rule.title, language),
        text=llm_text or engine.text_of_cue(rule) or "",
        severity=rule.severity,
        haptic=rule.haptic,
        ttl_ms=ttl_ms,
        expires_at=now * 1e3 + ttl_ms,
        source="llm" if llm_text else "rule",
        trigger_n=candidate.trigger_n,
        trigger_end_sample=final.end_sample if final else None,
        trigger_timing=final.timing if final else None,
        coach_ms=max(0.0, (now - received_at) * 1e3) if received_at is not None else 0.0,
    )


def stage_statuses(engine: VisitEngine, language: str) -> tuple[StageStatus, ...]:
    """The checklist in the playbook's order."""
    playbook, done = engine.playbook, engine.stages
    return tuple(
        StageStatus(
            id=stage.id,
            title=playbook.say(stage.title, language) or stage.id,
            weight=stage.weight,
            done=stage.id in done,
            at_sample=round(done[stage.id].at_s * SAMPLE_RATE) if stage.id in done else None,
        )
        for stage in playbook.stages
    )


def metrics_message(engine: VisitEngine, *, session: str, n: int) -> VisitMetrics:
    """Figures of the visit so far; `stage_coverage` is the share of the weights done (0 to 1)."""
    figures, stages = engine.figures, engine.playbook.stages
    weight = sum(stage.weight for stage in stages)
    return VisitMetrics(
        session=session,
        n=n,
        speech_s=round(figures.speech_s, 2),
        words=figures.words,
        questions=figures.questions,
        stage_coverage=sum(s.weight for s in stages if s.id in engine.done) / weight if weight else 0.0,
        cues_shown=engine.cues_shown,
        order_lines=len(engine.orders),
        must_sell_coverage=engine.must_sell_coverage,
        schemes_told=engine.schemes_told,
        **(_figures_of_speakers(figures) if figures.is_sure else {}),
    )


def _figures_of_speakers(figures: Figures) -> dict[str, float | None]:
    values = {
        "talk_share": figures.talk_share(),
        "talk_share_120s": figures.talk_share(WINDOW_S),
        "longest_monologue_s": figures.longest_monologue_s(),
        "pace_wpm": figures.pace_wpm(),
        "pace_ratio": figures.pace_ratio(),
    }
    return {name: None if value is None else round(value, 3) for name, value in values.items()}


def summary_message(
    engine: VisitEngine,
    facts: Conclusion,
    answer: SummaryAnswer | None,
    language: str,
    *,
    session: str,
    n: int,
    duration_s: float,
) -> Summary:
    """The end of the visit: facts by the rules, sentences and tips by the model if it gave any."""
    playbook = engine.playbook
    return Summary(
        session=session,
        n=n,
        score=facts.score,
        stages=stage_statuses(engine, language),
        objections=tuple(
            ObjectionRaised(id=mark.id, at_sample=round(mark.at_s * SAMPLE_RATE)) for mark in facts.objections
        ),
        orders=tuple(OrderLine(sku=line.sku, qty=line.qty, unit=line.unit) for line in facts.orders),
        tips=answer.tips if answer else facts.tips,
        text=answer.text if answer else facts.text,
        source="llm" if answer else "rules",
        duration_s=round(duration_s, 2),
        playbook=playbook.id,
        playbook_version=playbook.version,
        promises=_notes(engine, playbook.summary.promises, facts.promises, language),
        claims=_notes(engine, playbook.summary.claims, facts.claims, language),
    )


def _notes(
    engine: VisitEngine, notes: Sequence[Note], marks: Sequence[NoteMark], language: str
) -> tuple[VisitNote, ...]:
    titles = {note.id: engine.playbook.say(note.title, language) for note in notes}
    return tuple(
        VisitNote(
            id=mark.id,
            title=titles[mark.id] or mark.id,
            at_sample=round(mark.at_s * SAMPLE_RATE),
            text=mark.text[:MAX_NOTE_TEXT],
        )
        for mark in marks
    )
