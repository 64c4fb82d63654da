"""Which words of a stretch that is heard again are new: examples, and what holds for any of them."""

from hypothesis import given
from hypothesis import strategies as st

from fieldcoach.asr.engines.base import HeardWord
from fieldcoach.asr.said import placed
from fieldcoach.asr.unsaid import REACH, New, Said, middle, unsaid

S = 16_000


def at(text: str, first_s: float, end_s: float) -> list[HeardWord]:
    """The words spread over these seconds."""
    return list(placed(text, (), round(first_s * S), round(end_s * S)))


def apart(words: list[HeardWord]) -> list[Said]:
    """Each an utterance of its own."""
    return [Said(word, number) for number, word in enumerate(words)]


def together(words: list[HeardWord]) -> list[Said]:
    """One utterance."""
    return [Said(word, 1) for word in words]


def texts(found: list[list[New]]) -> list[str]:
    return [" ".join(new.word.text for new in words) for words in found]


def news(heard: list[HeardWord], said: list[HeardWord], first_s: float, end_s: float) -> list[str]:
    return texts(unsaid(heard, apart(said), round(first_s * S), round(end_s * S)))


def test_words_at_the_edges_are_not_said_twice() -> None:
    said = at("please send me ten", 0, 2) + at("on friday morning", 5, 7)
    heard = at("send me ten boxes of cola on friday", 0.3, 6.2)
    assert news(heard, said, 2, 5) == ["boxes of cola"]


def test_what_the_decoder_has_guessed_right_over_a_short_hole_is_not_new() -> None:
    line = at("shall i write ten packets of soap", 10, 13)
    shifted = [HeardWord(one.text, one.start + 6_000, one.end + 6_000, 1) for one in line]
    assert news(line, shifted, 11, 11.4) == []


def test_what_was_heard_otherwise_stays_as_it_was_said() -> None:
    said = at("i still have four trays left", 10, 12)
    assert news(at("i still have four boxes left", 10, 12), said, 11, 12) == []


def test_a_repeated_word_goes_by_time() -> None:
    said = at("three", 10, 10.4)
    heard = at("three three", 9.2, 10.4)
    assert news(heard, said, 9.0, 9.8) == ["three"]
    (found,) = unsaid(heard, apart(said), 9 * S, round(9.8 * S))
    assert [new.number for new in found] == [0]


def test_the_same_word_far_away_is_another_one() -> None:
    assert news(at("ten", 13, 13.3), at("ten", 10, 10.3), 12.5, 13.5) == ["ten"]


def test_case_and_punctuation_make_no_other_word_and_signs_are_none() -> None:
    assert news(at("Okay, ten .", 10, 11), at("okay ten", 10, 11), 9, 12) == []


def test_only_words_at_the_hole_are_new() -> None:
    heard = at("a b c d", 10, 14)  # middles at 10.5, 11.5, 12.5, 13.5
    assert news(heard, [], 11.4, 12.4) == ["b c"]


def test_new_words_lie_between_their_neighbours() -> None:
    said = at("left right", 10, 11)
    (found,) = unsaid(at("left middle right", 11, 12), together(said), 10 * S, 12 * S)
    ((number, word),) = found
    assert (number, word.text) == (1, "middle")
    assert said[0].start < word.start < word.end <= said[1].start


def test_in_two_places_in_two_parts() -> None:
    said = at("b", 11, 12)
    assert news(at("a b c", 10, 13), said, 10, 13) == ["a", "c"]


def test_inside_an_utterance_only_between_words_heard_alike() -> None:
    said = together(at("the cream near the counter", 10, 12))
    alike = at("the cream biscuits near the counter", 10, 12)
    assert texts(unsaid(alike, said, 10 * S, 12 * S)) == ["biscuits"]
    guessed = together(at("the green near the counter", 10, 12))
    assert texts(unsaid(alike, guessed, 10 * S, 12 * S)) == []
    beginning = at("so the cream near the counter", 10, 12)
    assert texts(unsaid(beginning, said, 9 * S, 12 * S)) == ["so"], "before the utterance"


WORDS = st.lists(st.sampled_from(["ek", "do", "teen", "char", "ten", "ten"]), max_size=24)
OFFSETS = st.lists(st.integers(-REACH // 2, REACH // 2), min_size=24, max_size=24)


def paced(words: list[str], offsets: list[int]) -> list[HeardWord]:
    """Two words a second, whose times are off."""
    places = [(S + n * S // 2 + off, word) for n, (word, off) in enumerate(zip(words, offsets, strict=False))]
    return [HeardWord(word, start, start + S // 4, 1.0) for start, word in places]


@given(WORDS, OFFSETS, st.data())
def test_nothing_that_was_said_is_ever_new(words: list[str], offsets: list[int], data: st.DataObject) -> None:
    said = paced(words, [0] * 24)
    first = data.draw(st.integers(0, len(words)))
    heard = paced(words, offsets)[first : data.draw(st.integers(first, len(words)))]
    assert unsaid(heard, apart(said), 0, 20 * S) == []
    assert unsaid(heard, together(said), 0, 20 * S) == []


@given(st.integers(1, 24), OFFSETS, st.data())
def test_a_hole_is_filled_with_what_was_in_it(n: int, offsets: list[int], data: st.DataObject) -> None:
    spoken = paced([f"{number:b}x" for number in range(n)], [0] * 24)
    first = data.draw(st.integers(0, n))
    end = data.draw(st.integers(first, n))
    said = spoken[:first] + spoken[end:]
    heard = paced([word.text for word in spoken], offsets)
    found = unsaid(
        heard, data.draw(st.sampled_from((apart, together)))(said), S + first * S // 2, S + end * S // 2
    )
    assert [word.text for word in merged(said, found)] == [word.text for word in spoken]


@given(WORDS, OFFSETS, WORDS, OFFSETS, st.integers(0, 10 * S), st.integers(0, 10 * S), st.booleans())
def test_order_is_kept_and_nothing_is_removed(
    words: list[str],
    offsets: list[int],
    others: list[str],
    off: list[int],
    one: int,
    other: int,
    is_one: bool,
) -> None:
    heard, said = paced(words, offsets), paced(others, [value // 3 for value in off])
    first, end = sorted((one, other))
    found = unsaid(heard, together(said) if is_one else apart(said), first, end)
    numbers = [new.number for part in found for new in part]
    assert numbers == sorted(set(numbers))
    assert all(first - REACH <= middle(heard[number]) < end + REACH for number in numbers)
    assert [new.word.text for part in found for new in part] == [heard[number].text for number in numbers]
    whole = merged(said, found)
    assert [word for word in whole if word in said] == said
    fresh = [new.word for part in found for new in part]
    assert [word for word in whole if word not in said] == fresh


def merged(said: list[HeardWord], found: list[list[New]]) -> list[HeardWord]:
    """As a reader merges, by time."""
    return sorted([*said, *(new.word for part in found for new in part)], key=lambda word: word.start)
