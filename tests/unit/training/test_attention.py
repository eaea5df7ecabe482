"""Which attention a base is trained with: what is present, the card and the class decide, without a GPU."""

from __future__ import annotations

import pytest
import torch
import transformers

from training import attention, loading
from training.attention import AttentionClass, attention_class, preferred_attention, present_attention

F2, F3 = "flash_attention_2", "flash_attention_3"
H2, H3 = "kernels-community/flash-attn2", "kernels-community/flash-attn3"
ALL = {F2, F3, H2, H3}
ANY = AttentionClass()
TURING, AMPERE, HOPPER, BLACKWELL = 7, 8, 9, 10


@pytest.mark.parametrize(
    ("present", "card", "expected"),
    [
        (ALL, HOPPER, F3),
        (ALL - {F3}, HOPPER, H3),
        ({F2, H2}, HOPPER, F2),
        ({H2}, HOPPER, H2),
        (set(), HOPPER, None),
        # The third version is for Hopper only, and no version is for what came before Ampere.
        (ALL, AMPERE, F2),
        (ALL, BLACKWELL, F2),
        ({F3, H3}, AMPERE, None),
        (ALL, TURING, None),
        (ALL, None, None),
        ({"flex_attention", "sdpa"}, HOPPER, None),
    ],
)
def test_the_order(present: set[str], card: int | None, expected: str | None) -> None:
    assert preferred_attention(present, card, ANY) == expected


def test_the_class_decides_too() -> None:
    assert preferred_attention(ALL, HOPPER, AttentionClass(flash=False)) is None
    assert preferred_attention(ALL, HOPPER, AttentionClass(only=("kernels-community/flash-mla", H2))) == H2
    assert preferred_attention(ALL, HOPPER, AttentionClass(only=("kernels-community/flash-mla",))) is None
    assert preferred_attention(ALL, HOPPER, AttentionClass(dropout=0.1)) == F2
    assert preferred_attention({F3, H3, H2}, HOPPER, AttentionClass(dropout=0.1)) == H2


@pytest.mark.parametrize(
    ("config", "flash"),
    [
        (transformers.Qwen3Config(), True),
        (transformers.GPTNeoXConfig(), True),
        (transformers.BloomConfig(), False),
        (transformers.MptConfig(), False),
        (transformers.Mamba2Config(), False),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_what_transformers_classes_say(config: object, flash: bool) -> None:
    assert attention_class(config) == AttentionClass(flash=flash)
    assert attention_class(transformers.LlamaConfig(attention_dropout=0.1)).dropout == 0.1


def test_kernels_of_the_hub_count_where_nothing_can_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(name: str) -> None:
        asked.append(name)
        if name == H3:
            raise ValueError("not in the cache")

    monkeypatch.setattr(attention, "load_and_register_attn_kernel", load)
    monkeypatch.setattr(attention, "is_kernels_available", lambda: True)
    monkeypatch.setattr(attention, "is_offline_mode", lambda: False)
    monkeypatch.setattr(attention, "is_flash_attn_2_available", lambda: True)
    monkeypatch.setattr(attention, "is_flash_attn_3_available", lambda: False)
    assert present_attention() == frozenset({F2})
    assert asked == []
    monkeypatch.setattr(attention, "is_offline_mode", lambda: True)
    assert present_attention() == frozenset({F2, H2})
    assert asked == [H3, H2]


def test_flash_attention_is_asked_for_on_a_card_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "present_attention", lambda: frozenset(ALL))
    monkeypatch.setattr(loading, "device", lambda: "cpu")
    assert loading.fastest_attention(transformers.Qwen3Config()) is None
    monkeypatch.setattr(loading, "device", lambda: "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (9, 0))
    assert loading.fastest_attention(transformers.Qwen3Config()) == F3
    assert loading.fastest_attention() == F3
    assert loading.fastest_attention(transformers.BloomConfig()) is None
