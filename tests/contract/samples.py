"""One message of each kind, with every field set, and the golden bytes that stand for it.

`python tests/contract/samples.py` writes the bytes of a kind that has none yet. A change of existing bytes is
a change of the protocol: it needs a new version, so existing files are never overwritten.
"""

from pathlib import Path

from fieldcoach.common import messages as m
from fieldcoach.common.audio import Flag, PcmChunk

GOLDEN = Path(__file__).parent / "golden"

S, W, G, C = "s" * 26, "w" * 26, "i" * 26, "c" * 26  # session, worker, ingest, cue id
T = m.Timing(heard_at=1e12 + 0.5, endpoint_ms=450.0, asr_ms=12.5, decode_ms=40.25, published_at=1e12 + 500)
STAGE = m.StageStatus(id="greet", title="Greet", weight=5, done=True, at_sample=48_000)
WORD = m.Word(text="ten", start_sample=16_000, end_sample=20_000, confidence=0.5)

CHUNKS = {
    "chunk": PcmChunk(S, 1, 2, 1920, 4, Flag.FEC, b"\1\0\2\0\3\0\4\0"),
    "chunk-gap": PcmChunk(S, 2, 3, 1924, 16_000, Flag.GAP, b""),
    "chunk-end": PcmChunk(S, 2, 4, 17_924, 0, Flag.END, b""),
}

