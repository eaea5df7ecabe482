"""What a run will need, reckoned from config.json before anything is loaded. Pure arithmetic: no torch, no files.

::

    shape = ModelShape.of(json.loads(config_json))
    needed = estimate(shape, lora_r=64, micro_batch=1, tokens=2048, packing=True)
    needed.memory_bytes, needed.flops_per_token

The memory is an upper estimate for one process; what time the work takes is ``training.duration``'s. A person decides
by them whether to start, nothing is refused for them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from training.errors import BaseModelError

__all__ = ["Estimate", "ModelShape", "estimate", "fitting_micro_batch", "peak_flops"]

#: Bytes of an NF4 weight: half, and 0.127 bits for its twice quantised constant (QLoRA, arXiv 2305.14314, section 3).
NF4_BYTES = 0.5 + 0.127 / 8
HALF, SINGLE = 2, 4
#: A trained weight in bfloat16: itself, its gradient and AdamW's two moments, which take the weight's type.
TRAINED_BYTES = 4 * HALF
#: CUDA's context, cuBLAS's workspaces and the loader's own; about what an idle process holds.
CONTEXT_BYTES = 800_000_000
#: What the allocator keeps and cannot give.
SLACK = 1.08
#: Positions whose logits stand in memory at once: the trainer's fused output layer works in chunks.
LOGIT_CHUNK = 1024
#: Dense bfloat16 peaks by NVIDIA's data sheets, in operations a second; float16 where a card has no bfloat16.
_PEAKS = {
    "H200": 989e12,
    "H100": 989e12,
    "B200": 2250e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "4090": 165e12,
    "3090": 71e12,
    "V100": 125e12,
    "T4": 65e12,
}
#: Families whose feed-forward part has two matrices; all others have a gate too.
_UNGATED = frozenset({"gpt_neox", "gpt2", "gptj", "opt", "bloom", "falcon", "phi", "gpt_bigcode", "starcoder2"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelShape:
    """What counts of a causal language model's form."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied: bool  #: Whether the output layer is the embedding.
    gated: bool  #: Whether the feed-forward part has a gate.
    fused_qkv: bool = False  #: Whether query, key and value are one matrix.
    experts: int = 1

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ModelShape:
        """The shape that a config.json tells.

        Raises:
            BaseModelError: it does not say how large the model is.
        """
        text = config.get("text_config") or config

        def number(*names: str, default: int | None = None) -> int:
            found = next((text[name] for name in names if isinstance(text.get(name), int)), default)
            if found is None:
                raise BaseModelError(f"config.json does not say '{names[0]}', so the run cannot be estimated.")
            return int(found)

        hidden = number("hidden_size", "n_embd", "d_model")
        heads = number("num_attention_heads", "n_head")
        family = str(text.get("model_type", ""))
        # Configurations leave out what their class takes for granted: these three families tie.
        tied = family in ("gpt2", "gemma", "gemma2", "gemma3", "gemma3_text")
        return cls(
            hidden=hidden,
            layers=number("num_hidden_layers", "n_layer"),
            heads=heads,
            kv_heads=number("num_key_value_heads", default=heads),
            head_dim=number("head_dim", default=hidden // heads),
            intermediate=number("intermediate_size", "n_inner", "ffn_dim", default=4 * hidden),
            vocabulary=number("vocab_size"),
            tied=bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", tied))),
            gated=family not in _UNGATED,
            fused_qkv=family in ("gpt_neox", "bloom", "falcon", "gpt2"),
            experts=number("num_local_experts", "num_experts", default=1),
        )

    def linears(self) -> tuple[tuple[str, int, int], ...]:
        """Name, inputs and outputs of one layer's matrices, by Llama's names."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention: tuple[tuple[str, int, int], ...] = (
            ("q_proj", self.hidden, query),
            ("k_proj", self.hidden, key),
            ("v_proj", self.hidden, key),
        )
        if self.fused_qkv:
            attention = (("query_key_value", self.hidden, query + 2 * key),)
        names = ("gate_proj", "up_proj") if self.gated else ("up_proj",)
        forward = tuple((name, self.hidden, self.intermediate) for name in names) * self.experts
        down = (("down_proj", self.intermediate, self.hidden),) * self.experts
        return (*attention, ("o_proj", query, self.hidden), *forward, *down)

    @property
    def linear_parameters(self) -> int:
        """Weights in the layers' matrices: those that are quantised."""
        return self.layers * sum(inputs * outputs for _, inputs, outputs in self.linears())

    @property
    def other_parameters(self) -> int:
        """Weights of embedding and output layer, which stay in bfloat16."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All weights but the few thousand of the norms."""
        return self.linear_parameters + self.other_parameters

    def lora_parameters(self, rank: int, targets: Collection[str] | str = "all-linear") -> int:
        """Weights of an adapter of this rank on ``targets``."""
        chosen = [(i, o) for name, i, o in self.linears() if targets == "all-linear" or name in targets]
        return self.layers * rank * sum(inputs + outputs for inputs, outputs in chosen)


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Memory by what takes it, in bytes, and work a token."""

    memory_bytes: int  #: All of it together, with the allocator's slack.
    weights_bytes: int
    adapter_bytes: int  #: Adapter, gradients and optimizer.
    activations_bytes: int  #: What a step keeps for its backward pass, and what it computes again.
    logits_bytes: int
    parameters: int
    trained_parameters: int
    flops_per_token: float  #: Forward, recomputed forward, and backward through frozen weights.

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def estimate(
    shape: ModelShape,
    *,
    lora_r: int,
    micro_batch: int,
    tokens: int,
    packing: bool,
    quantised: bool = True,
    attention: str | None = None,
    checkpointing: bool = True,
) -> Estimate:
    """What one step needs at its most.

    Args:
        shape: Of the base.
        lora_r: Rank of the adapter.
        micro_batch: Sequences at once.
        tokens: Of the longest sequence.
        packing: Whether rows share sequences; without flash attention that takes a dense mask.
        quantised: Base in NF4, else in bfloat16.
        attention: ``eager`` keeps every head's scores; flash attention keeps no mask; None stands for PyTorch's own.
        checkpointing: Whether activations are computed again; otherwise every layer keeps all of them.
    """
    at_once = micro_batch * tokens
    # On all matrices: an adapter on some of them is smaller.
    trained = shape.lora_parameters(lora_r)
    linear_bytes = NF4_BYTES if quantised else HALF
    weights = int(shape.linear_parameters * linear_bytes) + shape.other_parameters * HALF
    linears = shape.linears()
    # Computed again for one layer: each matrix's input (with its dropped-out copy for the adapter) and output, and as
    # much again for their gradients; and one matrix unpacked.
    layer = 2 * at_once * HALF * sum(2 * inputs + outputs for _, inputs, outputs in linears) // shape.experts
    unpacked = max(inputs * outputs for _, inputs, outputs in linears) * HALF if quantised else 0
    if checkpointing:
        # Kept for every layer: its input.
        kept = shape.layers * at_once * shape.hidden * HALF
        kept += _scores(shape, micro_batch, tokens, packing, attention)
    else:
        kept = shape.layers * _kept_layer(shape, micro_batch, tokens, lora_r, attention)
        # Nothing is computed again; what remains of the layer are its gradients.
        layer //= 2
    activations = kept + layer + unpacked
    logits = min(at_once, LOGIT_CHUNK) * shape.vocabulary * (HALF + 2 * SINGLE)
    adapter = trained * TRAINED_BYTES
    total = (weights + adapter + activations + logits) * SLACK + CONTEXT_BYTES
    work = 6.0 * (shape.parameters - (0 if shape.tied else shape.vocabulary * shape.hidden))
    return Estimate(
        memory_bytes=int(total),
        weights_bytes=weights,
        adapter_bytes=adapter,
        activations_bytes=activations,
        logits_bytes=logits,
        parameters=shape.parameters,
        trained_parameters=trained,
        # Recomputing is a second forward pass: 2 + 2 + 2 a frozen weight; attention's own is 12 x hidden x length / 2.
        flops_per_token=work + 6.0 * trained + 6.0 * shape.layers * shape.heads * shape.head_dim * tokens,
    )


def _kept_layer(shape: ModelShape, micro_batch: int, tokens: int, lora_r: int, attention: str | None) -> int:
    """Bytes that one layer keeps for its backward pass where nothing is computed again.

    Measured on the CPU by hooks on what autograd saves, per token: llama 0.79 of this, qwen3 0.88, gemma3_text 0.98,
    gpt_neox 0.66, with a mask and with eager attention 0.81 to 0.94.
    """
    linears = shape.linears()
    # Of each matrix its input, the dropped-out copy for the adapter and the mask of that; of what it gives out, itself
    # and what is made of it. The norms work in float32.
    inputs = sum(inputs for _, inputs, _ in linears) * (2 * HALF + 1)
    outputs = sum(outputs for _, _, outputs in linears) * (HALF + 1)
    token = (inputs + outputs) // shape.experts + shape.hidden * (HALF + 2 * SINGLE) + len(linears) * lora_r * HALF
    square = micro_batch * tokens * tokens
    if attention == "eager":
        return micro_batch * tokens * token + square * shape.heads * (2 * HALF + SINGLE)
    # The mask is widened for every layer anew.
    mask = 0 if attention is not None and "flash" in attention else square * HALF
    return micro_batch * tokens * token + mask


def _scores(shape: ModelShape, micro_batch: int, tokens: int, packing: bool, attention: str | None) -> int:
    """Bytes of what attention holds for one layer at its most, squares of the length all of them."""
    square = micro_batch * tokens * tokens
    if attention == "eager":
        # Scores, their softmax in float32 and its gradient, for every head.
        return square * shape.heads * (HALF + 2 * SINGLE)
    if attention is not None and "flash" in attention:
        return 0
    return square * HALF if packing else 0


def fitting_micro_batch(
    shape: ModelShape,
    free_bytes: int,
    *,
    lora_r: int,
    tokens: int,
    packing: bool,
    most: int = 8,
    attention: str | None = None,
    checkpointing: bool = True,
) -> int:
    """The largest of ``most``, ``most / 2``, … 1 that fits into ``free_bytes``; 1 where none does."""
    size = most
    while size > 1:
        needed = estimate(
            shape,
            lora_r=lora_r,
            micro_batch=size,
            tokens=tokens,
            packing=packing,
            attention=attention,
            checkpointing=checkpointing,
        )
        if needed.memory_bytes <= free_bytes:
            break
        size //= 2
    return max(1, size)


def peak_flops(device_name: str) -> float | None:
    """A card's peak by its name as the driver tells it; None for one that is not in the table, and for a CPU."""
    words = device_name.upper().replace("-", " ").split()
    return next((peak for name, peak in _PEAKS.items() if any(word == name for word in words)), None)
