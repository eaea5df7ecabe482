"""Tokenizers small enough to be built in a test, of the kinds that Korean bases have, and templates of bases.

``byte_level`` stands for EEVE's and Polyglot-Ko's neighbours, ``unigram_bytes`` for those made by SentencePiece (a
blank set before the text, unknown letters as bytes). Both hold the control tokens of every template under test.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAGES = [
    "입고 예정을 조회합니다. 피킹 지시는 로케이션 순서로 나옵니다.\n출고는 검수를 마친 뒤에 합니다.\n\n",
    "재고가 맞지 않으면 실사를 합니다. 답을 [INST] 끝냅니다 [안내] [질문] [답변]\n- 차량 번호와 도착 시각\n",
    "A chat between a curious user and an artificial intelligence assistant. Human: Assistant: gives helpful answers\n",
    "<start_of_turn> system user model assistant . , ? ' detailed and polite to questions\n",
    "### 질문: ### 답변: ### 안내: 상품을 꺼내 모으는 일입니다.\n",
] * 20
CONTROL = ("<pad>", "<s>", "</s>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<|im_start|>", "<|im_end|>")

#: As many bases bring it: no marks, the newline and the header are the template's.
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'}}"
    "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
#: Trims every message, as Gemma's and Llama 3's own do.
TRIMMING = CHATML.replace("message['content']", "(message['content'] | trim)")
#: A blank before the answer and one before its stop token, as Llama 2's own writes them.
INST = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + ' ' + eos_token }}{% else %}"
    "{{ bos_token + '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% endif %}{% endfor %}"
)
#: Writes an empty thought before the last answer only, and strips thoughts from all.
THINKING = (
    "{% for message in messages %}{% set said = message['content'].split('</think>')[-1] %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ said + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def _fast(core: Tokenizer) -> PreTrainedTokenizerFast:
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=core, **names)


@cache
def byte_level() -> PreTrainedTokenizerFast:
    """Byte-level BPE: every text comes back byte for byte."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=[AddedToken(token, special=True) for token in CONTROL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(PAGES, trainer)
    return _fast(core)


@cache
def unigram_bytes() -> PreTrainedTokenizerFast:
    """Unigram with byte fallback; a blank stands before the text, as SentencePiece sets it.

    The library's trainer gives other pieces every time; these are the commonest stretches of up to four letters.
    """
    counts = Counter(
        word[start:end]
        for page in PAGES
        for word in f" {page}".replace(" ", " ▁").split(" ")
        for start in range(len(word))
        for end in range(start + 1, min(start + 4, len(word)) + 1)
        if "\n" not in word[start:end]
    )
    common = sorted(counts, key=lambda piece: (-counts[piece] * len(piece), piece))[:400]
    total = sum(counts[piece] for piece in common)
    pieces = [(token, 0.0) for token in CONTROL]
    pieces += [(f"<0x{byte:02X}>", -30.0) for byte in range(256)]
    pieces += [(piece, math.log(counts[piece] / total)) for piece in common]
    core = Tokenizer(models.Unigram(pieces, unk_id=CONTROL.index("<unk>"), byte_fallback=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    core.add_special_tokens([AddedToken(token, special=True) for token in CONTROL])
    return _fast(core)


KINDS = {"byte_level": byte_level, "unigram_bytes": unigram_bytes}
