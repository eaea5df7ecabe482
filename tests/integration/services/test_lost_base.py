"""A fine-tuned model whose base is gone says so, and is refused where it would be loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.services.adapters_merge import MergeRequest, create_merge
from app.services.context import Services
from app.services.evaluation_request import resolve_targets
from app.services.models import chat_target, get_model, list_models
from app.store.queries import listed
from app.store.tables import AdapterRow, JobRow
from corpora.errors import NotFoundError
from training.refusals import ADAPTER_CONFIG, ADAPTER_WEIGHTS

TUNED = "ft:아기:malmoi:물류:00000001"


@pytest.fixture
def base(services: Services, tmp_path: Path) -> Path:
    """The base of ``TUNED``, which is there."""
    base, adapter = tmp_path / "models" / "아기", tmp_path / "adapter"
    base.mkdir(parents=True)
    adapter.mkdir()
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 600}
    (base / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (base / "model.safetensors").write_bytes(b"")
    lora = {"peft_type": "LORA", "r": 4, "base_model_name_or_path": str(base)}
    (adapter / ADAPTER_CONFIG).write_text(json.dumps(lora), encoding="utf-8")
    (adapter / ADAPTER_WEIGHTS).write_bytes(b"x")
    with services.store.write() as session:
        fields = {"job_id": "ftjob-1", "base_model": "아기", "recipe": "demo", "created_at": 1.0}
        session.add(AdapterRow(id=TUNED, base_path=str(base), path=str(adapter), **fields))
    return base


def test_a_model_without_its_base_is_not_ready_and_is_refused_at_once(services: Services, base: Path) -> None:
    assert get_model(services, TUNED)["ready"]
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    assert get_model(services, TUNED)["licence"] == "apache-2.0"
    assert chat_target(services, TUNED).base_path == str(base)
    shutil.rmtree(base)
    told = get_model(services, TUNED)
    assert not told["ready"]
    assert str(base) in told["problem"]
    assert told in list_models(services)
    refused: tuple[Callable[[], object], ...] = (
        lambda: chat_target(services, TUNED),
        lambda: resolve_targets(services, TUNED, TUNED),
        lambda: create_merge(services, TUNED, MergeRequest()),
    )
    for ask in refused:
        with pytest.raises(NotFoundError) as caught:
            ask()
        assert caught.value.code == "base_model_missing"
        assert str(base) in caught.value.message
    with services.store.read() as session:
        assert listed(session, JobRow) == []
