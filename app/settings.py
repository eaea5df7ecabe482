"""Every setting of the service in one class; nothing else in the house reads the environment.

A value comes from a command-line flag, else from ``MALMOI_<NAME>``, else from ``malmoi.toml`` in the working
directory, else from the default here. ``malmoi settings`` prints each with its source. Use ``load_settings(...)``;
``isolated=True`` takes flags and defaults only, whatever lies in the environment and in the working directory.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from corpora.errors import InvalidInputError

__all__ = ["ENV_PREFIX", "SettingLine", "Settings", "explain_settings", "load_settings", "without_passwords"]

ENV_PREFIX = "MALMOI_"
CONFIG_FILE = "malmoi.toml"
#: Databases that the store runs on, by the scheme of their URL.
DATABASES = ("sqlite", "postgresql", "postgresql+psycopg")
MASK = "**********"
# Up to the last @: a password with a bare @ or / in it must not show its tail.
_USERINFO = re.compile(r"(?<=://)([^:/@?#]*):.*@", re.DOTALL)
_PASSWORD_PARAMETER = re.compile(r"([?&;][^=&;]*(?:password|secret|token|key)[^=&;]*=)[^&;]*", re.IGNORECASE)


#: US dollars per million tokens; six decimals make every token a whole number of picodollars.
TokenPrice = Annotated[Decimal, Field(ge=0, le=100_000, decimal_places=6)]


class Settings(BaseModel):
    """All settings, validated and frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(Path("malmoi-data"), description="Folder of the store, files, indexes and adapters.")
    database_url: str | None = Field(None, description="SQLAlchemy URL; SQLite in the data folder when empty.")
    host: str = Field("127.0.0.1", description="Address to listen on; any but loopback needs API keys.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    api_keys: tuple[SecretStr, ...] = Field((), description="Keys that clients send as bearer tokens.")
    allowed_hosts: tuple[str, ...] = Field((), description="Further host names by which clients may call the service.")
    model_base_url: str | None = Field(None, description="OpenAI-compatible endpoint that generators ask.")
    model_api_key: SecretStr | None = Field(None, description="Key for the model endpoint.")
    model: str | None = Field(None, description="Default model name at the endpoint.")
    judge_model: str | None = Field(None, description="Model that judges what the rules let through; none judges.")
    model_prices: dict[str, tuple[TokenPrice, TokenPrice]] = Field(
        {},
        description="What models cost: name to US dollars per million tokens, [prompt, completion]; JSON or TOML.",
    )
    model_concurrency: int = Field(8, ge=1, le=1024, description="Requests to the endpoint in flight at once.")
    model_timeout_s: float = Field(120.0, gt=0, description="Seconds to wait for one reply of the endpoint.")
    model_requests_per_minute: float | None = Field(
        None, ge=1, description="Requests a minute at the endpoint; its own headers say it where they do."
    )
    model_tokens_per_minute: float | None = Field(None, ge=1, description="Tokens a minute at the endpoint, likewise.")
    model_down_after_s: float = Field(
        600.0, gt=0, description="Seconds of nothing but failures after which a job pauses."
    )
    embedder: str = Field(
        "hashed",
        max_length=1024,
        description="What embeds: 'hashed' (no weights), a sentence-transformers name or folder, 'openai:<model>'.",
    )
    embedder_base_url: str | None = Field(
        None, description="OpenAI-compatible endpoint of 'openai:<model>' embedders; MODEL_BASE_URL when empty."
    )
    embedder_api_key: SecretStr | None = Field(
        None, description="Key for it; MODEL_API_KEY when empty and both endpoints are on one host."
    )
    embedder_query_prefix: str | None = Field(
        None, max_length=2000, description="Set before questions; the model's own configuration when not given."
    )
    embedder_passage_prefix: str | None = Field(
        None, max_length=2000, description="Set before passages; the model's own configuration when not given."
    )
    embedder_semantic_threshold: float | None = Field(
        None, gt=0, le=1, description="Cosine of semantic duplicates for all embedders but 'hashed'; 0.92 when empty."
    )
    embedder_device: str = Field("cpu", description="Where a sentence-transformers model runs, as torch names it.")
    models_dir: Path | None = Field(None, description="Folder of base models, each usable by its folder's name.")
    train_gpus: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = Field(
        "auto",
        description="GPUs of one training, by `accelerate launch` from two on; 'auto' leaves the last to chat.",
    )
    chat_idle_s: float = Field(
        600.0, gt=0, description="Seconds without a question after which the chat model leaves the memory."
    )
    hub_upload: bool = Field(
        False, description="Whether fine-tuned models may be uploaded to the Hugging Face hub, with HF_TOKEN."
    )
    max_upload_mb: int = Field(512, ge=1, description="Largest request body in MB.")
    url_documents: bool = Field(
        False, description="Whether documents may be fetched from URLs that clients name; public addresses only."
    )
    url_max_mb: int = Field(64, ge=1, description="Largest file behind a URL in MB, compressed or not.")
    url_timeout_s: float = Field(60.0, gt=0, description="Seconds for one URL with all its redirects.")
    workers: int = Field(
        2,
        ge=0,
        le=64,
        description="Jobs that run at once in `serve`, one training beside them; 0 leaves all to others.",
    )

    @field_validator("embedder")
    @classmethod
    def _known_embedder(cls, spec: str) -> str:
        """Refuse what can name no embedder; whether a folder is there is seen when the service starts."""
        if not spec.strip() or spec != spec.strip() or not spec.isprintable() or spec == "openai:":
            raise ValueError("no embedder; write hashed, openai:<model>, or a sentence-transformers name or folder")
        return spec

    @field_validator("embedder_base_url")
    @classmethod
    def _web_address(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"https?://[^\s/]+\S*", url):
            raise ValueError("no address of an API; write https://api.example.com/v1")
        return url

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str | None) -> str | None:
        """Refuse what is no database URL, without repeating it: it may hold a password."""
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            # Reading the port checks it.
            fits = parts.scheme in DATABASES and "://" in url and (parts.port is None or parts.port > 0)
        except ValueError:
            fits = False
        if not fits:
            raise ValueError("no database URL; write postgresql+psycopg://user:password@host:5432/name")
        return url


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingLine:
    """One setting as ``malmoi settings`` shows it."""

    name: str  #: Name as in ``MALMOI_<NAME>``.
    value: str  #: Its value; secrets are masked.
    source: str  #: ``flag``, ``environment``, the settings file or ``default``.
    description: str  #: One sentence.


