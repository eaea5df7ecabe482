"""An adapter with random weights that changes every answer, as a training would have written it."""

from __future__ import annotations

from pathlib import Path


def build_tiny_adapter(base: Path, folder: Path, seed: int, rank: int = 4) -> Path:
    """Write it into ``folder``."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(base)
        # Not PEFT's own beginning, which adds nothing.
        config = LoraConfig(
            r=rank, lora_alpha=32 * rank, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"
        )
        get_peft_model(model, config).save_pretrained(folder)
    return folder
