"""Playbook files: what is wrong is told with line, field and fix."""

from datetime import date
from pathlib import Path

import pytest

from fieldcoach.coach.errors import PlaybookInvalid
from fieldcoach.coach.lint import lint
from fieldcoach.coach.playbook import Playbook, Scheme, Vocabulary
from fieldcoach.coach.playbook_file import MAX_BYTES, load_playbook, parse_playbook
from fieldcoach.coach.playbook_shelf import PlaybookShelf

ROOT = Path(__file__).parents[3]
GOOD = """\
schema: coach.playbook/1
id: small
version: 3
vocabulary:
  skus:
    - {id: tea, scheme: S1, unit: boxes}
  schemes:
    - {id: S1}
  units: [{id: boxes}]
stages:
  - id: greet
    weight: 40
    any_of: [{phrases: [good morning]}]
  - id: scheme
    weight: 60
    any_of: [{slot: scheme}]
objections:
  - id: no_space
    any_of: [{phrases: [no space]}]
    cue: obj_no_space
cues:
  - id: obj_no_space
    on: {objection: no_space}
    priority: 90
    text: {en: Offer a strip}
    llm: {mode: off}
forbidden_claims: [guaranteed sale]
"""


def flaws(text: str) -> str:
    with pytest.raises(PlaybookInvalid) as caught:
        parse_playbook(text.encode(), "p.yaml")
    return str(caught.value)


def test_a_good_one() -> None:
    playbook = parse_playbook(GOOD.encode(), "p.yaml").playbook
    assert (playbook.id, playbook.version, playbook.cues[0].llm.mode) == ("small", 3, "off")
    assert (playbook.limits.min_gap_s, playbook.limits.max_per_min, playbook.limits.ttl_s) == (20, 1, 8)
    assert (playbook.limits.max_per_visit, playbook.limits.quiet_first_s, playbook.limits.text_max) == (
        6,
        15,
        60,
    )
    assert playbook.limits.urgent.quiet_first_s == 0
    with pytest.raises(ValueError, match="frozen"):
        playbook.version = 4  # type: ignore[misc] # that is the test


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("version: 3", "versoin: 3", "p.yaml:3: versoin: unknown key 'versoin'. Fix: did you mean 'version'"),
        ("version: 3", "", "version: 'version' is missing. Fix: add it"),
        ("version: 3", "version: three", "p.yaml:3: version: 'three' does not fit"),
        (
            "priority: 90",
            "prio: 90",
            "p.yaml:24: cues[0].prio: unknown key 'prio'. Fix: did you mean 'priority'",
        ),
        ("priority: 90", "zzz: 1", "cues[0].zzz: unknown key 'zzz'. Fix: remove it, or use one of id, on,"),
        ("weight: 60", "weight: 50", "p.yaml:10: stages: the weights sum to 90, not 100"),
        (
            "cue: obj_no_space",
            "cue: obj_no_spice",
            "p.yaml:20: objections[0].cue: there is no cue 'obj_no_spice'. Fix: did you mean 'obj_no_space'?",
        ),
        (
            "on: {objection: no_space}",
            "on: {objection: nospace}",
            "cues[0].on.objection: there is no objection",
        ),
        ("on: {objection: no_space}", "on: {stage_open: greet}", "objections[0].cue: that cue is not `on:"),
        (
            "on: {objection: no_space}",
            "on: {stage_open: zzz}",
            "there is no stage 'zzz'. Fix: use one of greet",
        ),
        ("on: {objection: no_space}", "on: {objection: no_space, for_s: 3}", "belong to stage_open"),
        ("on: {objection: no_space}", "on: {}", "give either objection or stage_open"),
        (
            "- id: scheme",
            "- id: greet",
            "p.yaml:14: stages[1].id: 'greet' is there twice. Fix: give each its own",
        ),
        (
            "{id: tea, scheme: S1",
            "{id: tea, scheme: S2",
            "p.yaml:6: vocabulary.skus[0].scheme: there is no scheme",
        ),
        ("unit: boxes}", "unit: crates}", "vocabulary.skus[0].unit: there is no unit 'crates'"),
        (
            "[no space]",
            "[space]",
            "p.yaml:19: objections[0].any_of[0].phrases[0]: 'space' can match a single word",
        ),
        (
            "[no space]",
            "['no (space']",
            "objections[0].any_of[0].phrases[0]: can't be used so. Fix: '(' without",
        ),
        ("[{phrases: [no space]}]", "[{}]", "give either phrases or a slot"),
        ("[{phrases: [no space]}]", "[{slot: sku, phrases: [a b]}]", "give either phrases or a slot"),
        ("[{slot: scheme}]", "[{slot: scheme, where: must_sell}]", "`where` needs `slot: sku`"),
        ("[{phrases: [no space]}]", "[]", "objections[0]: 'no_space' can never be heard"),
        ("any_of: [{slot: scheme}]", "none_of: [{slot: scheme}]", "stages[1]: 'scheme' can never be done"),
        (
            "Offer a strip",
            "x" * 61,
            "p.yaml:25: cues[0].text.en: 61 characters, more than text_max 60. Fix: shorten",
        ),
        ("Offer a strip", "'Offer it at {price}'", "a rule's text has no slot {price}"),
        ("Offer a strip", "A guaranteed sale", "it makes the forbidden claim 'guaranteed sale'"),
        ("text: {en: Offer a strip}", "text: {hi: x}", "cues[0].text: no text in 'en', a supported language"),
        ("{mode: off}", "{mode: fill}", "mode fill needs slots, and a text with them"),
        (
            "{mode: off}",
            "{mode: fill, slots: [sku], text: {en: 'Offer {unit}'}}",
            "{unit} is not among llm.slots",
        ),
        (
            "{mode: off}",
            "{mode: fill, slots: [sku], text: {en: '" + "y" * 58 + "{sku}'}}",
            "up to 61 characters",
        ),
        ("id: obj_no_space", "id: Obj", "cues[0].id: String should match pattern"),
        (
            "version: 3",
            "version: 3\nversion: 4",
            "p.yaml:4: version: the key is there twice (line 3). Fix: keep one",
        ),
        ("version: 3", "version: [3", "YAML: "),
    ],
)
def test_a_bad_one_names_line_field_and_fix(old: str, new: str, told: str) -> None:
    assert old in GOOD
    assert told in flaws(GOOD.replace(old, new, 1))


