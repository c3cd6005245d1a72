"""What every refusal has in common; `python tests/messages.py` prints all of them, to be read."""

from messages import messages

WITHOUT_ADVICE = 125
"""So many refusals say no more than what is wrong: it may fall, and does not rise."""


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


def test_ever_fewer_refusals_come_without_advice() -> None:
    without = [f"{place}: {message}" for place, message, hint in messages() if hint is None]
    assert len(without) <= WITHOUT_ADVICE, "\n".join(without)
    assert len(without) == WITHOUT_ADVICE, f"lower WITHOUT_ADVICE to {len(without)}"