def _from_environment(environ: dict[str, str]) -> dict[str, Any]:
    """Values named in the environment; tuples are comma-separated there."""
    values: dict[str, Any] = {}
    for name in Settings.model_fields:
        raw = environ.get(ENV_PREFIX + name.upper())
        if raw is None or raw == "":
            continue
        if name in ("api_keys", "allowed_hosts"):
            values[name] = tuple(part.strip() for part in raw.split(",") if part.strip())
        elif name == "model_prices":
            values[name] = _table(name, raw)
        else:
            values[name] = raw
    return values


def _table(name: str, raw: str) -> Any:
    """A JSON object; its numbers keep their decimal digits."""
    try:
        return json.loads(raw, parse_float=Decimal)
    except ValueError as exc:
        raise InvalidInputError(
            f'setting {name.upper()}: no JSON object ({exc}); write {{"gpt-4o-mini": ["0.15", "0.60"]}}.', param=name
        ) from exc


def _from_file(config: Path | None) -> dict[str, Any]:
    """Values of the file that was named, which must be there, or of the usual one, which need not be."""
    path = config or Path(CONFIG_FILE)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if config is None:
            return {}
        raise InvalidInputError(f"There is no settings file {path}.", param="config", code="file_not_found") from None
    except OSError as exc:
        raise InvalidInputError(f"The settings file {path} cannot be read: {exc.strerror}.", param="config") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InvalidInputError(f"{path} is not valid TOML: {exc}") from exc
    return {name.lower(): value for name, value in values.items()}


def _layers(
    flags: dict[str, Any], environ: dict[str, str] | None, config: Path | None, *, isolated: bool
) -> list[tuple[str, Any]]:
    given = [("flag", {name: value for name, value in flags.items() if value is not None})]
    if isolated:
        return given
    return [
        *given,
        ("environment", _from_environment(dict(os.environ) if environ is None else environ)),
        (str(config or CONFIG_FILE), _from_file(config)),
    ]


def load_settings(
    flags: dict[str, Any] | None = None,
    *,
    environ: dict[str, str] | None = None,
    config: Path | None = None,
    isolated: bool = False,
) -> Settings:
    """Settings from flags, environment and file, in that order of precedence.

    Args:
        flags: Values of the command line; None is one that was not given.
        environ: Instead of this process's environment.
        config: Settings file instead of ``./malmoi.toml``.
        isolated: Flags and defaults only.

    Raises:
        InvalidInputError: a value does not fit its setting, a name in the file is unknown, or the file that was named
            is not there.
    """
    merged: dict[str, Any] = {}
    for _, values in reversed(_layers(flags or {}, environ, config, isolated=isolated)):
        merged.update(values)
    try:
        return Settings.model_validate(merged)
    except ValidationError as exc:
        first = exc.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidInputError(
            f"setting {name.upper()}: {first['msg'].removeprefix('Value error, ')}",
            param=name,
            hint="Run `malmoi settings` to see all settings.",
        ) from exc


def without_passwords(value: str) -> str:
    """``value`` fit to be shown: an address in it keeps its user and loses every password, written in whichever way."""
    return _PASSWORD_PARAMETER.sub(rf"\g<1>{MASK}", _USERINFO.sub(rf"\g<1>:{MASK}@", value))


def explain_settings(
    flags: dict[str, Any] | None = None,
    *,
    environ: dict[str, str] | None = None,
    config: Path | None = None,
    isolated: bool = False,
) -> list[SettingLine]:
    """Every setting with its value, its source and its sentence; no secret is shown."""
    settings = load_settings(flags, environ=environ, config=config, isolated=isolated)
    layers = _layers(flags or {}, environ, config, isolated=isolated)
    lines = []
    for name, field in Settings.model_fields.items():
        value = settings.model_dump(mode="json")[name]
        source = next((label for label, values in layers if name in values), "default")
        shown = without_passwords(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines.append(SettingLine(name=name.upper(), value=shown, source=source, description=field.description or ""))
    return lines
