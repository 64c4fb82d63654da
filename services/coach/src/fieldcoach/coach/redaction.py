"""Personal data leaves the text before a language model sees it: phone and identity numbers, e-mail."""

import re
from typing import Final

_DIGIT: Final = (
    "zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple"
    "|shunya|ek|do|teen|tin|char|chaar|panch|paanch|chhah|chhe|chah|che|saat|sat|aath|aat|nau"
    "|शून्य|ज़ीरो|जीरो|एक|दो|तीन|चार|पांच|पाँच|छह|छः|छे|सात|आठ|नौ|डबल|ट्रिपल"
    r"|\d{1,4}"
)
_RULES: Final = (
    (re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"), "[email]"),
    (
        re.compile(r"\b[\w.]+ at (?:the )?(?:rate )?[\w]+ dot (?:com|in|org|net|co)\b", re.IGNORECASE),
        "[email]",
    ),
    (re.compile(r"\b[a-z]{5}\s?\d{4}\s?[a-z]\b", re.IGNORECASE), "[id]"),
    # seven digits and more in a row are no price and no quantity, however they are grouped
    (re.compile(r"\+?\d(?:[\s().-]{0,2}\d){6,}"), "[number]"),
    (re.compile(rf"(?<!\w)(?:{_DIGIT})(?:[\s,-]+(?:{_DIGIT})){{5,}}(?!\w)", re.IGNORECASE), "[number]"),
)


def redact(text: str) -> str:
    """The text without personal numbers and addresses."""
    for expression, stand_in in _RULES:
        text = expression.sub(stand_in, text)
    return text
