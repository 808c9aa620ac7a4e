"""The API's composition root: settings in, a wired FastAPI application out."""

from importlib.metadata import version

from fastapi import FastAPI

from service.api import openapi, problems
from service.api.access.cross_origin import ListedOrigins
from service.api.access.early import EarlyRefusal
from service.api.access.hosts import HostGuard, HostNames
from service.api.access.keys.authenticator import Authenticator
from service.api.access.keys.guard import KeyGuard
from service.api.access.keys.roles import roles_of
from service.api.access.origins import OriginGuard
from service.api.access.prefixes import ForwardedAddress
from service.api.dependencies import Services
from service.api.headers import SecurityHeaders
from service.api.metrics import RequestMeter
from service.api.requests.gate import Gate
from service.api.routes import datasets, documentation, events, health, jobs, models, pages, sessions, webhooks
from service.api.routes.methods import make_router
from service.app_lifespan import Lifespan
from service.app_services import open_services
from service.composition.access import open_authenticator
from service.composition.jobs import (
    open_artifacts,
    open_reconciler,
    open_store,
    open_workforce,
)
from service.engine.methods import METHODS
from service.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """Wire the application. Models load in the background once it runs; nothing imports TensorFlow before.

    Raises AccessError where the settings let in whom nobody has asked for a key.
    """
    authenticator = open_authenticator(settings)
    store, artifacts = open_store(settings), open_artifacts(settings)
    workforce = open_workforce(settings, store)
    services = open_services(settings, store, artifacts, workforce)
    if authenticator is not None:
        services.metrics.watch_keys(authenticator.keys)
    reconciler = open_reconciler(settings, store, artifacts, workforce, workforce)
    app = FastAPI(
        title="convscope",
        description="Shows what a convolutional network sees.",
        version=version("convscope"),
        docs_url=None,
        redoc_url=None,
        lifespan=Lifespan(settings, services, workforce, reconciler, authenticator).run,
    )
    app.state.services = services
    _add_middleware(app, settings, services, authenticator)
    problems.install(app)
    openapi.install(app, METHODS.values(), asks_for_keys=authenticator is not None)
    documentation.install(app)
    # Before the folder of the page's files, which takes all of `/ui`.
    app.include_router(sessions.make_router(authenticator))
    pages.install(app)
    webhooks.install(app)
    methods = make_router(METHODS.values())
    for router in (models.router, methods, datasets.router, jobs.router, events.router, webhooks.router, health.router):
        app.include_router(router)
    return app


def make_early_refusal(app: FastAPI, settings: Settings) -> EarlyRefusal | None:
    """For the server. With keys whose request it is has to be known first."""
    services: Services = app.state.services

    def is_full(length: int) -> bool:
        lacking = services.admission.find_lack(length)
        if lacking is not None:
            services.metrics.refuse(lacking)
        return lacking is not None

    max_bytes = settings.limits.max_image_bytes
    return None if settings.api_keys else EarlyRefusal(is_full, max_bytes, settings.root_path)


def _add_middleware(app: FastAPI, settings: Settings, services: Services, authenticator: Authenticator | None) -> None:
    # The last is the first that a request comes to.
    app.add_middleware(RequestMeter, metrics=services.metrics, knows=services.catalog.is_known)
    app.add_middleware(
        Gate,
        admission=services.admission,
        rates=services.rates,
        limits=services.body_limits,
        refused=services.metrics.refuse,
    )
    if authenticator is not None:
        app.add_middleware(
            KeyGuard,
            authenticator=authenticator,
            roles=roles_of(METHODS),
            refused=services.metrics.refuse,
            metrics_are_free=settings.metrics_without_key,
        )
    app.add_middleware(OriginGuard, listed=settings.cors_origins)
    if settings.cors_origins:
        app.add_middleware(ListedOrigins, origins=settings.cors_origins)
    # Foreign pages have no key, nor the page's cookie, which is that of another name.
    if authenticator is None or settings.hosts:
        app.add_middleware(HostGuard, names=HostNames((settings.host, *settings.hosts)))
    app.add_middleware(ForwardedAddress, root_path=settings.root_path, proxies=settings.trusted_proxies)
    app.add_middleware(SecurityHeaders)
