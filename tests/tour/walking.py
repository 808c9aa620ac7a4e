"""The tour itself: what is asked of a service and of the terminal, and the records by name."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.tour.places import BUILT_IN, Tour, find_model
from tests.tour.questions import Model, Question, list_questions
from tests.tour.reading import Record

Named = Iterator[tuple[str, Record]]


def take(tour: Tour) -> Named:
    """Every question with its answer. The service and the terminal are asked side by side, each one thing at a time."""
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(lambda: list(_ask_service(tour)))
        yield from _ask_terminal(tour)
        yield from asking.result()
    for model in _models(tour):
        if model.built_in:
            firsts = [question for question in list_questions(model, tour.methods(), brief=True) if question.first]
            there = replace(tour.terminal, server=tour.url)
            yield from _prefix("terminal-server", there.ask(firsts, tour.inputs(model)))


def take_brief(tour: Tour) -> Named:
    """Of the built-in models what takes half a minute: a method's options on the first model that it works on."""
    for model, questions in _brief(tour):
        yield from _describe(tour, model.name)
        yield f"terminal layers {model.name}", tour.terminal.look("layers", model.name)
        yield from _prefix("http", tour.http.ask(questions, tour.inputs(model)))
        firsts = [question for question in questions if question.first]
        yield from _prefix("terminal", tour.terminal.ask(firsts, tour.inputs(model)))


def ask_again(tour: Tour) -> Named:
    """What `take_brief` asks by HTTP, computed anew."""
    for model, questions in _brief(tour):
        yield from _prefix("http", replace(tour.http, fresh=True).ask(questions, tour.inputs(model)))


def _brief(tour: Tour) -> Iterator[tuple[Model, list[Question]]]:
    asked: set[str] = set()
    for name in BUILT_IN:
        model = find_model(tour, name)
        assert model is not None
        questions = list_questions(model, tour.methods(), brief=True)
        yield model, [question for question in questions if question.compares or question.method not in asked]
        asked |= model.available


def _ask_service(tour: Tour) -> Named:
    yield "http /v1/methods", tour.http.look("/v1/methods")[1]
    yield "http /v1/sets", tour.http.look("/v1/sets")[1]
    for name in tour.models():
        yield from _describe(tour, name)
    for model in _models(tour):
        questions = list(list_questions(model, tour.methods()))
        yield from _prefix("http", tour.http.ask(questions, tour.inputs(model)))
        if model.built_in:
            job = next(question for question in questions if question.prefers_job)
            yield from _prefix("http", tour.http.forget(job, tour.inputs(model)))


def _ask_terminal(tour: Tour) -> Named:
    """Of models that take seconds to load, as they do for each command, a method's first question alone."""
    yield "terminal models", tour.terminal.look("models")
    yield "terminal sets", tour.terminal.look("sets")
    for name, file in tour.files.items():
        yield f"terminal doctor {name}", tour.terminal.look("doctor", str(file))
    for model in _models(tour):
        yield f"terminal layers {model.name}", tour.terminal.look("layers", model.name)
        questions = list_questions(model, tour.methods(), brief=True)
        chosen = [each for each in questions if not each.prefers_job and (model.built_in or each.first)]
        yield from _prefix("terminal", tour.terminal.ask(chosen, tour.inputs(model)))


def _models(tour: Tour) -> Iterator[Model]:
    """Those that were not refused."""
    yield from filter(None, (find_model(tour, name) for name in tour.models()))


def _describe(tour: Tour, name: str) -> Named:
    """What the service says of a model, and of its oldest version once that is loaded."""
    route = f"/v1/models/{name}"
    view, answer = tour.http.look(route)
    yield f"http {route}", answer
    yield f"http {route}/layers", tour.http.look(f"{route}/layers")[1]
    if "versions" in view:
        oldest = f"{route}/versions/{view['versions'][-1]}"
        yield f"http {oldest}/load", tour.http.look(f"{oldest}/load", "POST")[1]
        yield f"http {oldest}", tour.http.look(oldest)[1]
        yield f"http {oldest}/layers", tour.http.look(f"{oldest}/layers")[1]


def _prefix(way: str, answers: Named) -> Named:
    for name, answer in answers:
        yield f"{way} {name}", answer
