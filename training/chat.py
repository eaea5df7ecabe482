"""Chat with a base or an adapter: requests and answers as JSON lines, the last model kept in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO

import torch
from peft import PeftModel

from corpora.errors import InvalidInputError, MalmoiError
from training.encoding import prompt_ids
from training.loading import load_base, load_tokenizer
from training.recipes import RECIPES
from training.templates import load_template

__all__ = ["Chat", "serve"]


class Chat:
    """Answers conversations; loads a model when a request names another one than the last."""

    def __init__(self) -> None:
        self._loaded: tuple[str, str | None] | None = None
        self._model: Any = None
        self._tokenizer: Any = None

    def _load(self, base: str, adapter: str | None) -> None:
        if self._loaded == (base, adapter):
            return
        self._loaded, self._model = None, None
        self._tokenizer = load_tokenizer(base)
        model = load_base(base)
        if adapter is not None:
            model = PeftModel.from_pretrained(model, adapter)
        model.eval()
        self._model, self._loaded = model, (base, adapter)

    @torch.no_grad()
    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Text, why it ended and token counts.

        Raises:
            InvalidInputError: the conversation leaves no room for an answer in the model's context.
        """
        named = request["model"]
        self._load(named["base"], named["adapter"])
        tokenizer, model = self._tokenizer, self._model
        ids = prompt_ids(request["messages"], tokenizer, load_template(RECIPES[named["recipe"]].template))
        room = int(model.config.max_position_embeddings) - len(ids)
        if room < 1:
            raise InvalidInputError(
                f"The conversation is {len(ids)} tokens long and the model's context "
                f"{model.config.max_position_embeddings}.",
                param="messages",
                code="context_length_exceeded",
            )
        tokens = torch.tensor([ids], device=model.device)
        greedy = request["temperature"] == 0
        if request.get("seed") is not None:
            torch.manual_seed(request["seed"])
        sampling = {} if greedy else {"temperature": request["temperature"], "top_p": request["top_p"], "top_k": 0}
        stops = request.get("stop") or []
        output = model.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=min(request["max_tokens"], room),
            do_sample=not greedy,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **sampling,
            **({"stop_strings": stops, "tokenizer": tokenizer} if stops else {}),
        )[0][len(ids) :].tolist()
        stopped = bool(output) and output[-1] == tokenizer.eos_token_id
        text = tokenizer.decode(output, skip_special_tokens=True)
        cut = min((text.find(stop) for stop in stops if stop in text), default=-1)
        if cut >= 0:
            text, stopped = text[:cut], True
        return {
            "text": text,
            "finish_reason": "stop" if stopped else "length",
            "prompt_tokens": len(ids),
            "completion_tokens": len(output),
        }


def serve(lines: Iterable[str], out: TextIO) -> None:
    """Answer every request line until the input ends."""
    chat = Chat()
    for line in lines:
        request = json.loads(line)
        answer: dict[str, Any] = {"id": request["id"]}
        try:
            answer |= chat.answer(request)
        except MalmoiError as exc:
            answer["error"] = {"message": exc.message, "code": exc.code, "status": exc.status, "param": exc.param}
        except (RuntimeError, ValueError, OSError) as exc:
            answer["error"] = {"message": f"The model could not answer: {exc}", "code": "chat_failed", "status": 500}
        out.write(json.dumps(answer, ensure_ascii=False) + "\n")
        out.flush()
