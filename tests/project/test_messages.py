"""What every refusal has in common; `python tests/messages.py` prints all of them, to be read."""

from messages import SAYS_WHAT_MUST_BE, messages

WITHOUT_ADVICE = {
    # The core says what it must be, in words of its own: 'default' or 'fast', none, lz4, …
    "dataset/layout.py": ["{str(error)}"],
}
"""All refusals that say no more than what is wrong, each with the reason."""


def test_refusals_are_lines_of_one_form() -> None:
    found = list(messages())
    assert len(found) > 500
    for place, message, hint in found:
        for text in (message, hint or message):
            assert text == text.strip(), place
            assert not text.endswith((".", "!")), (place, text)
            assert "  " not in text, (place, text)
            assert "\n" not in text, (place, text)
        words = f"{message} {hint or ''}".lower()
        assert not {"please", "sorry", "oops", "invalid", "illegal"}.intersection(words.split()), (place, words)


def test_every_refusal_says_what_to_do() -> None:
    without: dict[str, list[str]] = {}
    for place, message, hint in messages():
        if hint is None and not SAYS_WHAT_MUST_BE.search(message):
            without.setdefault(place.partition(":")[0], []).append(message)
    assert without == WITHOUT_ADVICE
