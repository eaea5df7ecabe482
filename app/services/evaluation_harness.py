"""KoBEST and KLUE through lm-evaluation-harness, an optional extra: commands, task files, reading its results.

KoBEST (Kim et al. 2022, arXiv:2204.04541) comes with the harness as the group ``kobest``. KLUE (Park et al. 2021,
arXiv:2105.09680) does not: its topic classification and inference tasks are written here as task files of the harness's
own form, with prompts of ours, so their figures compare with each other and not with anybody's table.

The models are loaded by the harness in bfloat16, not in NF4: version 0.4.12 hands ``load_in_4bit`` to transformers,
which no longer takes it. Both benchmarks are downloaded from the Hugging Face hub by the harness.

What was tried: flags, task names and the form of the results were read from the harness's own source (lm_eval 0.4.12)
and commands and files are tested against it. The harness itself was **not** run: it is not installed here, and a
benchmark needs the hub.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from corpora.errors import MalmoiError, MissingExtraError

__all__ = ["BENCHMARKS", "harness_command", "read_results", "require_harness", "write_tasks"]

EXTRA = "harness"
#: What a request may name, and the harness's tasks behind it.
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "kobest": ("kobest_boolq", "kobest_copa", "kobest_hellaswag", "kobest_sentineg", "kobest_wic"),
    "klue": ("malmoi_klue_ynat", "malmoi_klue_nli"),
}
_ACCURACY = {"metric": "acc", "aggregation": "mean", "higher_is_better": True}
#: KLUE in the harness's form (its docs/task_guide.md); JSON is YAML. Labels are in the order of the dataset's own.
_KLUE: dict[str, dict[str, Any]] = {
    "malmoi_klue_ynat": {
        "dataset_name": "ynat",
        "doc_to_text": "기사 제목: {{title}}\n분야:",
        "doc_to_choice": ["IT과학", "경제", "사회", "생활문화", "세계", "스포츠", "정치"],
    },
    "malmoi_klue_nli": {
        "dataset_name": "nli",
        "doc_to_text": "전제: {{premise}}\n가설: {{hypothesis}}\n전제가 참일 때 가설은",
        "doc_to_choice": ["참이다", "알 수 없다", "거짓이다"],
    },
}


class HarnessError(MalmoiError):
    """The harness ended without results."""

    code = "harness_failed"
    hint = "Its log lies in the folder of the run; it needs the Hugging Face hub for its benchmarks."


def require_harness() -> None:
    """Refuse a benchmark where the harness is not installed.

    Raises:
        MissingExtraError: it is not; the message names the pip line.
    """
    if find_spec("lm_eval") is None:
        raise MissingExtraError(EXTRA, "A benchmark (kobest, klue)")


def write_tasks(folder: Path) -> Path:
    """Write the task files of KLUE and return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, task in _KLUE.items():
        whole = {
            "task": name,
            "dataset_path": "klue/klue",
            "output_type": "multiple_choice",
            "training_split": "train",
            "validation_split": "validation",
            "doc_to_target": "label",
            "metric_list": [_ACCURACY],
            "metadata": {"version": 1.0},
            **task,
        }
        (folder / f"{name}.yaml").write_text(json.dumps(whole, ensure_ascii=False, indent=1), encoding="utf-8")
    return folder


def harness_command(
    base: str,
    adapter: str | None,
    benchmarks: Sequence[str],
    *,
    tasks: Path,
    output: Path,
    seed: int,
    limit: int | None = None,
) -> list[str]:
    """The harness's command line for one model.

    Args:
        base: Folder or hub name of the base.
        adapter: Folder of the adapter, or None.
        benchmarks: Some of ``BENCHMARKS``.
        tasks: Folder of ``write_tasks``.
        output: Folder of its results.
        seed: Of its few-shot draws.
        limit: Most questions of each task; None for all.

    Raises:
        HarnessError: a path holds a comma or an equals sign, which the harness's arguments cannot carry.
    """
    arguments = {"pretrained": base, "dtype": "bfloat16", "trust_remote_code": "False"}
    if adapter is not None:
        arguments["peft"] = adapter
    for value in arguments.values():
        if "," in value or "=" in value:
            raise HarnessError(f"'{value}' holds a comma or an equals sign; the harness cannot be given such a path.")
    names = [task for benchmark in benchmarks for task in BENCHMARKS[benchmark]]
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf"]
    command += ["--model_args", ",".join(f"{name}={value}" for name, value in arguments.items())]
    command += ["--tasks", ",".join(names), "--include_path", str(tasks), "--output_path", str(output)]
    command += ["--batch_size", "auto", "--seed", str(seed)]
    return command + (["--limit", str(limit)] if limit is not None else [])


def read_results(output: Path) -> dict[str, dict[str, float]]:
    """Figures by task and metric, of the newest results under ``output``.

    Raises:
        HarnessError: there are none.
    """
    files = sorted(output.rglob("results_*.json"))
    if not files:
        raise HarnessError(f"The harness wrote no results into {output}.")
    results: Mapping[str, Mapping[str, Any]] = json.loads(files[-1].read_text(encoding="utf-8"))["results"]
    return {
        task: {
            # "acc,none": the name of the metric and of the filter that the answers went through.
            name.partition(",")[0]: float(value)
            for name, value in found.items()
            if isinstance(value, int | float) and name.partition(",")[0] not in ("alias", "sample_len")
        }
        for task, found in results.items()
    }
