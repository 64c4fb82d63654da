"""What a run of sessions is worth. Pure: streams in, figures out.

Definitions:

wer, cer            edits in words, in characters, over all finals in their order, against the lines
eos_to_final        from the sending of the chunk that holds the true last sample of a line to the
                    arrival of the last final that is about it
first_partial       from the sending of the chunk that holds a line's first sample to its first partial
prefix_violations   partials whose committed words are not the first words of their utterance's final (or
                    there is none), or of the partial before
partial_change      words shown in partials that stand elsewhere or not at all in the final, of all shown
turn_cuts           finals about a line beyond its first
lost_finals         lines that no final is about
lost_chunks         chunks that were never acknowledged
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.messages import FinalTranscript, PartialTranscript

from ..gold import GoldLine
from ..score import MIN_SHARE
from ..words import NO_ERRORS, WordErrors, word_errors, words_of
from .streams import Stream


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """One session, or all of a run together."""

    words: WordErrors
    characters: WordErrors
    eos_to_final_ms: tuple[float, ...]
    first_partial_ms: tuple[float, ...]
    prefix_violations: int
    partial_words: int
    changed_words: int
    turn_cuts: int
    lost_finals: int
    lost_chunks: int
    late_finals: int
    """Sent after their deadline, and marked so."""

    @property
    def partial_change(self) -> float | None:
        """None if no partial was shown."""
        return self.changed_words / self.partial_words if self.partial_words else None


def figures_of(stream: Stream) -> StreamFigures:
    """Score one session against its programme."""
    lines = stream.programme.lines
    finals = [final for _, final in stream.finals]
    about = [_about(line, stream.finals) for line in lines]
    said = " ".join(line.text for line in lines)
    heard = " ".join(final.text for final in sorted(finals, key=lambda final: final.first_sample))
    texts = {final.utterance: final.text.split() for final in finals}
    shown = [partial for _, partial in stream.partials]
    return StreamFigures(
        words=word_errors(words_of(said), words_of(heard)),
        characters=word_errors(list("".join(words_of(said))), list("".join(words_of(heard)))),
        eos_to_final_ms=tuple(
            1e3 * (max(found)[0] - stream.heard_at(line.end))
            for line, found in zip(lines, about, strict=True)
            if found
        ),
        first_partial_ms=tuple(ms for line in lines if (ms := _first_partial_ms(line, stream)) is not None),
        prefix_violations=prefix_violations(shown, texts),
        partial_words=sum(len(_words(partial)) for partial in shown),
        changed_words=sum(changed_words(partial, texts) for partial in shown),
        turn_cuts=sum(max(0, len(found) - 1) for found in about),
        lost_finals=sum(1 for found in about if not found),
        lost_chunks=max(0, stream.chunks - stream.acked),
        late_finals=sum(1 for final in finals if final.late_ms > 0),
    )


def together(all_figures: Iterable[StreamFigures]) -> StreamFigures:
    """Of several sessions."""
    every = list(all_figures)
    return StreamFigures(
        words=sum((one.words for one in every), NO_ERRORS),
        characters=sum((one.characters for one in every), NO_ERRORS),
        eos_to_final_ms=tuple(ms for one in every for ms in one.eos_to_final_ms),
        first_partial_ms=tuple(ms for one in every for ms in one.first_partial_ms),
        prefix_violations=sum(one.prefix_violations for one in every),
        partial_words=sum(one.partial_words for one in every),
        changed_words=sum(one.changed_words for one in every),
        turn_cuts=sum(one.turn_cuts for one in every),
        lost_finals=sum(one.lost_finals for one in every),
        lost_chunks=sum(one.lost_chunks for one in every),
        late_finals=sum(one.late_finals for one in every),
    )


def prefix_violations(partials: Sequence[PartialTranscript], finals: dict[int, list[str]]) -> int:
    """Partials whose committed words were taken back, by a later partial or by the final."""
    before: dict[int, list[str]] = {}
    violations = 0
    for partial in partials:
        committed = partial.committed.split()
        earlier = before.get(partial.utterance, [])
        final = finals.get(partial.utterance, [])
        if committed[: len(earlier)] != earlier or final[: len(committed)] != committed:
            violations += 1
        before[partial.utterance] = committed
    return violations


def changed_words(partial: PartialTranscript, finals: dict[int, list[str]]) -> int:
    """Words of a partial that the final does not have in the same place."""
    final = finals.get(partial.utterance, [])
    return sum(1 for n, word in enumerate(_words(partial)) if n >= len(final) or final[n] != word)


def _words(partial: PartialTranscript) -> list[str]:
    return f"{partial.committed} {partial.tentative}".split()


def _about(line: GoldLine, finals: Sequence[tuple[float, FinalTranscript]]) -> list[tuple[float, int]]:
    """(arrival, utterance) of the finals about a line: they overlap a quarter of it, or lie within it."""
    found = []
    for arrived, final in finals:
        start, end = final.first_sample / SAMPLE_RATE, final.end_sample / SAMPLE_RATE
        overlap = min(end, line.end) - max(start, line.start)
        is_within = line.start <= (start + end) / 2 <= line.end
        if overlap > 0 and (overlap >= MIN_SHARE * (line.end - line.start) or is_within):
            found.append((arrived, final.utterance))
    return found


def _first_partial_ms(line: GoldLine, stream: Stream) -> float | None:
    """None if the line ended before any partial was due."""
    for arrived, partial in stream.partials:
        start, end = partial.first_sample / SAMPLE_RATE, partial.end_sample / SAMPLE_RATE
        if start >= line.start - 0.3 and start < line.end and end > line.start:
            return 1e3 * (arrived - stream.heard_at(line.start))
    return None
