#!/usr/bin/env python3
"""Losses of the tasks and gradients of a few weights, as transformers' own models and PyTorch give them, in double, rounded to
F32: one `<case>.safetensors` each. Run in this folder with torch, transformers 5.23 and safetensors installed. The models are
those of ModelsTests; what a case changes of one is in its file."""
import os
import torch
import torch.nn.functional as F
import transformers as T
from safetensors.torch import save_file

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../ModelsTests/Fixtures")


def load(kind, name, **settings):
    model = kind.from_pretrained(os.path.join(MODELS, name), attn_implementation="eager", **settings)
    return model.double().eval()


def texts(vocabulary, lengths, width, smallest=3, pad=0):
    """Rows of ids padded behind, with their mask."""
    ids = torch.full((len(lengths), width), pad)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(smallest, vocabulary, (length,))
        mask[row, :length] = 1
    return dict(input_ids=ids, attention_mask=mask)


def save(case, model, loss, wanted, **tensors):
    """`wanted` are names of the weights' file, or pairs of that and of what transformers now calls the weight in memory."""
    loss.backward()
    for name in wanted:
        stored, now = (name, name) if isinstance(name, str) else name
        tensors[f"gradient.{stored}"] = model.get_parameter(now).grad
    tensors["loss"] = loss.detach().reshape(1)
    tensors = {k: (t.float() if t.is_floating_point() else t).detach().contiguous() for k, t in tensors.items()}
    save_file(tensors, f"{case}.safetensors")
    print(case, loss.item(), {k: tuple(t.shape) for k, t in tensors.items()})


def sentences(model, given):
    """Means over what is no padding, of length 1: the pooling and norm of sentence-transformers."""
    hidden = model(**given).last_hidden_state
    mask = given["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    return F.normalize((hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9), dim=-1)


def sentence_embedding(case, kind, name, wanted, scale, pad=0):
    """MultipleNegativesRankingLoss of sentence-transformers: every anchor among all positives of its batch."""
    model = load(kind, name)
    vocabulary = model.config.vocab_size
    anchors = texts(vocabulary, [5, 9, 3, 7], 9, pad=pad)
    positives = texts(vocabulary, [12, 2, 6, 6], 12, pad=pad)
    a, p = sentences(model, anchors), sentences(model, positives)
    similarities = a @ p.T
    loss = F.cross_entropy(scale * similarities, torch.arange(len(a)))
    save(case, model, loss, wanted, scale=torch.tensor([scale]), similarities=similarities, anchors=a, positives=p,
         **{f"anchors.{k}": t for k, t in anchors.items()}, **{f"positives.{k}": t for k, t in positives.items()})


def head(model, labels, seed, names):
    """A head of our own, drawn from a seed, in the place of the file's."""
    torch.manual_seed(seed)
    drawn = {}
    for name in names:
        p = model.get_parameter(name)
        shape = (labels, *p.shape[1:])
        value = torch.randn(shape).mul(0.3)
        drawn[name] = value
        module, leaf = model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
        setattr(module, leaf, torch.nn.Parameter(value.double()))
    model.num_labels = model.config.num_labels = labels
    return drawn


def classification(case, kind, name, wanted, labels, given, problem="single_label_classification",
                   names=("classifier.weight", "classifier.bias"), seed=17):
    model = load(kind, name)
    drawn = head(model, 3 if labels.dim() == 1 else labels.shape[1], seed, names)
    model.config.problem_type = problem
    out = model(**{k: t.double() if t.is_floating_point() else t for k, t in given.items()},
                labels=labels.double() if labels.is_floating_point() else labels)
    save(case, model, out.loss, wanted, logits=out.logits, labels=labels, **given, **drawn)


def text_classification():
    query = "bert.encoder.layer.0.attention.self.query.weight"
    torch.manual_seed(2)
    given = texts(97, [6, 11, 1, 8], 11)
    # The second half of two rows is a second text.
    given["token_type_ids"] = torch.zeros_like(given["input_ids"])
    given["token_type_ids"][1, 5:11] = 1
    given["token_type_ids"][3, 3:8] = 1
    bert = T.BertForSequenceClassification
    classification("sequence-classification", bert, "bert", [query, "classifier.weight", "classifier.bias"],
                   torch.tensor([2, 0, 2, 1]), given)
    flags = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 1], [1, 1, 1]])
    classification("sequence-classification-flags", bert, "bert", [query, "classifier.weight"], flags, given,
                   "multi_label_classification")
    classification("sequence-classification-numbers", bert, "bert", [query, "classifier.weight"],
                   torch.tensor([[0.5], [-1.25], [3.0], [0.0]]), given, "regression")
    torch.manual_seed(3)
    given = texts(97, [6, 9, 2], 9, pad=1)
    classification("sequence-classification-roberta", T.RobertaForSequenceClassification, "roberta",
                   ["roberta.encoder.layer.1.attention.self.value.weight", "classifier.dense.weight", "classifier.out_proj.weight"],
                   torch.tensor([1, 2, 0]), given, names=("classifier.out_proj.weight", "classifier.out_proj.bias"))


def image_classification():
    torch.manual_seed(4)
    pixels = torch.randn(4, 3, 16, 16)
    query = ("vit.encoder.layer.0.attention.attention.query.weight", "vit.layers.0.attention.q_proj.weight")
    classification("image-classification", T.ViTForImageClassification, "vit", [query, "classifier.weight", "classifier.bias"],
                   torch.tensor([0, 2, 1, 2]), dict(pixel_values=pixels))


def image_text_classification():
    torch.manual_seed(5)
    model = load(T.CLIPModel, "clip")
    text = model.config.text_config
    prompts = texts(95, [4, 7, 6], 7, pad=text.pad_token_id)
    ids, mask = prompts["input_ids"], prompts["attention_mask"]
    for row, length in enumerate(mask.sum(1).tolist()):
        ids[row, 0], ids[row, length - 1] = text.bos_token_id, text.eos_token_id
    pixels = torch.randn(5, 3, 16, 16)
    labels = torch.tensor([1, 0, 2, 2, 1])
    out = model(pixel_values=pixels.double(), **prompts)
    tower = "encoder.layers.0.self_attn.q_proj.weight"
    save("image-text-classification", model, F.cross_entropy(out.logits_per_image, labels),
         [f"text_model.{tower}", f"vision_model.{tower}", "text_projection.weight", "visual_projection.weight", "logit_scale"],
         logits_per_image=out.logits_per_image, labels=labels, pixel_values=pixels, **prompts)



if __name__ == "__main__":
    torch.set_num_threads(1)
    query = "encoder.layer.0.attention.self.query.weight"
    torch.manual_seed(1)
    down = "encoder.layer.1.output.dense.weight"
    sentence_embedding("sentence-embedding", T.BertModel, "bert", [(f"bert.{query}", query), (f"bert.{down}", down)], 20.0)
    torch.manual_seed(6)
    sentence_embedding("sentence-embedding-roberta", T.RobertaModel, "roberta", [(f"roberta.{query}", query)], 5.0, pad=1)
    text_classification()
    image_classification()
    image_text_classification()
