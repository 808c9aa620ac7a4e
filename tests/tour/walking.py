"""The tour itself: what is asked of a service and of the terminal, and the records by name."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.tour.over_http import Accepted, Http
from tests.tour.places import BUILT_IN, Tour, find_model
from tests.tour.questions import Model, Question, list_questions
from tests.tour.reading import Record

Named = Iterator[tuple[str, Record]]


def take(tour: Tour) -> Named:
    """Every question with its answer. The service and the terminal are asked side by side, each one thing at a time."""
    yield from _side_by_side(_ask_service(tour), _ask_terminal(tour))
    for model in _models(tour):
        if model.built_in:
            firsts = [question for question in list_questions(model, tour.methods(), brief=True) if question.first]
            there = replace(tour.terminal, server=tour.url)
            yield from _prefix("terminal-server", there.ask(firsts, tour.inputs(model)))


def take_brief(tour: Tour) -> Named:
    """Of the built-in models what takes half a minute: a method's options on the first model that it works on."""
    yield from _side_by_side(_ask_service_briefly(tour), _ask_terminal_briefly(tour))


def ask_again(tour: Tour) -> Named:
    """What `take_brief` asks by HTTP, computed anew."""
    yield from _ask(tour, replace(tour.http, fresh=True), _brief(tour))


def _ask_service_briefly(tour: Tour) -> Named:
    for name in BUILT_IN:
        yield from _describe(tour, name)
    yield from _ask(tour, tour.http, _brief(tour))


def _ask(tour: Tour, http: Http, asked: Iterable[tuple[Model, list[Question]]]) -> Named:
    """Jobs are fetched in the end, so that they are computed while other questions are asked."""
    jobs: list[Accepted] = []
    for model, questions in asked:
        yield from _prefix("http", http.ask(questions, tour.inputs(model), jobs))
    yield from _prefix("http", http.fetch(jobs))


def _ask_terminal_briefly(tour: Tour) -> Named:
    for model, questions in _brief(tour):
        yield f"terminal layers {model.name}", tour.terminal.look("layers", model.name)
        firsts = [question for question in questions if question.first]
        yield from _prefix("terminal", tour.terminal.ask(firsts, tour.inputs(model)))


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
    yield "http /v1/datasets", tour.http.look("/v1/datasets")[1]
    for name in tour.models():
        yield from _describe(tour, name)
    asked = [(model, list(list_questions(model, tour.methods()))) for model in _models(tour)]
    yield from _ask(tour, tour.http, asked)
    for model, questions in asked:
        if model.built_in:
            job = next(question for question in questions if question.prefers_job)
            yield from _prefix("http", tour.http.forget(job, tour.inputs(model)))


def _ask_terminal(tour: Tour) -> Named:
    """Of models that take seconds to load, as they do for each command, a method's first question alone."""
    yield "terminal models", tour.terminal.look("models")
    yield "terminal sets", tour.terminal.look("datasets")
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


def _side_by_side(service: Named, terminal: Named) -> Named:
    """The terminal in this thread, as it changes the environment and standard output while it is asked."""
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(lambda: list(service))
        asked = list(terminal)
        yield from asking.result()
    yield from asked


def _prefix(way: str, answers: Named) -> Named:
    for name, answer in answers:
        yield f"{way} {name}", answer
