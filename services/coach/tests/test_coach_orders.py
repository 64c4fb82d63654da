"""The order as it grows over several utterances."""

from pathlib import Path

import pytest

from fieldcoach.coach.engine import Heard, VisitEngine
from fieldcoach.coach.playbook_file import load_playbook
from fieldcoach.coach.rules import CompiledPlaybook

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def rules() -> CompiledPlaybook:
    return CompiledPlaybook(load_playbook(ROOT / "playbooks/outlet-en.yaml").playbook)


def order_after(rules: CompiledPlaybook, *lines: str, pause_s: float = 2.0) -> tuple[str, ...]:
    """The order after the lines, each two seconds long, with that pause between them."""
    engine, at = VisitEngine(rules), 0.0
    for number, text in enumerate(lines):
        engine.heard(Heard(number, at, at + 2, text, at + 2), at + 2)
        at += 2 + pause_s
    return tuple(f"{line.qty} {line.unit} {line.sku}" for line in engine.orders)


@pytest.mark.parametrize(
    ("lines", "order"),
    [
        # the product under discussion
        (("the margin on bath soap is ten percent", "okay write twenty packets"), ("20 packets bath soap",)),
        (("i want royal cola", "send five cases"), ("5 cases cola",)),
        (("okay write twenty packets",), ()),
        # corrections
        (("send ten boxes of tea", "send me only six boxes this time"), ("6 boxes tea",)),
        (("send ten boxes of tea", "make it six"), ("6 boxes tea",)),
        (("send ten boxes of tea", "make it six boxes"), ("6 boxes tea",)),
        (("send ten boxes of tea", "make it five percent"), ("10 boxes tea",)),
        (("make it six",), ()),
        (("send ten boxes of tea", "make it better"), ("10 boxes tea",)),
        (("send ten boxes of tea", "add two more boxes"), ("12 boxes tea",)),
        (("send ten boxes of tea", "send two more cases of cola"), ("10 boxes tea", "2 cases cola")),
        (
            ("send six cases of cola and two cases of orange juice", "send me only six cases this time"),
            ("6 cases cola", "2 cases orange juice"),
        ),
        (
            ("send six cases of cola and two cases of orange juice", "send only four cases"),
            ("6 cases cola", "4 cases orange juice"),
        ),
        (("send ten boxes of tea and two boxes of salt", "cancel the tea"), ("2 boxes salt",)),
        (("send ten boxes of tea", "cancel it"), ("10 boxes tea",)),
        (("send ten boxes of tea", "i do not want tea"), ()),
        # offers
        (("shall i write ten packets of bath soap", "yes okay"), ("10 packets bath soap",)),
        (("shall i write ten packets of bath soap", "no no"), ()),
        (
            ("shall i write ten packets of bath soap", "it is too expensive", "that is fine"),
            ("10 packets bath soap",),
        ),
        (("shall i write ten packets of bath soap", "no only five packets"), ("5 packets bath soap",)),
        (("shall i write ten packets of bath soap", "make it five"), ("5 packets bath soap",)),
        (
            ("would you like ten boxes of tea and two boxes of salt", "okay done"),
            ("10 boxes tea", "2 boxes salt"),
        ),
        (("shall i send five boxes", "okay"), ()),
        (("how many boxes of tea should i send", "ten boxes"), ("10 boxes tea",)),
        (("how many boxes of tea do you have left", "ten boxes"), ()),
        (("you have ten boxes of tea left", "okay"), ()),
        # conditions
        (("i will take five packets of tea if you give three percent",), ()),
        (("i will take five packets of tea and two boxes of salt if you give three percent",), ()),
        # reading the order back
        (
            ("so your order is six cases of cola and two cases of orange juice",),
            ("6 cases cola", "2 cases orange juice"),
        ),
        (("send five boxes of tea", "so your order is six boxes of tea"), ("6 boxes tea",)),
        # free goods and other talk of quantities
        (("buy ten cases of cola and get one case free",), ()),
        (("send ten boxes of tea you get one box free",), ("10 boxes tea",)),
        (("send ten rupees packets",), ()),
        (("send tea",), ()),
        (("send ten small packets of tea",), ("10 packets tea",)),
        (("send the new golden washing powder ten packets",), ("10 packets washing powder",)),
    ],
)
def test_order(rules: CompiledPlaybook, lines: tuple[str, ...], order: tuple[str, ...]) -> None:
    assert order_after(rules, *lines) == order


@pytest.mark.parametrize(
    ("lines", "order"),
    [
        (("give me six", "cases of cola"), ("6 cases cola",)),
        (
            ("send ten boxes of cream", "biscuits and two cartons of noodles"),
            ("10 boxes cream biscuits", "2 cartons noodles"),
        ),
        (("send ten boxes of tea", "and two cartons of noodles"), ("10 boxes tea", "2 cartons noodles")),
        (("give me", "six cases", "of cola"), ("6 cases cola",)),
        (("give me two boxes of tea", "you have six boxes left"), ("2 boxes tea",)),
    ],
)
def test_a_sentence_cut_by_a_pause(
    rules: CompiledPlaybook, lines: tuple[str, ...], order: tuple[str, ...]
) -> None:
    assert order_after(rules, *lines, pause_s=0.6) == order


def test_an_offer_is_forgotten(rules: CompiledPlaybook) -> None:
    assert order_after(rules, "shall i write ten packets of tea", "okay", pause_s=11) == ()


def test_quantities_without_a_product_are_counted(rules: CompiledPlaybook) -> None:
    engine = VisitEngine(rules)
    engine.heard(Heard(1, 0, 2, "send ten boxes", 2), 2)
    assert engine.conclusion().unplaced_orders == 1


def test_a_unit_that_was_not_said(rules: CompiledPlaybook) -> None:
    playbook = rules.playbook
    skus = tuple(
        sku.model_copy(update={"unit": "bottles"}) if sku.id == "cola" else sku
        for sku in playbook.vocabulary.skus
    )
    vocabulary = playbook.vocabulary.model_copy(update={"skus": skus})
    with_unit = CompiledPlaybook(playbook.model_copy(update={"vocabulary": vocabulary}))
    assert order_after(with_unit, "send ten cola") == ("10 bottles cola",)
    assert order_after(with_unit, "send ten tea") == ()
    assert order_after(with_unit, "send two boxes of tea", "send ten tea") == ("10 boxes tea",)
