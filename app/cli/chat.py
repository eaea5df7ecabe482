"""``malmoi chat``: talk with a base, a checkpoint or an adapter in the terminal, no server needed.

On a terminal a conversation, until ``/끝`` or Ctrl-D; ``/새로`` forgets what was said, Ctrl-C ends an answer. In a pipe
one question, all of it, and one answer; with ``--lines`` each line is a question by itself. What the answer rests on
(``--corpus``) goes to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import queue
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora.errors import InvalidInputError

if TYPE_CHECKING:
    from app.services.chat import ChatRequest, Conversation
    from app.services.chat_process import Tell

__all__ = ["add_chat", "run_chat"]

Commands = Any  # argparse's own type is private
#: Asks for a completion; the events go to the function.
Ask = Callable[["ChatRequest", "Tell"], "Conversation"]
END, ANEW = ("/끝", "/exit", "/quit"), ("/새로", "/new")
#: Seconds between two looks at the keyboard while an answer is waited for.
POLL_S = 0.2


def add_chat(commands: Commands) -> None:
    """Declare ``malmoi chat``."""
    command = commands.add_parser(
        "chat",
        help="talk with a base model or an adapter",
        description="On a terminal a conversation. In a pipe all of it is one question; with --lines each line is.",
    )
    add = command.add_argument
    add("model", help="folder of an adapter, checkpoint or base model, or a model's name in the service's store")
    add("--base", help="folder or hub name of the adapter's base, where it is not where it was trained")
    add("--recipe", help="recipe whose template is used where an adapter's folder brings none")
    add("--system", help="what the model is told before the conversation")
    # Temperature and nucleus of the chat script that comes with EEVE-Korean's fine-tune.
    add("--temperature", type=float, default=0.7, help="0 takes the likeliest token (default 0.7)")
    add("--top-p", type=float, default=0.9, help="nucleus (default 0.9)")
    add("--max-tokens", type=int, default=512, help="most tokens of an answer (default 512)")
    add("--seed", type=int, help="makes answers repeatable")
    add(
        "--lines",
        action="store_true",
        help="in a pipe: each line is a question by itself, a blank line after each answer",
    )
    add("--corpus", metavar="ID", help="show the model passages of this corpus of the store")
    add("--passages", type=int, default=5, help="passages to look for (default 5)")
    add("--data-dir", type=Path, help="folder of the service's store")
    add("--config", type=Path, help="settings file instead of ./malmoi.toml")


def run_chat(arguments: argparse.Namespace) -> None:
    """Run ``malmoi chat``."""
    _check(arguments)
    if sys.stdin.isatty():
        with _opened(arguments) as ask:
            _converse(arguments, ask)
        return
    try:
        question = sys.stdin.buffer.read().decode("utf-8-sig").strip()
    except UnicodeDecodeError as exc:
        raise InvalidInputError("The question is not in UTF-8.", param="messages") from exc
    questions = question.splitlines() if arguments.lines else [question]
    questions = [line.strip() for line in questions if line.strip()]
    if not questions:
        raise InvalidInputError("There is no question; write one into the pipe.", param="messages")
    with _opened(arguments) as ask:
        for question in questions:
            _answer(arguments, ask, [_user(question)])
            if arguments.lines:
                print(flush=True)


def _check(arguments: argparse.Namespace) -> None:
    bounds = (
        ("--temperature", 0 <= arguments.temperature <= 2, "from 0 to 2"),
        ("--top-p", 0 < arguments.top_p <= 1, "above 0 and at most 1"),
        ("--max-tokens", arguments.max_tokens >= 1, "1 or more"),
        ("--passages", 1 <= arguments.passages <= 20, "from 1 to 20"),
    )
    for name, good, words in bounds:
        if not good:
            raise InvalidInputError(f"{name} is a number {words}.", param=name.strip("-").replace("-", "_"))
    if not Path(arguments.model).is_dir() and (arguments.base or arguments.recipe):
        raise InvalidInputError("--base and --recipe go with a folder; a model of the store knows its own.")


@contextlib.contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[Ask]:
    """A way to ask the model, and the process behind it until the end."""
    from app.services.chat import begin_with
    from app.services.chat_context import Passage, find_passages
    from app.services.chat_folders import base_places, folder_target
    from app.services.chat_process import ChatProcess, chat_process
    from app.services.context import Services, open_services
    from app.services.demo_cache import demo_folder
    from app.services.devices import chat_environment, gpus
    from app.services.models import DEMO_MODEL, chat_target
    from app.settings import load_settings

    folder = Path(arguments.model)
    settings = load_settings({"data_dir": arguments.data_dir}, config=arguments.config)
    stored = settings.data_dir / "models" / DEMO_MODEL
    if arguments.model == DEMO_MODEL and not folder.is_dir() and not stored.is_dir():
        # What `malmoi train` has built without a store.
        folder = demo_folder() or folder
    services: Services | None = None
    with contextlib.ExitStack() as stack:
        if arguments.corpus is not None or not folder.is_dir():
            services = open_services(settings)
            stack.callback(services.store.dispose)
            process = chat_process(services)
        else:
            log = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="malmoi-"))) / "chat.log"
            process = ChatProcess(log, environ=chat_environment(gpus()))
        stack.callback(process.close)
        if folder.is_dir():
            places = base_places(settings)
            target = folder_target(folder, base=arguments.base, recipe=arguments.recipe, places=places)
        else:
            assert services is not None
            target = chat_target(services, arguments.model)

        def ask(request: ChatRequest, tell: Tell) -> Conversation:
            passages: tuple[Passage, ...] = ()
            if request.corpus_id is not None:
                assert services is not None
                passages = find_passages(services, request.corpus_id, request.messages, request.k)
            return begin_with(process, target, request, passages, tell)

        yield ask


def _converse(arguments: argparse.Namespace, ask: Ask) -> None:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 -- line editing; input() takes it up by itself
    print(f"{arguments.model}: 질문을 입력하세요. {ANEW[0]} 처음부터, {END[0]} 마침", file=sys.stderr)
    turns: list[dict[str, str]] = []
    while True:
        try:
            line = input("나> ").strip()
        except EOFError:
            print(file=sys.stderr)
            return
        if line in END:
            return
        if line in ANEW:
            turns = []
        elif line:
            print("말모이> ", end="", flush=True)
            asked = [*turns, _user(line)]
            try:
                text = _answer(arguments, ask, asked)
            except KeyboardInterrupt:
                print(" (중단)")
                continue
            except InvalidInputError as exc:
                # One question too long, say, ends no conversation.
                print(f"\nmalmoi: {exc.message}", file=sys.stderr)
                continue
            turns = [*asked, {"role": "assistant", "content": text}]


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": unicodedata.normalize("NFC", text)}


def _answer(arguments: argparse.Namespace, ask: Ask, turns: list[dict[str, str]]) -> str:
    """Ask, write the answer as it comes, and return it."""
    from app.services.chat import ChatRequest

    told = [] if arguments.system is None else [{"role": "system", "content": arguments.system}]
    request = ChatRequest(
        model=arguments.model,
        messages=[*told, *turns],
        max_tokens=arguments.max_tokens,
        sampling={
            "temperature": arguments.temperature,
            "top_p": arguments.top_p,
            **({} if arguments.seed is None else {"seed": arguments.seed}),
        },
        corpus_id=arguments.corpus,
        k=arguments.passages,
    )
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    conversation = ask(request, inbox.put)
    try:
        _write(conversation, inbox)
    finally:
        conversation.cancel()
    completion = conversation.completion()
    for citation in completion.get("citations", ()):
        where = " > ".join(citation["headings"]) or citation["title"]
        span = f"{citation['document_id']} {citation['start']}-{citation['end']}"
        print(f"[{citation['index']}] {where} ({span}, {citation['score']:.2f})", file=sys.stderr)
    if completion["choices"][0]["finish_reason"] == "length":
        print("malmoi: 길이 제한에서 멈추었습니다 (--max-tokens).", file=sys.stderr)
    return str(completion["choices"][0]["message"]["content"])


def _write(conversation: Conversation, inbox: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Write the answer to standard output until it ends."""
    while True:
        try:
            event = inbox.get(timeout=POLL_S)
        except queue.Empty:
            continue
        for chunk in conversation.take(event):
            for choice in chunk["choices"]:
                print(choice["delta"].get("content") or "", end="", flush=True)
        if event["type"] == "end":
            print(flush=True)
            return
