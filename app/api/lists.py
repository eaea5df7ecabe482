"""Lists in OpenAI's shape, paged by id, and the query parameters that every list takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from pydantic import BaseModel

__all__ = ["ListQuery", "Page", "list_body"]


class Page(BaseModel):
    """Where a page starts, how long it is and which way it runs."""

    after: str | None = None
    limit: int = 20
    order: Literal["asc", "desc"] = "desc"


def _page(
    after: Annotated[str | None, Query(description="Id of the last object of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> Page:
    return Page(after=after, limit=limit, order=order)


ListQuery = Annotated[Page, Depends(_page)]


def list_body(data: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """``data`` as an OpenAI list object."""
    return {
        "object": "list",
        "data": data,
        "has_more": has_more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }
