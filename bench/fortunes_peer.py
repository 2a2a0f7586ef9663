#!/usr/bin/env python3
"""The peer of bench/fortunes.py: a sentence encoder learns the topics of quotes with Hugging Face PEFT on PyTorch. Needs what
bench/requirements.txt names.

  fortunes_peer.py versions
  fortunes_peer.py train MODEL --train F --eval F --out DIR [--method lora|full --seed S --rate R …]
  fortunes_peer.py eval MODEL --eval F [--adapter DIR]

Each prints one JSON line. A BertForSequenceClassification on the model's own pooler; its new head is trained in full. AdamW: betas
(0.9, 0.999), eps 1e-8, no weight decay; the rate goes straight down to 0; gradients are held to a norm of 1; the dropout of the
model's config, none of the adapter's.
"""
import argparse, itertools, json, os, resource, time


def rows_of(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines if line.strip()]


def batches(tokenizer, rows, labels, order, size, length):
    import torch
    for start in range(0, len(order), size):
        part = [rows[i] for i in order[start:start + size]]
        given = tokenizer([row["text"] for row in part], truncation=True, max_length=length, padding=True, return_tensors="pt")
        yield given, torch.tensor([labels.index(row["label"]) for row in part])


def opened(path, labels):
    """A model directory with the head of its files, or with a new one."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    names = dict(enumerate(labels))
    model = AutoModelForSequenceClassification.from_pretrained(
        path, num_labels=len(labels), id2label=names, label2id={name: i for i, name in names.items()}, dtype=torch.float32)
    return AutoTokenizer.from_pretrained(path), model


def judge(model, tokenizer, rows, labels, length):
    import torch
    model.eval()
    hits = [[0] * len(labels) for _ in labels]  # by label and answer
    loss = 0.0
    with torch.no_grad():
        for given, wanted in batches(tokenizer, rows, labels, range(len(rows)), 64, length):
            logits = model(**given).logits
            loss += torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").item()
            for label, answer in zip(wanted.tolist(), logits.argmax(-1).tolist()):
                hits[label][answer] += 1
    found = [hits[i][i] for i in range(len(labels))]
    f1 = [2 * found[i] / max(1, sum(hits[i]) + sum(row[i] for row in hits)) for i in range(len(labels))]
    return dict(accuracy=sum(found) / len(rows), macro_f1=sum(f1) / len(f1), loss=loss / len(rows))


def train(a):
    import peft, torch
    torch.set_num_threads(a.threads)
    rows = rows_of(a.train)
    labels = sorted({row["label"] for row in rows})
    torch.manual_seed(a.seed)
    tokenizer, model = opened(a.model, labels)
    if a.method == "lora":
        # The head becomes one of modules_to_save by the task's type.
        model = peft.get_peft_model(model, peft.LoraConfig(
            r=a.rank, lora_alpha=a.alpha, lora_dropout=0.0, target_modules=["query", "value"], task_type="SEQ_CLS"))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=a.rate, weight_decay=0.0)
    steps = a.epochs * -(-len(rows) // a.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    shuffled = torch.Generator().manual_seed(a.seed)

    def all_batches():
        for _ in range(a.epochs):
            yield from batches(tokenizer, rows, labels, torch.randperm(len(rows), generator=shuffled).tolist(), a.batch, a.length)

    model.train()
    began = time.perf_counter()
    for given, wanted in itertools.islice(all_batches(), a.steps or None):
        loss = model(**given, labels=wanted).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - began
    if a.out:
        model.save_pretrained(a.out)
        tokenizer.save_pretrained(a.out)
    return dict(seconds=seconds, trainable=sum(p.numel() for p in trained), peak_bytes=peak(),
                **judge(model, tokenizer, rows_of(a.eval), labels, a.length))


def evaluate(a):
    import torch
    torch.set_num_threads(a.threads)
    rows = rows_of(a.eval)
    labels = sorted({row["label"] for row in rows})
    tokenizer, model = opened(a.model, labels)
    if a.adapter:
        import peft
        drawn = model.classifier.weight.detach().clone()
        model = peft.PeftModel.from_pretrained(model, a.adapter)
        head = model.base_model.model.classifier.modules_to_save["default"].weight
        # An adapter without its head would be judged by one of chance, without a word.
        if torch.equal(head, drawn):
            raise SystemExit(f"{a.adapter} brings no head")
    return judge(model, tokenizer, rows, labels, a.length)


def versions(_):
    import platform
    import peft, torch, transformers
    return dict(python=platform.python_version(), torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__)


def peak():
    """The most that was resident, interpreter and libraries included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name, body, *places, **options):
        p = verbs.add_parser(name)
        p.set_defaults(body=body)
        for place in places:
            p.add_argument(place)
        for option, default in options.items():
            p.add_argument("--" + option, type=type(default), default=default)

    verb("versions", versions)
    verb("train", train, "model", train="", eval="", out="", method="lora", seed=0, rate=1e-3, rank=8, alpha=16, epochs=3, batch=16,
         length=64, steps=0, threads=2)
    verb("eval", evaluate, "model", eval="", adapter="", length=64, threads=2)
    a = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    print(json.dumps(a.body(a)))


main()
