"""What any trainer of TRL needs to survive: sealed checkpoints, resuming bit by bit, memory and disks that run out.

``SteadyMixin`` goes before TRL's trainer among the bases; it knows neither what is trained nor on what loss. ``keeper``
says where checkpoints go and who is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer

from training.checkpoints import SEAL, discard, retired, seal
from training.curves import Curves
from training.disk import disk_guard
from training.errors import DiskFullError, OutOfMemoryRunError, PrecisionError, TrainingDivergedError
from training.events import Events
from training.oom import give_back, pieces_of, ran_out, units_of
from training.pieces import forget_pieces, note_pieces, read_pieces
from training.results import checkpoint_metrics, rows_of
from training.warmup import risen

__all__ = ["Keeper", "SteadyMixin"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeper:
    """Where a run's checkpoints go and who is told."""

    folder: Path  #: Holds ``checkpoint-<step>`` folders.
    keep: int  #: The newest so many stay, and the best.
    events: Events
    curves: Curves

    def pieces(self) -> int:
        """Of a micro-batch, as an earlier attempt left them; 1 before memory ran out."""
        return read_pieces(self.folder.parent)

    def forget_pieces(self) -> None:
        """A run that begins anew tries whole micro-batches again."""
        forget_pieces(self.folder.parent)

    def note_pieces(self, pieces: int) -> None:
        """Remember for a later attempt."""
        note_pieces(self.folder.parent, pieces)


