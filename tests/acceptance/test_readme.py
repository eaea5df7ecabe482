"""The README's Python is run as it stands, against a started service; only the address is another."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_kill import Endpoint

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "http://127.0.0.1:8000"
#: By the README's order: the road by hand, then a search and the request for a language model, which go on from it.
BY_HAND, SEARCH, WITH_A_MODEL = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S
)
FINE_TUNE = "\n# 4."


def run(source: str, service: Any, folder: Path) -> str:
    """Run it where the README runs it: a folder that holds ``corpora``."""
    assert source.count(ADDRESS) == 1
    (folder / "corpora").symlink_to(ROOT / "corpora")
    command = [sys.executable, "-c", source.replace(ADDRESS, service.address)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=1700, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_documents_to_dataset(service: Any, tmp_path: Path) -> None:
    steps, separator, _ = BY_HAND.partition(FINE_TUNE)
    assert separator
    said = run(f"{steps}\n{SEARCH}", service, tmp_path).splitlines()
    assert re.fullmatch(r"[1-9][0-9]* chunks", said[0])
    assert said[1].startswith("succeeded ")
    assert "반품" in "".join(said[3:])
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    job = service.ok("GET", "/generation/jobs?limit=1")["data"][0]
    assert job["progress"]["accepted"] >= 60
    # "One document in ten is held out: of the twelve pages one."
    documents = service.ok("GET", f"/corpora/{job['corpus_id']}/documents?limit=100")["data"]
    assert (len(documents), sum(bool(document["heldout"]) for document in documents)) == (12, 1)
    assert 10 <= len(rows) < job["progress"]["accepted"]


@pytest.mark.long
def test_generators_that_ask_a_model(start_service: Any, tmp_path: Path) -> None:
    endpoint = Endpoint(tmp_path)
    try:
        service = start_service(MALMOI_MODEL_BASE_URL=endpoint.url, MALMOI_MODEL="scripted", MALMOI_MODEL_API_KEY="k")
        steps = BY_HAND.partition("\n# 2.")[0]
        run(f"{steps}\n{WITH_A_MODEL}", service, tmp_path)
        job = service.ok("GET", "/generation/jobs?limit=1")["data"][0]
        assert job["progress"]["target"] == 500
        service.ok("POST", f"/generation/jobs/{job['id']}/cancel")
        service.close()
    finally:
        endpoint.close()


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_whole_road_by_hand(start_service: Any, tmp_path: Path) -> None:
    said = run(BY_HAND, start_service(), tmp_path).splitlines()
    assert "succeeded None" in said
    question, arrow, answer = said[-1].partition(" -> ")
    assert question
    assert arrow
    assert answer
