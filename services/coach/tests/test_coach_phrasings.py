"""What people of the trade say, in words that the scripted visits don't use; who says it, and what it is.

Objections are the shopkeeper's; the rest sounds like one, or is the salesperson talking of the same thing.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fieldcoach.coach.engine import Heard, Update, VisitEngine
from fieldcoach.coach.playbook_file import load_playbook
from fieldcoach.coach.replay import Transcript, replay
from fieldcoach.coach.rules import CompiledPlaybook

ROOT = Path(__file__).parents[3]
VISITS = sorted(
    path for path in (ROOT / "visits").glob("*.json") if json.loads(path.read_text())["language"] == "en"
)


OBJECTIONS: dict[str, tuple[str, ...]] = {
    "no_space": (
        "where will i keep it the rack is full",
        "i don't have any space left",
        "there is no room for one more product",
        "my counter is already crowded",
        "all the shelves are full of other brands",
        "this is a very small shop",
        "sorry no place in the shop",
        "i do not have enough space for a new item",
        "the fridge is completely full",
        "there's no shelf space right now",
        "i can't fit anything more here",
        "space is limited in my store",
        "not enough room on the rack",
        "my godown is full till next week",
        "we have a space problem in this shop",
    ),
    "slow_mover": (
        "this one does not sell in my area",
        "nobody asks for green tea",
        "it's a slow mover here",
        "the face cream has been lying here for two months",
        "there is no demand for this",
        "people do not buy it",
        "the small pack isn't selling at all",
        "it moves very slowly",
        "i could not sell even one box",
        "customers are not asking for this product",
        "demand for pickle is very low",
        "last month not a single piece was sold no one bought it",
        "it is dead stock for me",
        "it hardly sells two pieces a week",
        "the last lot did not move",
    ),
    "price_margin": (
        "i hardly make any profit no margin at all",
        "your rate is too high",
        "my margin is very less",
        "the price has gone up again",
        "it is costly for this area",
        "what do i earn the profit is too low",
        "i want more margin",
        "you have increased the price",
        "my customers can not afford this price",
        "the margin is not enough for me",
        "such low margins do not help me",
        "reduce the price and i will see",
        "it's very expensive compared to last year",
        "i don't earn anything on this",
        "the margin on cola is too low",
    ),
    "credit": (
        "give me fifteen days credit",
        "i can not pay today",
        "i will pay after the goods are sold",
        "i have no cash right now",
        "can you give it on credit",
        "payment will be possible only next month",
        "my money is stuck in the market",
        "i am short of cash this week",
        "i can't make the full payment now",
        "i need more time for the payment",
        "we want a longer credit period",
        "i can only pay later",
        "take the payment next time",
        "there is no money in the counter today",
        "without credit i can not buy",
    ),
    "competitor": (
        "another company is giving me two percent more",
        "the other brand is selling better",
        "i get it cheaper from the wholesaler",
        "they give one box free on every ten",
        "the competitor has a better scheme",
        "your competitor offers more discount",
        "i am getting a better rate from another company",
        "the other salesman gives me fifteen days",
        "their margin is higher",
        "customers prefer the other brand",
        "other companies are offering free goods",
        "it is cheaper than yours",
        "i already buy from another distributor",
        "the other company's price is lower",
        "a rival company gives extra pieces",
    ),
    "damaged_expired": (
        "you sent me damaged boxes last week",
        "ten packets were expired",
        "the bottles came broken",
        "nobody took back my expired packets",
        "half the packets are leaking",
        "i still have expired pieces lying here",
        "when will you replace the damaged goods",
        "the expiry date is over on these",
        "i got torn packets in the last delivery",
        "your old stock has expired and nobody came",
        "the seal was broken on three bottles",
        "the last carton arrived damaged",
        "you have not replaced the broken bottles",
        "these are about to expire",
        "customers returned the packets because they were stale",
    ),
    "enough_stock": (
        "i already have plenty of stock",
        "i have too much stock already",
        "the old stock is still lying here",
        "i don't need anything today",
        "we have enough for this month",
        "let me finish the old stock first",
        "last week's order is not finished",
        "stock is sufficient for now",
        "i still have a lot of noodles",
        "no need of more biscuits now",
        "i will order when it is finished my stock is full",
        "i just bought ten boxes last week",
        "there's still plenty of stock left",
        "we do not want more shampoo this week",
        "nothing today we are fully stocked",
    ),
}

NOT_OBJECTIONS: tuple[str, ...] = (
    # the salesperson, of the same things
    "we will replace all the damaged pieces today",
    "do you have any expired stock for me to take back",
    "is there any damaged stock in the shop",
    "is there space for one more row here",
    "can you make some space near the counter",
    "i understand that there is no space but it is a small strip",
    "which products are not selling in your shop",
    "why is it not moving did you keep it in front",
    "if it does not sell we will take it back",
    "the margin on this pack is twelve percent",
    "you get a better margin with us",
    "our price is lower than the market",
    "the price is not high for this quality",
    "what margin do you get from other companies",
    "our scheme is better than the other companies",
    "we can give you seven days credit",
    "how many days credit do you need",
    "i will send your credit note by friday",
    "you can pay half now and half later",
    "how will you pay today",
    "please clear the last bill first",
    "do you have enough stock for the festival",
    "how many boxes do you have left",
    "you have only two cases left that is not enough for the weekend",
    "make sure you have enough stock for the weekend",
    "if any box is damaged we will replace it",
    "this is our fastest selling item",
    "there is a very good demand for it",
    "the shelf looks good now",
    "let us keep the shelf full for the festival",
    "shall i put one strip on the top shelf",
    "no problem i will come next week",
    "no sir the margin is fifteen percent",
    "we have not increased the price",
    # the shopkeeper, without an objection
    "i have six boxes left",
    "business is slow this week",
    "my shop is full of customers please wait",
    "the last delivery was late by two days",
    "call me after lunch",
    "i will ask my brother and tell you",
    "it sells well in my shop",
    "the new pack is moving fast",
    "what is the price of one case",
    "is there any discount on this",
    "do you have a smaller pack",
    "the rate is fine",
    "my payment is ready take it",
    "i will pay by online transfer",
    "my son moved to another city",
    "it is a holiday today there is no school",
    "the road is not good near my house",
    "traffic is moving slowly today",
    "the food was expensive at the wedding",
    "that is enough tea for me",
    "no one is at home today",
    "the weather is bad",
)

STAGES: dict[str, tuple[str, ...]] = {
    "greet": (
        "namaste ji",
        "hello madam how is everything",
        "good afternoon sir nice to see you",
        "hi sir how are you doing",
        "namaste bhaiya how is work",
    ),
    "claims": (
        "do you have any damaged stock to return",
        "i will take back the leaking bottles",
        "we will exchange the broken pieces today",
        "your claim has been settled",
        "let me note down your claim",
    ),
    "stock_check": (
        "let me have a look at the shelf",
        "may i check the stock of soap",
        "how much stock do you have of cola",
        "how many cartons are left",
        "let me count the packets how many pieces of candy are there",
        "your stock is running low",
    ),
    "merchandise": (
        "let me place the noodles at eye level",
        "i will hang a strip near the counter",
        "can we put this in front of the counter",
        "let me set up the display",
        "i would like to keep these on the front shelf",
    ),
    "must_sell": (
        "you should keep the energy drink also",
        "can i add one case of hand wash",
        "have you tried our hand wash",
    ),
    "scheme": (
        "there is a special offer this week",
        "you get one box free on ten boxes take ten and get one free",
        "on every dozen you get two pieces free",
        "if you take ten boxes i can give you two percent extra",
        "buy five cases and get a discount",
        "we have a scheme for the festival the scheme is valid till sunday",
    ),
    "collect": (
        "would you like to pay by cash or online",
        "can you clear the pending bill today",
        "the total bill is two thousand rupees",
        "there is an outstanding amount from last month",
        "how would you like to pay",
    ),
    "confirm_order": (
        "so that is ten boxes of soap and two cases of cola",
        "let me repeat the order",
        "your order is placed",
        "to confirm ten boxes of salt",
        "i have noted your order",
    ),
    "thanks": (
        "thank you for the order sir",
        "thanks for your time see you on monday",
        "have a good day sir",
        "thank you very much see you soon",
    ),
}

NOT_STAGES: tuple[tuple[str, str], ...] = (
    ("no thank you", "thanks"),
    ("thank you sit down please", "thanks"),
    ("what is the scheme on soap", "scheme"),
    ("the other company has a new scheme", "scheme"),
    ("you did not give me the scheme last time", "scheme"),
    ("you did not take back the expired stock", "claims"),
    ("where will i keep it near the counter", "merchandise"),
    ("there is no space on the counter", "merchandise"),
    ("i can not pay cash today", "collect"),
    ("how many do you want", "stock_check"),
    ("how many days will it take", "stock_check"),
    ("i have not received the credit note", "claims"),
)

ORDERS: tuple[tuple[str, tuple[tuple[int, str, str], ...]], ...] = (
    ("send me five boxes of noodles", ((5, "boxes", "noodles"),)),
    ("okay give me ten packets of potato chips", ((10, "packets", "potato chips"),)),
    (
        "i will take three cases of cola and one carton of mango juice",
        ((3, "cases", "cola"), (1, "cartons", "mango juice")),
    ),
    ("i want two dozen pieces of bath soap", ((24, "pieces", "bath soap"),)),
    ("please send a carton of salt", ((1, "cartons", "salt"),)),
    ("write twenty five pouches of milk", ((25, "pouches", "milk"),)),
    ("put me down for half a dozen bottles of ketchup", ((6, "bottles", "ketchup"),)),
    ("for tea send four packets", ((4, "packets", "tea"),)),
    ("cola six cases and soap two boxes please send", ()),
    (
        "we need one hundred and fifty packets of golden instant noodles",
        ((150, "packets", "instant noodles"),),
    ),
    ("send 12 boxes of cream biscuits", ((12, "boxes", "cream biscuits"),)),
    ("i'll take two boxes of active detergent powder", ((2, "boxes", "detergent powder"),)),
    ("okay then ten boxes each time", ()),
    ("send rice two bags and sugar three bags", ((2, "bags", "rice"), (3, "bags", "sugar"))),
    ("give me two more boxes of soap", ((2, "boxes", "soap"),)),
    ("do not send ten boxes of cola send five boxes", ((5, "boxes", "cola"),)),
    # no orders
    ("shall i send five boxes of noodles", ()),
    ("you sold five boxes of noodles last week", ()),
    ("i have five boxes of noodles left", ()),
    ("if you take five boxes of noodles you get one free", ()),
    ("would you like two boxes of soap", ()),
    ("the price of one box of soap is two hundred rupees", ()),
    ("how many boxes of soap should i send", ()),
    ("i ordered ten boxes of soap and you sent five boxes", ()),
    ("i will take ten boxes of soap if you give five percent", ()),
    ("give me ten percent on soap", ()),
    ("we will replace six bottles of jam", ()),
    ("there are only two packets of tea left", ()),
    ("what about five boxes of candy", ()),
)


@pytest.fixture(scope="module")
def rules() -> CompiledPlaybook:
    return CompiledPlaybook(load_playbook(ROOT / "playbooks/outlet-en.yaml").playbook)


def hear(rules: CompiledPlaybook, text: str) -> tuple[Update, VisitEngine]:
    engine = VisitEngine(rules)
    return engine.heard(Heard(1, 0, 2, text, 2), 2), engine


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind in OBJECTIONS for text in OBJECTIONS[kind]])
def test_an_objection_is_heard_and_no_other(rules: CompiledPlaybook, kind: str, text: str) -> None:
    assert [mark.id for mark in hear(rules, text)[0].objections] == [kind]


@pytest.mark.parametrize("text", NOT_OBJECTIONS)
def test_what_only_sounds_like_an_objection_is_none(rules: CompiledPlaybook, text: str) -> None:
    assert hear(rules, text)[0].objections == ()


@pytest.mark.parametrize(("stage", "text"), [(stage, text) for stage in STAGES for text in STAGES[stage]])
def test_a_stage_is_done(rules: CompiledPlaybook, stage: str, text: str) -> None:
    assert [mark.id for mark in hear(rules, text)[0].stages] == [stage]


@pytest.mark.parametrize(("text", "stage"), NOT_STAGES)
def test_a_stage_is_not_done(rules: CompiledPlaybook, text: str, stage: str) -> None:
    assert stage not in {mark.id for mark in hear(rules, text)[0].stages}


@pytest.mark.parametrize(("text", "lines"), ORDERS)
def test_order_lines(rules: CompiledPlaybook, text: str, lines: tuple[tuple[int, str, str], ...]) -> None:
    assert tuple((line.qty, line.unit, line.sku) for line in hear(rules, text)[1].orders) == lines


def variants(lines: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The visit as it is, with two lines in one final, and with each line in two."""
    yield "as spoken", lines
    for first in (0, 1):
        pairs = [lines[:first]] if first else []
        pairs += [lines[at : at + 2] for at in range(first, len(lines), 2)]
        yield (
            f"pairs from {first}",
            [
                {"start": p[0]["start"], "end": p[-1]["end"], "text": " ".join(line["text"] for line in p)}
                for p in pairs
            ],
        )
    for share in (0.3, 0.5, 0.7):
        cut = []
        for line in lines:
            words = line["text"].split()
            count = max(1, int(len(words) * share))
            middle = line["start"] + (line["end"] - line["start"]) * share
            cut.append({"start": line["start"], "end": middle - 0.3, "text": " ".join(words[:count])})
            if words[count:]:
                cut.append({"start": middle + 0.3, "end": line["end"], "text": " ".join(words[count:])})
        yield f"cut at {share}", cut


