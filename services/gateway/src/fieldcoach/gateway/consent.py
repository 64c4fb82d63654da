"""What a person is told before audio is taken. The version changes with the wording."""

from typing import Final

CONSENT_VERSION: Final = "2026-11"

_TEXTS: Final[dict[str, str]] = {
    "en": (
        "This visit is listened to by an assistant that turns speech into text and gives the salesperson"
        " short advice. Audio is not stored, and the text is forgotten after the visit. You may say no, or"
        " ask for a pause at any time."
    ),
    "hi": (
        "इस मुलाक़ात को एक सहायक सुनता है, जो बातचीत को लिखकर विक्रेता को छोटी सलाह देता है। आवाज़ कहीं रखी नहीं"
        " जाती, और लिखा हुआ मुलाक़ात के बाद मिटा दिया जाता है। आप मना कर सकते हैं, या कभी भी रुकने को कह सकते हैं।"
    ),
}


def consent_text(language: str) -> str:
    """The text in the language, or in English where there is none."""
    return _TEXTS.get(language.partition("-")[0], _TEXTS["en"])
