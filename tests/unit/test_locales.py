"""The page's words: every language says everything, and nothing that nobody asks for."""

import json
import re
from pathlib import Path

UI = Path(__file__).parents[2] / "service" / "ui"
LOCALES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (UI / "locales").glob("*.json")}
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in [*UI.glob("*.js"), *UI.glob("*.html")])
ENGLISH = LOCALES["en"]


def test_languages_have_the_same_keys_when_one_was_changed():
    assert set(LOCALES) == {"en", "zh"}
    for language, words in LOCALES.items():
        assert list(words) == list(ENGLISH), language
        assert all(text.strip() for text in words.values()), language


def test_languages_fill_the_same_places_when_a_message_has_some():
    for key, text in ENGLISH.items():
        places = sorted(re.findall(r"\{\w+\}", text))
        assert all(sorted(re.findall(r"\{\w+\}", words[key])) == places for words in LOCALES.values()), key


def test_keys_exist_when_the_page_uses_them():
    groups = "|".join({key.partition(".")[0] for key in ENGLISH})
    used = set(re.findall(rf"""["'`]((?:{groups})\.[a-z_0-9]+)["'`]""", SOURCES))
    # Files and styles are named alike.
    used -= {name for name in used if name.endswith((".js", ".json", ".css", ".svg", ".png"))}
    asked = set(re.findall(r"""\bt\(\s*["'`]([^"'`]+)["'`]""", SOURCES))
    assert used | asked == set(ENGLISH)


def test_html_says_the_english_words_when_scripts_have_not_run():
    html = (UI / "index.html").read_text(encoding="utf-8")
    for key, text in re.findall(r'data-t="([^"]+)"[^>]*>([^<]*)<', html):
        assert ENGLISH[key].startswith(text.rstrip(".")), key
    for key, text in re.findall(r'data-t-label="([^"]+)" aria-label="([^"]+)"', html):
        assert ENGLISH[key] == text
