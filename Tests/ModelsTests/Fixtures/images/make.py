#!/usr/bin/env python3
"""Small random pictures, and what transformers' image processors (those on Pillow) make of them under settings of many kinds:
`pictures.safetensors` (uint8 [channels, height, width]), `cases.json` (settings and what the model reads) and
`pixels.safetensors`. Numbers instead of levels go through torch's antialiased interpolation, which is what the processors on
torchvision use for them. Run in this folder with Pillow, torch, transformers 5.23 and safetensors installed."""
import json
import numpy as np
import torch
import transformers as T
from PIL import Image
from safetensors.numpy import save_file

draw = np.random.default_rng(7)
SIDES = {"wide": (3, 11, 17), "tall": (3, 23, 6), "small": (3, 4, 5), "line": (3, 1, 9), "grey": (1, 13, 10), "odd": (1, 7, 7)}
pictures = {k: draw.integers(0, 256, s, dtype=np.uint8) for k, s in SIDES.items()}
# Black and white only: the filters with negative weights must be cut off at both ends.
pictures["hard"] = draw.integers(0, 2, (3, 16, 16), dtype=np.uint8) * 255
cases, pixels = [], {}


def image(name, channels):
    array = pictures[name]
    picture = Image.fromarray(array[0] if len(array) == 1 else np.moveaxis(array, 0, -1))
    # The conversions that are made here before all else.
    return picture.convert("RGB" if channels == 3 else "L")


def case(name, picture, shape, config, model_type="vit", kind=None):
    kind = kind or config.get("image_processor_type", "ViTImageProcessor")
    processor = getattr(T, kind + "Pil").from_dict(config)
    made = processor(image(picture, shape[0]), return_tensors="np")["pixel_values"][0]
    assert made.shape == tuple(shape), (name, made.shape, shape)
    pixels[name] = made.astype(np.float32)
    cases.append(dict(name=name, picture=picture, shape=shape, config=config, model_type=model_type))


def numbers(name, picture, shape, mode, resample):
    """Of numbers from 0 to 1, not normalised: (level / 255) in single precision."""
    config = {"size": {"height": shape[1], "width": shape[2]}, "resample": resample, "do_normalize": False}
    given = torch.tensor(pictures[picture]).float()[None] / 255
    made = torch.nn.functional.interpolate(given, size=shape[1:], mode=mode, align_corners=False, antialias=True)
    pixels[name] = made[0].numpy()
    cases.append(dict(name=name, picture=picture, shape=shape, config=config, model_type="vit", numbers=True))


for resample, word in enumerate(["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]):
    for picture in ["wide", "tall", "small", "line", "hard"]:
        config = {"size": {"height": 8, "width": 9}, "resample": resample}
        case(f"{word}-{picture}", picture, [3, 8, 9], config)
for picture in pictures:
    case(f"vit-{picture}", picture, [3, 12, 12], {"image_processor_type": "ViTImageProcessor", "size": 12})
    clip = {"size": 10, "crop_size": 10, "image_processor_type": "CLIPImageProcessor"}
    case(f"clip-{picture}", picture, [3, 10, 10], clip, "clip")
    # Wider than the shorter side is made: zeros above, below and beside.
    case(f"clip-zeros-{picture}", picture, [3, 15, 13], clip | {"size": {"shortest_edge": 6}, "crop_size": [15, 13]}, "clip")
    bounded = {"size": {"shortest_edge": 9, "longest_edge": 14}, "do_pad": True, "pad_size": {"height": 20, "width": 20}}
    case(f"bounded-{picture}", picture, [3, 20, 20], bounded)
    within = {"size": {"max_height": 12, "max_width": 18}, "do_pad": True, "pad_size": 18, "image_mean": 0.25, "image_std": [1, 2, 4]}
    case(f"within-{picture}", picture, [3, 18, 18], within)
case("exact", "wide", [3, 11, 17], {"do_resize": False})
case("same-size", "wide", [3, 11, 17], {"size": [11, 17]})
case("one-side", "wide", [3, 11, 9], {"size": [11, 9], "resample": 3})
case("unscaled", "wide", [3, 11, 17], {"do_resize": False, "do_rescale": False})
case("bare", "wide", [3, 11, 17], {"do_resize": False, "do_rescale": False, "do_normalize": False})
case("only-scaled", "wide", [3, 11, 17], {"do_resize": False, "do_normalize": False})
case("other-scale", "wide", [3, 11, 17], {"do_resize": False, "rescale_factor": 1 / 127.5, "image_mean": 1.0})
case("cropped", "wide", [3, 8, 20], {"do_resize": False, "do_center_crop": True, "crop_size": {"height": 8, "width": 20}})
case("grey", "grey", [1, 9, 9], {"size": 9, "image_mean": [0.3], "image_std": [0.7]})
case("luma", "wide", [1, 9, 9], {"size": 9, "image_mean": 0.3, "image_std": 0.7})
case("deit", "tall", [3, 9, 9], {"image_processor_type": "DeiTImageProcessor", "size": 12, "crop_size": 9})
case("siglip", "tall", [3, 9, 9], {"image_processor_type": "SiglipImageProcessor", "size": {"height": 9, "width": 9}})
case("bit", "tall", [3, 9, 9], {"image_processor_type": "BitImageProcessor", "size": 10, "crop_size": 9})
legacy = {"feature_extractor_type": "CLIPFeatureExtractor", "size": 9, "crop_size": 8, "do_resize": True, "resample": 3}
case("legacy-clip", "wide", [3, 8, 8], legacy, "clip", "CLIPImageProcessor")
case("unnamed-clip", "wide", [3, 8, 8], {"size": 9, "crop_size": 8}, "clip", "CLIPImageProcessor")
case("not-square", "wide", [3, 9, 9], {"size": 9, "default_to_square": False, "do_center_crop": True, "crop_size": 9})
for picture in ["wide", "tall", "small", "hard"]:
    numbers(f"numbers-bilinear-{picture}", picture, [3, 8, 9], "bilinear", 2)
    numbers(f"numbers-bicubic-{picture}", picture, [3, 8, 9], "bicubic", 3)
save_file(pictures, "pictures.safetensors")
save_file({k: np.ascontiguousarray(v) for k, v in pixels.items()}, "pixels.safetensors")
json.dump(cases, open("cases.json", "w"), indent=1)
