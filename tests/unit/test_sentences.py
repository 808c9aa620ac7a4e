"""Foreign words in sentences: nothing forges a line, commands a terminal or stands at length in a listing."""

import io
import json
import logging
import time

import click
import pytest
from click.testing import CliRunner

from schemas.jobs import JobError
from schemas.problems import Problem
from schemas.sentences import MAX_SENTENCE, plain, visible, visible_json, without_folders
from service.cli.exits import Exit, fail
from service.cli.speech import speak_lines
from service.cli.tables import draw_table
from service.errors import LayerNotFoundError, ModelFailedError
from service.logs import PlainFormatter

FORGED = "conv\n2030-01-01 00:00:00,000 INFO root all is well\r\x1b[2J\x9b31m\u202edne\u2028\x00"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("layer 'conv1' is not in shapes", "layer 'conv1' is not in shapes"),
        ("卷积层 “conv”: größer\u3000é…", "卷积层 “conv”: größer\u3000é…"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31m\x9b\x7f\x00", r"\x1b[31m\x9b\x7f\x00"),
        ("\u202ecod.exe\u2066\u200b\ufeff", r"\u202ecod.exe\u2066\u200b\ufeff"),
        ("\ud800\U000e0041", r"\ud800\U000e0041"),
    ],
)
def test_only_what_can_be_seen_is_left(text: str, shown: str):
    assert visible(text) == plain(text) == plain(plain(text)) == shown


def test_beginning_and_end_stand_when_a_sentence_is_long():
    sentence = plain(f"layer '{'x' * 5_000_000}' is a Lambda: replace it")
    assert len(sentence) == MAX_SENTENCE
    assert sentence.startswith("layer 'xxx")
    assert sentence.endswith("xxx' is a Lambda: replace it")
    assert len(plain("\x00" * 5_000_000)) == MAX_SENTENCE


def test_megabytes_are_cut_before_they_are_looked_at():
    started = time.process_time()
    for _ in range(100):
        plain("\x00" * 5_000_000)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cannot open '/tmp/convscope-x_1/model.h5' here", "cannot open 'model.h5' here"),
        ("filepath=/srv/models/cats/1/model.keras.", "filepath=model.keras."),
        ('File "/usr/lib/python3/keras/src/ops.py", line 3', 'File "ops.py", line 3'),
        ("layer 'backbone/conv4' and/or https://keras.io/guides/saving/", None),
        ("1/2 of ~/models, $KERAS_HOME/models and ../../x stay", None),
    ],
)
def test_only_the_last_name_of_a_place_is_told(text: str, said: str | None):
    assert without_folders(text) == (text if said is None else said)


def test_reason_names_no_folder_when_keras_does():
    assert ModelFailedError("Keras: '/tmp/convscope-abc/model.h5' is cut").detail == "Keras: 'model.h5' is cut"


def test_details_are_plain_wherever_they_are_made():
    problem = Problem(type="t", title="t", status=422, detail=FORGED, instance="/", code="c")
    for detail in (LayerNotFoundError(FORGED).detail, JobError(code="c", detail=FORGED).detail, problem.detail):
        assert detail.isprintable()
        assert detail.startswith(r"conv\n2030")
    assert str(LayerNotFoundError(FORGED)).isprintable()


def test_json_is_the_same_when_it_is_made_visible():
    value = {FORGED: [FORGED, "größer", "\U000e0041"]}
    text = json.dumps(value, ensure_ascii=False)
    assert visible_json(text).isprintable()
    assert json.loads(visible_json(text)) == value
    assert "größer" in visible_json(text)


def _log(message: str, *arguments: object, error: Exception | None = None) -> list[str]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter("%(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("test")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [handler]
    try:
        if error is not None:
            raise error
        logger.info(message, *arguments)
    except ValueError:
        logger.exception(message, *arguments)
    return stream.getvalue().removesuffix("\n").split("\n")


def test_log_has_one_line_when_a_name_brings_more_along():
    (line,) = _log("model %s failed", FORGED)
    assert line.startswith(r"INFO test model conv\n2030")
    assert line.isprintable()
    (line,) = _log("model %s failed", "x" * 5_000_000)
    assert len(line) <= 2000


def test_traceback_is_indented_when_its_error_forges_lines():
    lines = _log("model %s failed", "cats", error=ValueError(FORGED))
    assert lines[0] == "ERROR test model cats failed"
    assert lines[1] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and line.isprintable() for line in lines[1:])
    assert "    2030-01-01 00:00:00,000 INFO root all is well\\r\\x1b[2J" in "\n".join(lines)
    assert len(_log("m", error=ValueError("\n" * 100_000))) < 300


def test_terminal_is_told_nothing_but_text():
    program = CliRunner()
    with program.isolation() as (out, err, _):
        speak_lines(draw_table(["name"], [[FORGED], ["größer"]]))
        with click.Context(click.Command("test")), pytest.raises(click.exceptions.Exit):
            fail(LayerNotFoundError(FORGED), Exit.MODEL)
        printed, told = out.getvalue().decode(), err.getvalue().decode()
    assert len(printed.splitlines()) == 4
    assert len(told.splitlines()) == 1
    assert (printed + told).replace("\n", "").isprintable()
