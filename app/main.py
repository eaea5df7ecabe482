"""``create_app``: the application as a value, from opened services; ``serve`` runs it with a supervisor.

Nothing happens at import. The command line calls ``serve``; tests build an application with ``create_app``.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import uvicorn
from fastapi import FastAPI, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from app.api import (
    adapters,
    corpora,
    datasets,
    docs,
    evaluations,
    generation,
    health,
    importing,
    openai_chat,
    openai_embeddings,
    openai_files,
    openai_fine_tuning,
    openai_models,
    search,
)
from app.api.errors import install_error_handlers
from app.api.guard import LOOPBACK_HOSTS, Guard
from app.api.schemas.common import FAULTS
from app.jobs.supervisor import Supervisor
from app.services.chat_process import chat_process
from app.services.context import Services, open_services, worker_config
from app.services.embedders import check_embedder
from app.settings import Settings
from corpora.errors import InvalidInputError, MalmoiError

__all__ = ["KINDS_PATH", "create_app", "serve"]

KINDS_PATH = "app.services.kinds:KINDS"
_ROUTERS = (
    corpora,
    search,
    generation,
    datasets,
    importing,
    evaluations,
    openai_files,
    openai_fine_tuning,
    # Before the models: their path takes everything.
    adapters,
    openai_models,
    openai_chat,
    openai_embeddings,
)
_ABOUT = "Korean documents in, curated instruction dataset out, model fine-tuned. Every error has OpenAI's shape."


def _operation_id(route: APIRoute) -> str:
    """``fine_tuning_create_job``: short and unique; generated clients make method names of it."""
    return "_".join([*map(str, route.tags), route.name]).replace(" ", "_").replace("-", "_")


def create_app(services: Services, supervisor: Supervisor | None = None) -> FastAPI:
    """The application on ``services``; a given supervisor starts and stops with it."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if supervisor is not None:
            supervisor.start()
        try:
            yield
        finally:
            if supervisor is not None:
                supervisor.stop()
            app.state.chat.close()
            services.store.dispose()

    app = FastAPI(
        title="Malmoi",
        version="0.1.0",
        description=_ABOUT,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        docs_url=None,  # `app.api.docs` serves them without a network
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    app.state.services = services
    app.state.chat = chat_process(services)
    install_error_handlers(app)
    # Only described here: the guard checks keys before anything else runs.
    key = HTTPBearer(scheme_name="api_key", description="Not asked for on a loopback address.", auto_error=False)
    for module in _ROUTERS:
        app.include_router(module.router, responses=FAULTS, dependencies=[Security(key)])
    app.include_router(health.router, responses=FAULTS)
    app.include_router(docs.router)
    settings = services.settings
    app.add_middleware(
        Guard,
        keys=[key.get_secret_value() for key in settings.api_keys],
        allowed_hosts=settings.allowed_hosts,
        max_body=settings.max_upload_mb * 2**20,
    )
    return app


class AddressError(MalmoiError):
    """The service cannot listen on its address."""

    code = "address_unavailable"


def _bind(settings: Settings) -> socket.socket:
    """A listening socket, so that a taken port is one line and not a traceback."""
    if settings.host not in LOOPBACK_HOSTS and not settings.api_keys:
        raise InvalidInputError(
            f"Refusing to listen on {settings.host} without API keys: anyone on the network could use this service. "
            "Set MALMOI_API_KEYS, or listen on 127.0.0.1.",
            param="host",
            code="api_keys_required",
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as exc:
        listener.close()
        raise AddressError(
            f"Cannot listen on {settings.host}:{settings.port}: {exc.strerror}. Choose another with --port, or stop "
            "what runs there."
        ) from exc
    return listener


class _Server(uvicorn.Server):
    """uvicorn that says its address in one line once it answers, and ends event streams when it is to stop."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self.app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"malmoi: http://{shown}:{port}", flush=True)  # noqa: T201 -- the promised line

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.app.state.closing = True
        await super().shutdown(sockets)


def serve(settings: Settings) -> None:
    """Serve until asked to stop.

    Raises:
        MalmoiError: the address, the keys, the embedder or the data directory do not allow it.
    """
    check_embedder(settings)
    listener = _bind(settings)
    try:
        services = open_services(settings)
        supervisor = None
        if settings.workers:
            supervisor = Supervisor(services.store, worker_config(settings), KINDS_PATH, workers=settings.workers)
            services = replace(services, wake=supervisor.wake)
        app = create_app(services, supervisor)
        config = uvicorn.Config(app, log_level=logging.WARNING, access_log=False)
        _Server(config, app).run(sockets=[listener])
    finally:
        listener.close()
