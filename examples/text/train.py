#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Train the text example: which language is it?

    python3 train.py            writes language.keras and heldout.npz here

Needs Keras 3 with PyTorch, and NumPy; about two minutes on one core. The sentences are sentences.tsv, written for
this example: the last four of each language are held out.
"""
import os
import pathlib
import random

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from keras import layers  # noqa: E402

from encode import SIZE, encode  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
LANGUAGES = ["English", "German", "French", "Spanish"]
HELD_OUT, LONGEST, PIECES, EPOCHS = 4, 32, 60, 24


def sentences():
    """[(language, sentence)] to train with, and held out."""
    rows = [line.split("\t") for line in (HERE / "sentences.tsv").read_text(encoding="utf-8").splitlines()]
    train, held = [], []
    for number, language in enumerate(LANGUAGES):
        own = [(number, sentence) for name, sentence in rows if name == language]
        train += own[:-HELD_OUT]
        held += own[-HELD_OUT:]
    return train, held


def padded(texts):
    """[texts][LONGEST], zeros after the end."""
    rows = np.zeros((len(texts), LONGEST), np.int32)
    for row, text in zip(rows, texts):
        numbers = encode(text)[:LONGEST]
        row[:len(numbers)] = numbers
    return rows


def pieces(rows, rng):
    """Random pieces of the sentences, of 6 letters and more."""
    texts, wanted = [], []
    for number, sentence in rows:
        for _ in range(PIECES):
            length = rng.randint(6, LONGEST)
            start = rng.randint(0, max(0, len(sentence) - length))
            texts.append(sentence[start:start + length])
            wanted.append(number)
    return padded(texts), np.array(wanted)


def build():
    return keras.Sequential([
        keras.Input((None,), dtype="int32"),
        layers.Embedding(SIZE, 8, mask_zero=True),
        layers.Bidirectional(layers.LSTM(16)),
        layers.Dropout(0.3),
        layers.Dense(len(LANGUAGES), activation="softmax"),
    ], name="language")


def main():
    keras.utils.set_random_seed(1)
    torch.set_num_threads(1)  # the products are small
    train, held = sentences()
    model = build()
    model.compile(keras.optimizers.Adam(0.006), "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, wanted = pieces(train, random.Random(1))
    model.fit(x, wanted, batch_size=128, epochs=EPOCHS, verbose=2)
    x = padded([sentence for _, sentence in held])
    output = model.predict(x, verbose=0)
    right = int(np.sum(output.argmax(1) == [number for number, _ in held]))
    print("held out: %d of %d" % (right, len(held)))
    model.compile()  # the file needs no optimizer
    model.save(HERE / "language.keras")
    np.savez(HERE / "heldout.npz", input=x[:, :, None].astype(np.float32), output=output)


if __name__ == "__main__":
    main()
