#!/usr/bin/env python3
"""A whole run of sequence classification by Hugging Face PEFT, from rows of text to its adapter, in `run/`. Run in this folder with
torch, transformers 5.23, peft 0.21 and tokenizers installed."""
import json, os, pathlib, random, shutil
import peft, torch
import transformers as T
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "run"
MODEL = HERE / "../../../ModelsTests/Fixtures/bert"
BATCH, EPOCHS, RATE, LENGTH = 4, 2, 5e-3, 12
WORDS = ["red", "green", "blue", "one", "two", "three", "sea", "sky", "land", "old", "new", "and", "the", "of", "is", "to", "we", "go",
         "cat", "dog", "bird", "tree", "sun", "moon", "day"]


def tokenizer():
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters, *("##" + letter for letter in letters), ".", ",", "!", "?"]
    made = Tokenizer(models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    made.add_special_tokens(tokens[:5])
    assert made.get_vocab_size() <= 97
    return made


def rows(count, seed):
    random.seed(seed)
    made = []
    for _ in range(count):
        label = random.randrange(5)
        words = [random.choice(WORDS[5 * label:5 * label + 5] if random.random() < 0.6 else WORDS) for _ in range(random.randint(1, 14))]
        # Some that the vocabulary has only in parts, or not at all.
        words.insert(random.randrange(len(words) + 1), random.choice(["Moonday", "caté", "x", "99", "treen!", "…"]))
        made.append(dict(text=" ".join(words), label=f"LABEL_{label}"))
    return made


def write(name, made):
    (OUT / name).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made))


def save(model, name):
    model.save_pretrained(OUT / name)
    (OUT / name / "README.md").unlink()


def batches(fast, made):
    for start in range(0, len(made), BATCH):
        part = made[start:start + BATCH]
        given = fast([row["text"] for row in part], truncation=True, max_length=LENGTH, padding=True, return_tensors="pt")
        yield given, torch.tensor([int(row["label"][-1]) for row in part])


def main():
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    tokenizer().save(str(OUT / "tokenizer.json"), pretty=False)
    fast = T.PreTrainedTokenizerFast(tokenizer_file=str(OUT / "tokenizer.json"), pad_token="[PAD]")
    train, valid = rows(22, 1), rows(15, 2)
    write("train.jsonl", train)
    write("valid.jsonl", valid)
    torch.manual_seed(0)
    base = T.AutoModelForSequenceClassification.from_pretrained(MODEL, dtype=torch.float32)
    model = peft.get_peft_model(base, peft.LoraConfig(
        r=4, lora_alpha=8, lora_dropout=0.0, target_modules=["query", "value"], task_type="SEQ_CLS"))
    model.base_model.model.name_or_path = model.peft_config["default"].base_model_name_or_path = "bert"
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.02)
    save(model, "adapter_init")
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    steps = EPOCHS * -(-len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    losses, norms = [], []
    model.train()
    for _ in range(EPOCHS):
        for given, labels in batches(fast, train):
            loss = model(**given, labels=labels).loss
            loss.backward()
            norms.append(torch.nn.utils.clip_grad_norm_(trained, 1.0).item())
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
    save(model, "adapter_final")
    model.eval()
    logits, wanted = [], []
    with torch.no_grad():
        for given, labels in batches(fast, valid):
            logits.append(model(**given).logits)
            wanted.append(labels)
    logits, wanted = torch.cat(logits), torch.cat(wanted)
    answers = logits.argmax(-1)
    f1 = []
    for label in range(5):
        hit = int(((answers == label) & (wanted == label)).sum())
        f1.append(2 * hit / max(1, int((answers == label).sum() + (wanted == label).sum())))
    said = dict(
        lr=RATE, batch=BATCH, epochs=EPOCHS, max_seq_len=LENGTH, steps=steps, trainable=sum(p.numel() for p in trained), losses=losses,
        gradient_norms=norms, eval_loss=torch.nn.functional.cross_entropy(logits, wanted).item(),
        eval_accuracy=(answers == wanted).float().mean().item(), eval_macro_f1=sum(f1) / 5, eval_answers=answers.tolist())
    (OUT / "run.json").write_text(json.dumps(said, indent=1) + "\n")
    print(json.dumps(said))


main()
