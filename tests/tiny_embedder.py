"""A sentence-transformers model small enough for a test: BERT with random weights, WordPiece, mean pooling.

Written file by file as the library lays a model out, so that making one takes transformers, not sentence-transformers;
the code under test loads it by the library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

PAGES = [
    "입고 예정은 오전에 등록합니다. 반품 상품은 오후에 검수합니다.",
    "재고가 맞지 않으면 실사를 합니다. 피킹 지시는 로케이션 순서로 나옵니다.",
    "query: passage: 질문 문서",
] * 5
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def build_tiny_embedder(
    folder: Path, *, prompts: Mapping[str, str] | None = None, seed: int = 7, hidden: int = 32, longest: int = 32
) -> Path:
    """Make it in ``folder``; vectors of ``hidden`` dimensions, at most ``longest`` tokens."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False)
    core.train_from_iterator(PAGES, trainer)
    marks = [("[CLS]", SPECIAL.index("[CLS]")), ("[SEP]", SPECIAL.index("[SEP]"))]
    core.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    names = {f"{mark[1:-1].lower()}_token": mark for mark in SPECIAL}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=longest, **names)
    sizes = {"hidden_size": hidden, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 2 * hidden}
    torch.manual_seed(seed)
    model = BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=longest + 2, **sizes))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_layout(folder, prompts=prompts, hidden=hidden, longest=longest)
    return folder


def write_layout(
    folder: Path, *, prompts: Mapping[str, str] | None = None, hidden: int = 32, longest: int = 32
) -> None:
    """The files by which a folder is a sentence-transformers model; without weights."""
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    files = {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": longest, "do_lower_case": False},
        "1_Pooling/config.json": {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True},
        "config_sentence_transformers.json": {"prompts": dict(prompts or {}), "default_prompt_name": None},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
