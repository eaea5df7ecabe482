"""What can go wrong in training, each with its code and what to do."""

from __future__ import annotations

from corpora.errors import InvalidInputError, MalmoiError

__all__ = [
    "AdapterError",
    "BaseModelError",
    "BrokenModelError",
    "DiskFullError",
    "EncodingError",
    "HubUnreachableError",
    "MergeError",
    "OutOfMemoryRunError",
    "PrecisionError",
    "PreflightError",
    "TrackingError",
    "TrainingDivergedError",
]


class BaseModelError(InvalidInputError):
    """The base model cannot be loaded."""

    code = "base_model_unusable"
    hint = "Give a folder with config.json, safetensors weights and a tokenizer, or a hub name that can be reached."


class AdapterError(InvalidInputError):
    """The adapter cannot be put on its base."""

    code = "adapter_unusable"
    hint = "Give a folder that a finished training or a kept checkpoint wrote, with the base that it was trained on."


class HubUnreachableError(BaseModelError):
    """The hub does not answer, so a base that is not on this machine cannot be fetched."""

    code = "hub_unreachable"
    retryable = True
    hint = "Give the folder of a base that is on this machine, or try again when the hub can be reached (HF_ENDPOINT)."


class MergeError(InvalidInputError):
    """The adapter cannot be merged into its base; nothing was published."""

    code = "merge_failed"


class BrokenModelError(MalmoiError):
    """The model computes what is no number."""

    code = "model_broken"


class EncodingError(InvalidInputError):
    """A conversation cannot be turned into trained tokens."""

    code = "encoding_failed"


class PreflightError(InvalidInputError):
    """The run would waste its hours; its code says why."""

    code = "preflight_failed"


class TrackingError(MalmoiError):
    """Weights & Biases cannot be reported to."""

    code = "tracking_failed"
    hint = "Set WANDB_API_KEY in the service's environment, or WANDB_MODE=offline and send the run with 'wandb sync'."


class TrainingDivergedError(MalmoiError):
    """The loss is no number any more."""

    code = "training_diverged"
    hint = "Lower learning_rate_multiplier."


class DiskFullError(MalmoiError):
    """The disk is full; what was saved before is whole."""

    code = "disk_full"
    retryable = True
    status = 507
    hint = "Free space on the disk of the output folder and resume: the run goes on from the newest whole checkpoint."


class OutOfMemoryRunError(MalmoiError):
    """Memory does not suffice for this run."""

    code = "out_of_memory"
    hint = "Lower max_length, take a smaller LoRA rank or a smaller base, or free the device."


class PrecisionError(MalmoiError):
    """Loading a checkpoint left weights in another precision than they are trained in."""

    code = "precision_changed"
