#!/usr/bin/env python3
"""Parts the digits in two: `low.safetensors` has 0 to 4, `high.safetensors` 5 to 9. Numbers become F16, which holds sixteenths
exactly, and labels U8. Needs nothing but Python: make.py DIGITS.safetensors, with `images` [n, 8, 8] F32 and `labels` [n] I64."""
import json, struct, sys
from pathlib import Path


def read(path):
    data = Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    part = lambda name: body[slice(*header[name]["data_offsets"])]
    (count, height, width), kind = header["images"]["shape"], header["images"]["dtype"]
    assert (height, width, kind, header["labels"]["dtype"]) == (8, 8, "F32", "I64")
    labels = struct.unpack(f"<{count}q", part("labels"))
    return [struct.unpack_from("<64f", part("images"), 256 * i) for i in range(count)], labels


def write(path, images, labels):
    # Every sixteenth is a half-precision number, so nothing is rounded.
    pixels = b"".join(struct.pack("<64e", *image) for image in images)
    assert all(16 * value == int(16 * value) for image in images for value in image)
    header = {
        "__metadata__": {"source": "Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, CC BY 4.0"},
        "images": {"dtype": "F16", "shape": [len(images), 8, 8], "data_offsets": [0, len(pixels)]},
        "labels": {"dtype": "U8", "shape": [len(labels)], "data_offsets": [len(pixels), len(pixels) + len(labels)]},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + pixels + bytes(labels))


images, labels = read(sys.argv[1])
for name, wanted in [("low", range(5)), ("high", range(5, 10))]:
    chosen = [i for i, label in enumerate(labels) if label in wanted]
    write(Path(__file__).parent / f"{name}.safetensors", [images[i] for i in chosen], [labels[i] for i in chosen])
    print(name, len(chosen), {k: sum(labels[i] == k for i in chosen) for k in wanted})
