"""What can go wrong in training, each with its code and what to do."""

from __future__ import annotations

from corpora.errors import InvalidInputError, MalmoiError

__all__ = ["BaseModelError", "EncodingError", "TrainingDivergedError"]


class BaseModelError(InvalidInputError):
    """The base model cannot be loaded."""

    code = "base_model_unusable"
    hint = "Give a folder with config.json, safetensors weights and a tokenizer, or a hub name that can be reached."


class EncodingError(InvalidInputError):
    """A conversation cannot be turned into trained tokens."""

    code = "encoding_failed"


class TrainingDivergedError(MalmoiError):
    """The loss is no number any more."""

    code = "training_diverged"
    hint = "Lower learning_rate_multiplier."