def test_every_flaw_is_told_at_once() -> None:
    text = flaws(GOOD.replace("weight: 60", "weight: 50").replace("[no space]", "[space]"))
    assert len(text.splitlines()) == 2


def test_a_phrase_of_two_objections() -> None:
    other = "  - {id: other, any_of: [{phrases: [no space]}]}\ncues:"
    assert "'no space' is also a phrase of 'no_space'" in flaws(GOOD.replace("cues:", other, 1))


def test_single_words_where_they_are_meant() -> None:
    parse_playbook(GOOD.replace("phrases: [no space]", "phrases: [full], one_word: true").encode(), "p")
    none_of = "any_of: [{phrases: [no space]}]\n    none_of: [{phrases: [cricket]}]"
    parse_playbook(GOOD.replace("any_of: [{phrases: [no space]}]", none_of).encode(), "p")


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "not a playbook"),
        (b"- 1\n", "not a playbook"),
        (b"\x00\xff", "YAML"),
        (b"a: " + b"x" * MAX_BYTES, "longer than"),
        (
            b"a: &a ["
            + b"x," * 9
            + b"]\n"
            + b"".join(
                b"k%d: &k%d [%s]\n" % (i, i, b",".join([b"*" + (b"k%d" % (i - 1) if i else b"a")] * 9))
                for i in range(7)
            ),
            "too many entries",
        ),
        (b"[" * 3_000, "nested too deeply"),
        (b"a: &a [*a]\n", "Fix:"),
    ],
)
def test_what_is_no_playbook(raw: bytes, told: str) -> None:
    with pytest.raises(PlaybookInvalid, match=told):
        parse_playbook(raw, "p.yaml")


