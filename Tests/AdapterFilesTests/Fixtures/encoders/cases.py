"""What the cases of this folder are: a base of ../../../ModelsTests/Fixtures, the class that transformers opens it with, how many
classes a head has (None: the base's own, or no head), and the adapter."""

import os

import transformers as T
from peft import LoraConfig, VeraConfig
from safetensors.torch import load_file

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "..", "..", "..", "ModelsTests", "Fixtures")

TEXT, IMAGE, BARE, TOKENS = (
    T.AutoModelForSequenceClassification, T.AutoModelForImageClassification, T.AutoModel, T.AutoModelForCausalLM)


def lora(r=2, **settings):
    return LoraConfig(r=r, lora_alpha=2 * r, **settings)


# name: (base, class, classes, adapter's config)
CASES = {
    "bert-classes": ("bert", TEXT, 3, lora(task_type="SEQ_CLS", target_modules=["query", "value"])),
    "bert-own-head": ("bert", TEXT, None, lora(
        task_type="SEQ_CLS", bias="lora_only", target_modules=["query", "intermediate.dense", "pooler.dense"], use_rslora=True,
        rank_pattern={"bert.encoder.layer.1.attention.self.query": 3})),
    "bert-frozen-head": ("bert", TEXT, None, lora(target_modules=["key", "classifier"])),
    "bert-bare": ("bert", BARE, None, lora(
        task_type="FEATURE_EXTRACTION", target_modules="all-linear", exclude_modules=["layer.0.output.dense"],
        alpha_pattern={"encoder.layer.1.output.dense": 7})),
    "bert-bare-dora": ("bert", BARE, None, lora(
        task_type="FEATURE_EXTRACTION", use_dora=True, bias="all", target_modules=r"encoder\.layer\.\d\.attention\.self\.(query|value)",
        modules_to_save=["pooler"])),
    "bert-tables": ("bert", TEXT, 2, lora(
        r=3, task_type="SEQ_CLS", target_modules=["word_embeddings", "position_embeddings", "token_type_embeddings", "query"])),
    "bert-tokens": ("bert", TEXT, 2, lora(
        task_type="SEQ_CLS", target_modules=["query"], trainable_token_indices={"word_embeddings": [3, 20, 41]})),
    "bert-vera": ("bert", TEXT, 1, VeraConfig(r=3, task_type="SEQ_CLS", target_modules=["query", "value"])),
    "roberta-classes": ("roberta", TEXT, 4, lora(task_type="SEQ_CLS", target_modules="all-linear")),
    "vit-classes": ("vit", IMAGE, 6, lora(target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])),
    "vit-all": ("vit", IMAGE, None, lora(target_modules="all-linear")),
    "vit-bias": ("vit", IMAGE, 2, lora(
        bias="all", target_modules=["o_proj", "mlp.fc1"], layers_to_transform=[1], modules_to_save=["classifier", "layernorm_before"])),
    "vit-bare": ("encoders/vit-pooled", BARE, None, lora(target_modules=["q_proj", "fc2"])),
    "clip-towers": ("clip", BARE, None, lora(
        target_modules=["q_proj", "v_proj", "visual_projection"], rank_pattern={"text_model.encoder.layers.0.self_attn.q_proj": 3})),
    "clip-vision": ("clip", BARE, None, lora(
        target_modules=r"vision_model\..*\.(k_proj|fc1)", use_dora=True, modules_to_save=["text_projection"])),
    # PEFT's wrapper of feature extractors hands this model's encoder its inputs twice.
    "clip-text-bare": ("encoders/clip-text", BARE, None, lora(
        target_modules=["k_proj", "out_proj"])),
    "llama-bare": ("llama", BARE, None, lora(
        task_type="FEATURE_EXTRACTION", target_modules=["q_proj", "down_proj"], modules_to_save=["norm"])),
}


def base(name):
    folder, kind, classes, _ = CASES[name]
    settings = {} if classes is None else dict(num_labels=classes, ignore_mismatched_sizes=True)
    return kind.from_pretrained(os.path.join(MODELS, folder), dtype="float32", **settings).eval()


def inputs(name):
    """The inputs of the base's own reference."""
    reference = load_file(os.path.join(MODELS, CASES[name][0], "reference.safetensors"))
    names = ("input_ids", "attention_mask", "token_type_ids", "pixel_values")
    return {k: v.long() if k != "pixel_values" else v for k, v in reference.items() if k in names}


OUTPUTS = ("logits", "last_hidden_state", "pooler_output", "text_embeds", "image_embeds", "logits_per_image")
