"""What every refusal has in common; `python tests/messages.py` prints all of them, to be read."""

from messages import messages


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