@pytest.mark.parametrize("path", VISITS, ids=lambda path: path.stem)
def test_scripted_visits_are_understood_however_they_are_cut(rules: CompiledPlaybook, path: Path) -> None:
    visit = json.loads(path.read_text())
    gold = {
        kind: [mark for line in visit["lines"] for mark in line.get(kind, ())]
        for kind in ("stages", "objections", "orders")
    }
    for name, lines in variants(visit["lines"]):
        transcript = Transcript.model_validate({"seconds": visit["seconds"], "lines": lines})
        found = replay(rules, transcript).as_json()
        assert set(found["stages"]) == set(gold["stages"]), name
        assert [mark["id"] for mark in found["objections"]] == gold["objections"], name
        assert found["orders"] == gold["orders"], name


@pytest.mark.parametrize("path", VISITS, ids=lambda path: path.stem)
def test_the_first_cue_of_every_objection_is_shown_at_once(rules: CompiledPlaybook, path: Path) -> None:
    visit = json.loads(path.read_text())
    decisions = replay(rules, Transcript.model_validate(visit)).as_json()["decisions"]
    seen: set[str] = set()
    for line in visit["lines"]:
        for objection in line.get("objections", ()):
            at = [d for d in decisions if d["objection"] == objection and d["raised_at"] == line["end"]]
            assert [(d["shown"], d["reason"]) for d in at] == [
                (False, "cooldown") if objection in seen else (True, "fired")
            ]
            assert at[0]["at"] == line["end"]
            seen.add(objection)
    assert all(decision["objection"] for decision in decisions if decision["shown"])