class SteadyMixin(Trainer):
    """Checkpoints, resuming and memory; to be mixed into one of TRL's trainers.

    PEFT loads a bfloat16 adapter as float32, and the curves part. The dtype must come back before the optimizer takes
    its state over: mended later, the moments stay float32 and the fused AdamW refuses them.

    A run that was killed after its last step, in mid-epoch, would take one step more: the library looks at the limit
    only after a step. The same where it had stopped early.
    """

    control: Any
    lr_scheduler: Any

    def __init__(self, *, keeper: Keeper, **arguments: Any) -> None:
        self.keeper = keeper
        self.pieces = keeper.pieces()
        self._update: list[dict[str, Any]] = []
        self._place = 0
        self._share = 1.0
        self._noted: tuple[dict[str, list[float]], int] = ({}, 0)
        super().__init__(**arguments)
        # Memory may have run out, or a guard have killed the run, in an evaluation as well.
        self.args.per_device_eval_batch_size = max(1, self.args.per_device_eval_batch_size // self.pieces)
        # It prints every line of the log; events say it all.
        self.remove_callback(PrinterCallback)

    # -- checkpoints

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step = self.state.global_step
        if not torch.isfinite(self._tr_loss).all():
            raise TrainingDivergedError(f"The loss is no number at step {step}; no checkpoint was made of it.")
        folder = self.keeper.folder / f"checkpoint-{step}"
        # A run that does not resume writes over what an earlier one left; that one's seal must not vouch for this.
        if self.args.should_save:
            (folder / SEAL).unlink(missing_ok=True)
        try:
            with disk_guard(self.keeper.folder):
                super()._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()
                if self.args.should_save:
                    # A pickle that nothing reads.
                    (folder / "training_args.bin").unlink(missing_ok=True)
                    seal(folder)
        except DiskFullError:
            discard(folder)
            raise
        if self.args.should_save:
            self._tell_and_retire(step, folder)

    def _tell_and_retire(self, step: int, folder: Path) -> None:
        """Say that a checkpoint is kept, and remove those that are too many; the newest and the best stay."""
        rows = rows_of(self.state.log_history)
        metrics = checkpoint_metrics(rows, step)
        data = {"step": step, "path": str(folder), "metrics": metrics}
        self.keeper.events.emit("checkpoint", f"{step}단계의 체크포인트를 저장했습니다.", data)
        self.keeper.curves.draw_now_and_then(rows)
        best = self.state.best_global_step
        for old_step, old in retired(self.keeper.folder, self.keeper.keep, best):
            discard(old)
            gone = {"step": old_step, "path": str(old)}
            self.keeper.events.emit("checkpoint_removed", f"{old_step}단계의 체크포인트를 지웠습니다.", gone)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with _precision_kept(self.model):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        with _precision_kept(self.model):
            super()._load_best_model()

    # -- the end

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps or self.stopped_early:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    @property
    def stopped_early(self) -> bool:
        """Whether the loss on held-out rows has stopped falling for as long as the run is patient."""
        return any(
            callback.early_stopping_patience_counter >= callback.early_stopping_patience
            for callback in self.callback_handler.callbacks
            if isinstance(callback, EarlyStoppingCallback)
        )

    def summed(self, values: list[float]) -> list[float]:
        """Numbers of this process added to those of all others."""
        if self.args.world_size == 1:
            return values
        mine = torch.tensor(values, dtype=torch.float64, device=self.args.device)
        return [float(value) for value in self.accelerator.reduce(mine, reduction="sum")]

    def agreed(self, asked: bool) -> bool:
        """Whether any process was asked; all of them hear the same."""
        return asked if self.args.world_size == 1 else self.summed([float(asked)])[0] > 0

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The library's, without its first update at rate 0."""
        if self.lr_scheduler is None:
            made = super().create_scheduler(num_training_steps, optimizer)
            warm = self.args.get_warmup_steps(num_training_steps)
            self.lr_scheduler = risen(made, optimizer or self.optimizer, warm)
        return self.lr_scheduler

    # -- memory

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Remember the micro-batches of this update, and what was counted before it."""
        batches, items = super().get_batch_samples(*args, **kwargs)
        self._update, self._place = batches, 0
        counted = {name: list(values) for name, values in self._metrics["train"].items()}
        self._noted = (counted, self._total_train_tokens)
        return batches, items

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """A piece's mean loss counts by its share; a loss that is divided by the tokens of the update is exact."""
        loss = super().compute_loss(*args, **kwargs)
        return loss if self._share == 1.0 else loss * self._share

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        """One micro-batch; where memory runs out, in halves, and so from then on.

        The gradient of an update that was begun is thrown away and made anew: a backward pass that dies half way has
        left parts of itself behind.
        """
        place, self._place = self._place, self._place + 1
        while True:
            try:
                return self._in_pieces(model, inputs, num_items_in_batch)
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
                self._shrink(_first_line(error))
            # Outside of the handler: its traceback holds the tensors of the pass that died.
            while not self._redo(model, self._update[:place], num_items_in_batch):
                continue

    def _redo(self, model: Any, batches: list[dict[str, Any]], items: Any) -> bool:
        """The micro-batches before this one again, from a clean gradient."""
        model.zero_grad()
        give_back()
        counted, tokens = self._noted
        self._metrics["train"].clear()
        self._metrics["train"].update({name: list(values) for name, values in counted.items()})
        self._total_train_tokens = tokens
        try:
            for batch in batches:
                self._in_pieces(model, batch, items)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            self._shrink(_first_line(error))
            return False
        return True

    def _in_pieces(self, model: Any, inputs: dict[str, Any], items: Any) -> Any:
        parts = pieces_of(inputs, self.pieces)
        total: Any = None
        for number, (part, share) in enumerate(parts):
            # Where the loss is divided by the tokens of the whole update, pieces add up as they are.
            self._share = 1.0 if items is not None else share
            last = number == len(parts) - 1
            with nullcontext() if last else self.accelerator.no_sync(model):
                loss = super().training_step(model, part, items)
            total = loss if total is None else total + loss
        self._share = 1.0
        return total

    def _shrink(self, why: str) -> None:
        """Cut micro-batches into twice as many pieces from now on.

        Raises:
            OutOfMemoryRunError: they cannot be cut any further; or several processes would part ways, and the next
                attempt begins with the smaller pieces.
        """
        self._share = 1.0
        most = max(units_of(batch) for batch in self._update)
        if self.pieces >= most:
            raise OutOfMemoryRunError(f"Memory does not suffice to train a single row of this length: {why}")
        self.pieces *= 2
        self.keeper.note_pieces(self.pieces)
        micro, accumulation = self.args.per_device_train_batch_size, self.args.gradient_accumulation_steps
        data = {"micro_batch": max(1, micro // self.pieces), "accumulation": accumulation * self.pieces,
                "code": OutOfMemoryRunError.code, "step": self.state.global_step + 1}  # fmt: skip
        if self.args.world_size > 1:
            error = OutOfMemoryRunError(f"Memory ran out on one of several processes: {why}")
            error.retryable = True
            error.hint = "The next attempt takes micro-batches of half the size."
            raise error
        self.keeper.events.emit(
            "message",
            "메모리가 부족하여 한 번에 계산하는 행을 절반으로 줄이고 누적을 두 배로 늘립니다. "
            f"한 번의 갱신은 누적 {data['accumulation']}번이며 쓰는 데이터는 같습니다.",
            data,
            "warn",
        )


def _first_line(error: BaseException) -> str:
    """What an allocator says, without the calls that led there."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _trained(model: Any) -> dict[str, torch.dtype]:
    return {name: p.dtype for name, p in model.named_parameters() if "lora_" in name}


@contextmanager
def _precision_kept(model: Any) -> Iterator[None]:
    """Adapter weights have the same dtype after as before, whatever is loaded in between.

    Raises:
        PrecisionError: they could not be brought back.
    """
    before = _trained(model)
    yield
    for name, parameter in model.named_parameters():
        if name in before:
            parameter.data = parameter.data.to(before[name])
    after = _trained(model)
    if after != before:
        changed = sorted(name for name in before | after if before.get(name) != after.get(name))
        raise PrecisionError(f"After loading a checkpoint {len(changed)} weights differ in kind, first {changed[0]}.")
