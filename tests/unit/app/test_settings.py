"""Where settings come from, what is refused, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import explain_settings, load_settings, without_passwords
from corpora.errors import InvalidInputError


def test_a_flag_comes_before_the_environment_before_the_file(tmp_path: Path) -> None:
    config = tmp_path / "malmoi.toml"
    config.write_text('host = "file.example"\nport = 1\nmodel = "file"\n', encoding="utf-8")
    environ = {"MALMOI_PORT": "2", "MALMOI_MODEL": "environment"}
    settings = load_settings({"model": "flag", "host": None}, environ=environ, config=config)
    assert (settings.host, settings.port, settings.model) == ("file.example", 2, "flag")
    sources = {line.name: line.source for line in explain_settings({"model": "flag"}, environ=environ, config=config)}
    assert sources["HOST"] == str(config)
    assert (sources["PORT"], sources["MODEL"], sources["WORKERS"]) == ("environment", "flag", "default")


def test_isolated_settings_come_from_flags_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "malmoi.toml").write_text('database_url = "postgresql+psycopg://u:p@h/db"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MALMOI_MODEL", "environment")
    assert load_settings().database_url is not None
    isolated = load_settings({"port": 0}, isolated=True)
    assert (isolated.database_url, isolated.model, isolated.port) == (None, None, 0)


def test_a_file_that_was_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={}).port == 8000  # the usual one need not be
    with pytest.raises(InvalidInputError, match=r"nope\.toml"):
        load_settings(environ={}, config=tmp_path / "nope.toml")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load_settings(environ={}, config=tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "postgresql",
        "mysql://u:geheim@h/db",
        "postgresql+asyncpg://u:geheim@h/db",
        "postgresql+psycopg://u:geheim@h:port/db",
        "postgresql+psycopg://u:geheim@[h/db",
    ],
)
def test_what_is_no_database_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        load_settings(environ={"MALMOI_DATABASE_URL": url}, isolated=False)
    assert caught.value.message.startswith("setting DATABASE_URL: no database URL")
    assert "geheim" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://u:geheim@h/db", "postgresql+psycopg://u:**********@h/db"),
        ("postgresql+psycopg://u:ge@he/i:m@h:5432/db", "postgresql+psycopg://u:**********@h:5432/db"),
        ("postgresql://:geheim@h/db", "postgresql://:**********@h/db"),
        ("postgresql://h/db?user=u&password=geheim&sslmode=require", None),
        ("postgresql+psycopg://u@h:5432/db?application_name=malmoi", "="),
        ("sqlite:////srv/malmoi/malmoi.db", "="),
        ("http://127.0.0.1:8080/v1", "="),
        ("C:@창고", "="),
    ],
)
def test_passwords_are_masked(url: str, shown: str | None) -> None:
    expected = "postgresql://h/db?user=u&password=**********&sslmode=require" if shown is None else shown
    assert without_passwords(url) == (url if expected == "=" else expected)


def test_no_secret_is_among_the_shown_settings() -> None:
    environ = {
        "MALMOI_DATABASE_URL": "postgresql+psycopg://u:geheim@h/db",
        "MALMOI_API_KEYS": "geheim-1,geheim-2",
        "MALMOI_MODEL_API_KEY": "geheim",
        "MALMOI_MODEL_BASE_URL": "https://u:geheim@example.org/v1",
    }
    lines = {line.name: line.value for line in explain_settings(environ=environ)}
    assert not any("geheim" in value for value in lines.values())
    assert lines["DATABASE_URL"] == "postgresql+psycopg://u:**********@h/db"
