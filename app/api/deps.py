"""What routes are handed: the opened services and the chat process, kept on the application's state."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from app.services.chat_process import ChatProcess
from app.services.context import Services

__all__ = ["ChatDep", "ServicesDep"]


def _services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


def _chat(request: Request) -> ChatProcess:
    return cast(ChatProcess, request.app.state.chat)


ServicesDep = Annotated[Services, Depends(_services)]
ChatDep = Annotated[ChatProcess, Depends(_chat)]
