"""Accept headers, by the rules of RFC 9110, section 12.5.1."""

import pytest

from service.api.requests.negotiation import JSON, PNG, NotAcceptableError, choose


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("image/png", PNG),
        ("IMAGE/PNG", PNG),
        ("image/*", PNG),
        ("application/json", JSON),
        ("text/html, image/png;q=0.8, */*;q=0.1", PNG),
        ("application/json;q=0.5, image/png;q=0.4", JSON),
        ("application/json;q=0, */*", PNG),
        ("image/png;q=0.9, application/json;q=0.9", JSON),
    ],
)
def test_best_offer_is_chosen_when_the_client_prefers(accept: str, expected: str):
    assert choose(accept, (JSON, PNG)) == expected


@pytest.mark.parametrize("accept", ["text/html", "image/webp", "image/png;q=0, application/json;q=0", "image/png;q=x"])
def test_request_is_refused_when_nothing_is_acceptable(accept: str):
    with pytest.raises(NotAcceptableError):
        choose(accept, (JSON, PNG))
