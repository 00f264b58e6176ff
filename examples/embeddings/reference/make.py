#!/usr/bin/env python3
"""Writes reference.json: what the original library makes of the texts below.

The tests compare the token ids and the vectors of this example with it. It was made with

    pip install sentence-transformers==6.2.0 tokenizers==0.23.3 torch==2.15.0
    cargo xtask models
    python3 make.py ../model

and is in the repository, so that nobody needs Python for the tests.
"""

import json
import sys
from pathlib import Path

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer

# The longest sequence of tokens, [CLS] and [SEP] included; sentence_bert_config.json of the model says so.
TOKENS = 256

LONG = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a "
    "wife. However little known the feelings or views of such a man may be on his first entering a neighbourhood, this "
    "truth is so well fixed in the minds of the surrounding families, that he is considered the rightful property of "
    "some one or other of their daughters. "
)

TEXTS = [
    "",
    "The cat sits outside.",
    "A feline rests in the open air.",
    "The stock market fell by three per cent on Tuesday.",
    "Ein Café in Zürich: crème brûlée, señor, naïve façade, Ångström, Tiếng Việt.",
    "我喜欢在北京喝茶。東京タワーへ行きました。서울은 아름다운 도시이다.",
    "I ❤️ Rust 🦀! 👩‍💻 writes code 🚀🚀.",
    "Привет, мир! Γειά σου Κόσμε! שלום עולם! مرحبا بالعالم! नमस्ते दुनिया",
    "?!... -- (\"quoted\") [brackets] {braces} <tags> a/b\\c #hash @at $5.00 50% x_y ~ ^ | `",
    "e\u0301 and \u00e9 are the same; \ufb01ne \u2460 \u00bd \u212b \u0130stanbul Stra\u00dfe \u1e9e",
    "tabs\tand\nnew lines\r\n  and \u00a0 no-break \u2003 spaces\u200b, zero\u200bwidth, \u0000nul, \ufffd, bell\u0007",
    "supercalifragilisticexpialidocious antidisestablishmentarianism xyzzyplugh 1234567890 3.14159",
    "a" * 100 + " " + "b" * 101,
    "[CLS] and [SEP] are tokens, as are [MASK][PAD]; [cls] is none, nor is [UNK ].",
    "don't can't it's O'Neill's rock'n'roll — “curly” ‘quotes’ … end",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG",
    LONG * 2,
    LONG * 8,
    "\U0001d54c\U0001d55f\U0001d55a\U0001d554\U0001d560\U0001d555\U0001d556 \u3400 \U00020000 \U0002f800 \uf900",
    "   ",
]


def fnv(numbers: list[int], seed: int = 0xCBF29CE484222325) -> int:
    """FNV-1a of 64 bits over numbers of 32 bits, in little-endian order."""
    for number in numbers:
        for byte in number.to_bytes(4, "little"):
            seed = ((seed ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return seed


def every_character(tokenizer: Tokenizer) -> list[str]:
    """For each block of 4096 code points, a hash of the ids of the text "a?b ?c" for each of them in the place of ?."""
    hashes = []
    for start in range(0, 0x110000, 0x1000):
        points = (point for point in range(start, start + 0x1000) if not 0xD800 <= point < 0xE000)
        encodings = tokenizer.encode_batch([f"a{chr(point)}b {chr(point)}c" for point in points])
        seed = 0xCBF29CE484222325
        for encoding in encodings:
            seed = fnv(encoding.ids, seed)
        hashes.append(f"{seed:016x}")
    return hashes


def main(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(TOKENS)
    # What modules.json of the model says, of which not every file is fetched.
    transformer = Transformer(str(folder), max_seq_length=TOKENS)
    model = SentenceTransformer(modules=[transformer, Pooling(384, pooling_mode="mean"), Normalize()], device="cpu")
    # One by one, so that no text is padded for another.
    vectors = [model.encode(text) for text in TEXTS]
    texts = [
        {"text": text, "ids": tokenizer.encode(text).ids, "vector": [round(float(x), 7) for x in vector]}
        for text, vector in zip(TEXTS, vectors, strict=True)
    ]
    lines = ",\n".join(json.dumps(text, separators=(",", ":")) for text in texts)
    characters = json.dumps(every_character(tokenizer), separators=(",", ":"))
    out = Path(__file__).with_name("reference.json")
    out.write_text(f'{{"texts":[\n{lines}\n],\n"every_character":{characters}}}\n')


main(Path(sys.argv[1]))