MESSAGES: list[m.Message] = [
    m.WorkerHeartbeat(
        worker=W,
        slots=8,
        used=3,
        real_time_factor=0.25,
        lag_ms=4.5,
        draining=True,
        bye=True,
        engine="whisper",
        model="outlet-en",
        languages=("en", "hi"),
    ),
    m.ClaimRequest(
        session=S,
        epoch=2,
        from_seq=7,
        ingest=G,
        languages=("en", "hi-Latn"),
        resumes=1,
        playbook="outlet-en",
    ),
    m.ClaimReply(accepted=False, reason="full", next_seq=9),
    m.AckBatch(worker=W, acks=(m.Ack(session=S, epoch=2, seq=41, next_seq=44),)),
    m.BackfillAudio(
        session=S,
        range=2,
        first_sample=8_000,
        hole_first_sample=16_000,
        hole_end_sample=24_000,
        late_ms=9_000.5,
        piece=1,
        pieces=2,
        pcm=b"\1\0\2\0",
    ),
    m.BackfillReply(accepted=False, reason="unclaimed"),
    m.IngestHeartbeat(ingest=G, sessions=2, capacity=400, asr_slots_free=9, draining=True),
    m.SignalRequest(
        action="restart",
        session=S,
        languages=("en",),
        playbook="outlet-en",
        sdp="a=ice-ufrag:x\r\n",
        resource="r1",
        etag="e1",
        resumes=True,
    ),
    m.SignalReply(
        sdp="v=0\r\n",
        etag="e1",
        problem=m.Problem(
            type="bad-sdp", title="t", status=400, detail="d", field="sdp", fix="f", retry_after_s=2
        ),
    ),
    m.OpusFrames(
        session=S,
        source=C,
        purpose="backfill",
        packets=(m.OpusPacket(sequence=65_535, timestamp=4_294_967_295, payload=b"\x48\1"),),
        last=True,
    ),
    m.BackfillPackets(session=S, records=b"\0\0\0\2\0\0\1\0\0\3abc"),
    m.PartialTranscript(
        session=S,
        epoch=1,
        utterance=3,
        n=4,
        first_sample=100,
        end_sample=900,
        committed="ten",
        tentative="boxes",
        language="en",
    ),
    m.FinalTranscript(
        session=S,
        epoch=1,
        utterance=3,
        n=1_763_800_000_000,
        first_sample=100,
        end_sample=900,
        text="ten boxes",
        words=(WORD,),
        language="en",
        speaker="rep",
        confidence=0.75,
        low_confidence=True,
        doubts=(m.DoubtfulSpan(first_sample=300, end_sample=500, reason="concealed"),),
        concealed_ms=60.0,
        late_ms=5.0,
        backfill=True,
        engine="whisper",
        model="outlet-en",
        timing=T,
    ),
    m.Cue(
        session=S,
        n=5,
        id=C,
        cue="obj_no_space",
        objection="no_space",
        title="No space?",
        text="Offer a strip",
        severity="warn",
        haptic="long",
        ttl_ms=8000,
        expires_at=1e12,
        source="llm",
        trigger_n=4,
        trigger_end_sample=900,
        trigger_timing=T,
        coach_ms=1.5,
    ),
    m.Checklist(session=S, n=6, stages=(STAGE,)),
    m.VisitMetrics(
        session=S,
        n=7,
        speech_s=1.5,
        words=3,
        questions=1,
        stage_coverage=0.5,
        cues_shown=1,
        order_lines=2,
        talk_share=0.5,
        talk_share_120s=0.6,
        longest_monologue_s=12.5,
        pace_wpm=140.0,
        pace_ratio=1.25,
        must_sell_coverage=0.5,
        schemes_told=1,
    ),
    m.Summary(
        session=S,
        n=8,
        score=85,
        stages=(STAGE,),
        objections=(m.ObjectionRaised(id="no_space", at_sample=5),),
        orders=(m.OrderLine(sku="noodles", qty=2, unit="cartons"),),
        tips=("Ask",),
        text="Good",
        source="llm",
        duration_s=55.5,
        playbook="outlet-en",
        playbook_version=1,
        promises=(m.VisitNote(id="bring", title="Bring it", at_sample=5, text="I will bring it"),),
        claims=(m.VisitNote(id="damaged", title="Damaged", at_sample=6),),
    ),
    m.SessionCreated(
        session=S, n=1, ingest=G, playbook="outlet-en", level="novice", languages=("en",), created_at=1e12
    ),
    m.SessionMoved(session=S, n=2, ingest=G),
    m.SessionState(session=S, n=2, state="suspended", reason="no-media", degraded="no-asr", sample=16_000),
    m.MediaProfile(
        session=S, n=3, command=7, rung="L2", max_bitrate=12_000, ptime_ms=60, fec=False, dtx=True, nack=True
    ),
    m.ProfileApplied(
        session=S,
        n=4,
        command=7,
        rung="L2",
        stats=m.SenderStats(
            rtt_ms=310.5, packets_sent=700, bytes_sent=63_000, header_bytes_sent=8_400, retransmitted=3
        ),
    ),
    m.Gap(session=S, n=4, first_sample=10, n_samples=4_800, reason="lost"),
    m.MissingAudio(
        session=S,
        n=5,
        ranges=(
            m.MissingRange(
                range=2,
                first_sample=16_000,
                end_sample=24_000,
                ssrc=4_000_000_000,
                first_timestamp=4_294_967_000,
                last_timestamp=23_704,
            ),
        ),
    ),
    m.CueAggregate(
        coach=C,
        since=1e12,
        at=2e12,
        cues=(m.CueCounts(playbook="outlet-en", cue="obj_no_space", fired=2, acted=1),),
    ),
    m.CueAcknowledged(session=S, n=5, id=C, action="shown", at=1e12),
    m.StageTicked(session=S, n=8, stage="stock_check", done=False),
    m.SessionEnding(session=S, n=6, reason="user"),
    m.TranscriptComplete(session=S, n=7, epoch=1, end_sample=16_000),
]

BYTES = {name: chunk.encode() for name, chunk in CHUNKS.items()} | {
    type(message).model_fields["kind"].default: message.encode() for message in MESSAGES
}


def golden(name: str) -> Path:
    """Where the bytes of a kind are kept, as hexadecimal text."""
    return GOLDEN / f"{name}.hex"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, data in BYTES.items():
        if not golden(name).exists():
            golden(name).write_text(data.hex() + "\n")
