#!/usr/bin/env python3
"""Small encoders from Hugging Face transformers with random weights at settings of many kinds, each with inputs and what
transformers computes from them, in double, rounded to F32: `encoders/<case>/{config.json, model.safetensors,
reference.safetensors}`. Run in this folder with torch, transformers 5.23 and safetensors installed.

bert, roberta, vit and clip beside it are cases that came from elsewhere."""
import json, os, shutil
import torch
import transformers as T
from safetensors.torch import load_file, save_file

SMALL = dict(hidden_size=24, intermediate_size=20, num_hidden_layers=2, num_attention_heads=3)
QUIET = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def drawn(model):
    """Weights that make every part of the model felt."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name == "logit_scale":
                continue
            p.normal_(0, 0.2) if p.dim() > 1 else p.add_(torch.randn_like(p) * 0.2)
    return model.eval()


def save(case, model, inputs, outputs, rename=None, change=None, extra=None):
    folder = os.path.join("encoders", case)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    for name in os.listdir(folder):
        if name not in ("config.json", "model.safetensors"):
            os.remove(os.path.join(folder, name))
    weights = os.path.join(folder, "model.safetensors")
    tensors = load_file(weights)
    if rename or extra:
        tensors = {(rename(k) if rename else k): v for k, v in tensors.items()} | (extra or {})
    save_file({k: t.contiguous() for k, t in tensors.items()}, weights, metadata={"format": "pt"})
    path = os.path.join(folder, "config.json")
    config = json.load(open(path))
    if change:
        change(config)
    json.dump(config, open(path, "w"), indent=2, sort_keys=True)
    reference = {k: (t.float() if t.is_floating_point() else t).contiguous() for k, t in (inputs | outputs).items()}
    save_file(reference, os.path.join(folder, "reference.safetensors"))
    print(case, {k: tuple(t.shape) for k, t in outputs.items()})


def double(model, **inputs):
    """What the model gives in double, with the weights as they are in F32."""
    with torch.no_grad():
        model = model.double()
        given = {k: (t.double() if torch.is_tensor(t) and t.is_floating_point() else t) for k, t in inputs.items()}
        out = model(**given)
        model.float()
    return out


def ids(vocabulary, rows, columns, hidden=()):
    tokens = torch.randint(3, vocabulary, (rows, columns))
    mask = torch.ones_like(tokens)
    for row, part in hidden:
        mask[row, part] = 0
    return tokens, mask


def berts():
    torch.manual_seed(1)
    config = T.BertConfig(**SMALL, **QUIET, vocab_size=31, max_position_embeddings=13, type_vocab_size=3,
                          hidden_act="gelu_new", layer_norm_eps=1e-5)
    model = drawn(T.BertModel(config, add_pooling_layer=False))
    # The last text is nothing but padding.
    tokens, mask = ids(31, 4, 9, [(0, slice(0, 4)), (1, slice(3, 5)), (2, slice(7, 9)), (3, slice(0, 9))])
    kinds = torch.randint(0, 3, tokens.shape)
    given = dict(input_ids=tokens, attention_mask=mask, token_type_ids=kinds)
    save("bert-without-pooler", model, given, dict(last_hidden_state=double(model, **given).last_hidden_state))

    torch.manual_seed(2)
    model = drawn(T.BertModel(T.BertConfig(**SMALL | dict(num_attention_heads=1), **QUIET, vocab_size=31,
                                           max_position_embeddings=13, type_vocab_size=1, hidden_act="relu")))
    tokens, mask = ids(31, 2, 13, [(1, slice(1, 13))])
    given = dict(input_ids=tokens, attention_mask=mask)
    out = double(model, **given)
    save("bert-pooled", model, given, dict(last_hidden_state=out.last_hidden_state, pooler_output=out.pooler_output),
         change=lambda c: [c.pop(k) for k in ("layer_norm_eps", "architectures", "hidden_dropout_prob")])

    # A checkpoint of pretraining as they were converted from TensorFlow.
    torch.manual_seed(3)
    model = drawn(T.BertForPreTraining(T.BertConfig(**SMALL, **QUIET, vocab_size=31, max_position_embeddings=13)))
    tokens, mask = ids(31, 2, 7, [(1, slice(5, 7))])
    given = dict(input_ids=tokens, attention_mask=mask)
    out = double(model.bert, **given)
    older = lambda k: k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    save("bert-from-tensorflow", model, given,
         dict(last_hidden_state=out.last_hidden_state, pooler_output=out.pooler_output), rename=older,
         extra={"bert.embeddings.position_ids": torch.arange(13).reshape(1, -1)},
         change=lambda c: c.update(position_embedding_type="absolute", pooler_type="first_token_transform"))

    torch.manual_seed(4)
    labels = {0: "quiet", 1: "loud", 2: "both"}
    config = T.BertConfig(**SMALL, **QUIET, vocab_size=31, max_position_embeddings=13, hidden_act="quick_gelu",
                          id2label=labels, label2id={v: k for k, v in labels.items()},
                          problem_type="multi_label_classification")
    model = drawn(T.BertForSequenceClassification(config))
    tokens, mask = ids(31, 3, 6, [(2, slice(2, 6))])
    given = dict(input_ids=tokens, attention_mask=mask)
    targets = torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1]])
    out = double(model, **given, labels=targets)
    save("bert-of-many-labels", model, given | dict(labels=targets), dict(logits=out.logits, loss=out.loss.reshape(1)))


def robertas():
    torch.manual_seed(5)
    config = T.RobertaConfig(**SMALL, **QUIET, vocab_size=31, max_position_embeddings=16, pad_token_id=5, type_vocab_size=2,
                             num_labels=1, hidden_act="silu", layer_norm_eps=1e-3, classifier_dropout=0.4)
    model = drawn(T.RobertaForSequenceClassification(config))
    tokens, mask = ids(31, 4, 8)
    tokens[tokens == 5] = 6
    # Padding in front, behind, in the middle and unmasked; masked ids that are no padding.
    tokens[0, :3] = 5; mask[0, :3] = 0
    tokens[1, 6:] = 5; mask[1, 6:] = 0
    tokens[2, 4] = 5
    mask[3, 5:] = 0
    kinds = torch.randint(0, 2, tokens.shape)
    given = dict(input_ids=tokens, attention_mask=mask, token_type_ids=kinds)
    targets = torch.randn(4, 1)
    out = double(model, **given, labels=targets, output_hidden_states=True)
    save("roberta-regression", model, given | dict(labels=targets),
         dict(last_hidden_state=out.hidden_states[-1], logits=out.logits, loss=out.loss.reshape(1)))

    torch.manual_seed(6)
    model = drawn(T.RobertaForMaskedLM(T.RobertaConfig(**SMALL, **QUIET, vocab_size=31, max_position_embeddings=12,
                                                       type_vocab_size=1, pad_token_id=0)))
    tokens, mask = ids(31, 2, 11)
    tokens[1, 9:] = 0; mask[1, 9:] = 0
    given = dict(input_ids=tokens, attention_mask=mask)
    save("roberta-masked", model, given, dict(last_hidden_state=double(model.roberta, **given).last_hidden_state))


def vits():
    torch.manual_seed(7)
    config = T.ViTConfig(**SMALL, **QUIET, image_size=[10, 13], patch_size=[3, 4], num_channels=1, qkv_bias=False,
                         hidden_act="gelu_fast", layer_norm_eps=1e-6, pooler_output_size=7, pooler_act="relu")
    model = drawn(T.ViTModel(config))
    given = dict(pixel_values=torch.randn(2, 1, 10, 13))
    out = double(model, **given)
    save("vit-pooled", model, given, dict(last_hidden_state=out.last_hidden_state, pooler_output=out.pooler_output))

    torch.manual_seed(8)
    config = T.ViTConfig(**SMALL | dict(hidden_size=22), **QUIET, image_size=9, patch_size=3, num_channels=4, num_labels=4,
                         head_dim=5)
    model = drawn(T.ViTForImageClassification(config))
    given = dict(pixel_values=torch.randn(3, 4, 9, 9))
    targets = torch.tensor([2, 0, 3])
    out = double(model, **given, labels=targets)
    save("vit-narrow-heads", model, given | dict(labels=targets), dict(logits=out.logits, loss=out.loss.reshape(1)))


def clips():
    def clip(text, vision, **others):
        text = SMALL | dict(vocab_size=31, max_position_embeddings=10, bos_token_id=29, pad_token_id=1) | text
        vision = SMALL | dict(image_size=8, patch_size=4) | vision
        return T.CLIPConfig(text_config=text, vision_config=vision, **others)

    def outputs(model, **given):
        out = double(model, **given)
        return dict(text_embeds=out.text_embeds, image_embeds=out.image_embeds, logits_per_image=out.logits_per_image,
                    text_hidden_state=out.text_model_output.last_hidden_state,
                    image_hidden_state=out.vision_model_output.last_hidden_state)

    # As OpenAI's files are: the end of the text is its largest id.
    torch.manual_seed(9)
    model = drawn(T.CLIPModel(clip(dict(eos_token_id=2, hidden_size=18, hidden_act="gelu"),
                                   dict(hidden_size=32, num_attention_heads=4, layer_norm_eps=1e-6), projection_dim=5,
                                   logit_scale_init_value=1.5)))
    tokens, mask = ids(29, 3, 10, [(0, slice(0, 2)), (1, slice(6, 10)), (2, slice(3, 10))])
    tokens[:, 0] = 29
    tokens[0, 9] = 30; tokens[1, 5:] = 30; tokens[2, 2] = 2
    given = dict(input_ids=tokens, attention_mask=mask, pixel_values=torch.randn(2, 3, 8, 8))

    def older(config):
        config["text_config_dict"] = {k: v for k, v in config["text_config"].items() if k != "transformers_version"}
        config["text_config"]["hidden_size"] = 512
        config["vision_config_dict"] = None

    positions = {"text_model.embeddings.position_ids": torch.arange(10).reshape(1, -1),
                 "vision_model.embeddings.position_ids": torch.arange(5).reshape(1, -1)}
    save("clip-largest-id", model, given, outputs(model, **given), extra=positions, change=older)

    # The first end of text counts, its first row where there is none; no mask.
    torch.manual_seed(10)
    model = drawn(T.CLIPModel(clip(dict(eos_token_id=7, num_hidden_layers=1), dict(patch_size=3, num_channels=1),
                                   projection_dim=26)))
    tokens, mask = ids(29, 3, 6)
    tokens[tokens == 7] = 8
    tokens[0, 3] = 7; tokens[0, 5] = 7; tokens[1, 5] = 7
    given = dict(input_ids=tokens, attention_mask=mask, pixel_values=torch.randn(1, 1, 8, 8))
    save("clip-first-end", model, given, outputs(model, **given))

    torch.manual_seed(11)
    model = drawn(T.CLIPTextModel(T.CLIPTextConfig(**SMALL, vocab_size=31, max_position_embeddings=10, eos_token_id=30)))
    tokens, mask = ids(29, 2, 6, [(1, slice(4, 6))])
    tokens[0, 5] = 30; tokens[1, 3] = 30
    given = dict(input_ids=tokens, attention_mask=mask)
    out = double(model, **given)
    save("clip-text", model, given, dict(last_hidden_state=out.last_hidden_state, pooler_output=out.pooler_output))

    torch.manual_seed(12)
    model = drawn(T.CLIPVisionModel(T.CLIPVisionConfig(**SMALL, image_size=8, patch_size=4)))
    given = dict(pixel_values=torch.randn(2, 3, 8, 8))
    out = double(model, **given)
    save("clip-vision", model, given, dict(last_hidden_state=out.last_hidden_state, pooler_output=out.pooler_output))


if __name__ == "__main__":
    berts()
    robertas()
    vits()
    clips()