def test_a_scheme_that_ended_is_a_warning() -> None:
    vocabulary = Vocabulary(schemes=(Scheme(id="S1", valid=date(2026, 1, 1)),))
    playbook = Playbook(schema_="coach.playbook/1", id="p", version=1, vocabulary=vocabulary)
    assert not list(lint(playbook, date(2026, 1, 1)))
    ((path, what, _, is_error),) = lint(playbook, date(2026, 1, 2))
    assert (path[-1], is_error) == ("valid", False)
    assert "ended on 2026-01-01" in what
    loaded = parse_playbook(GOOD.replace("{id: S1}", "{id: S1, valid: 2020-01-01}").encode(), "p.yaml")
    assert loaded.warnings[0].at("p.yaml").startswith("p.yaml:8: warning: vocabulary.schemes[0].valid")


def test_the_shelf_keeps_the_good_and_tells_the_bad(tmp_path: Path) -> None:
    assert "PLAYBOOKS_DIR" in PlaybookShelf.read(tmp_path / "away").flaws[0]
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD.replace("{id: S1}", "{id: S1, valid: 2020-01-01}"))
    (tmp_path / "c.yaml").write_text("nonsense")
    shelf = PlaybookShelf(tmp_path)
    assert [change.kind for change in shelf.refresh()] == ["loaded", "rejected", "rejected"]
    assert len(shelf) == 1
    found = shelf.find("small")
    assert found is not None
    assert found.playbook.version == 3
    assert shelf.find("else") is None
    assert len(shelf.flaws) == 2
    assert "another file has the playbook 'small'" in shelf.flaws[0]
    with pytest.raises(PlaybookInvalid, match="No such file"):
        load_playbook(tmp_path / "d.yaml")


def test_a_changed_file_is_read_again_and_a_bad_one_leaves_the_last_good_version(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(GOOD)
    shelf = PlaybookShelf.read(tmp_path)
    pinned = shelf.find("small")
    assert not shelf.has_changed()
    file.write_text(GOOD.replace("version: 3", "versoin: 4"))
    assert shelf.has_changed()
    (change,) = shelf.refresh()
    assert (change.kind, change.detail) == ("kept-last-good", "\n".join(shelf.flaws))
    assert f"{file}:3: versoin: unknown key 'versoin'" in change.detail
    assert shelf.find("small") is pinned
    file.write_text(GOOD.replace("version: 3", "version: 44"))
    assert [change.kind for change in shelf.refresh()] == ["reloaded"]
    now = shelf.find("small")
    assert now is not None
    assert pinned is not None
    assert (now.playbook.version, pinned.playbook.version, shelf.flaws) == (44, 3, [])
    file.write_text(GOOD.replace("version: 3", "version: 44").replace("Offer a strip", "Offer a tray"))
    assert "changed without a new version" in shelf.refresh()[1].detail


def test_a_file_that_is_gone_frees_its_id(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(GOOD)
    shelf = PlaybookShelf.read(tmp_path)
    assert len(shelf.flaws) == 1
    (tmp_path / "a.yaml").unlink()
    assert [change.kind for change in shelf.refresh()] == ["removed", "loaded"]
    assert not shelf.flaws
    (tmp_path / "b.yaml").unlink()
    shelf.refresh()
    assert shelf.find("small") is None
    assert "PLAYBOOKS_DIR" in shelf.flaws[0]


def test_the_playbook_that_comes_with_us() -> None:
    loaded = load_playbook(ROOT / "playbooks/outlet-en.yaml")
    assert not loaded.warnings
    playbook = loaded.playbook
    assert [stage.id for stage in playbook.stages] == [
        "greet",
        "claims",
        "stock_check",
        "merchandise",
        "must_sell",
        "scheme",
        "collect",
        "confirm_order",
        "thanks",
    ]
    assert {objection.id for objection in playbook.objections} == {
        "no_space",
        "slow_mover",
        "price_margin",
        "credit",
        "competitor",
        "damaged_expired",
        "enough_stock",
    }
    assert all(len(cue.text["en"]) <= 60 for cue in playbook.cues)
