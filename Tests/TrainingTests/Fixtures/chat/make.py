"""Token ids and learned tokens of chats, by the offsets that transformers' tokenizer gives.

    python make.py          # with transformers 5.23; writes masks.jsonl

The text is the template's, encoded whole without special tokens, as apply_chat_template(tokenize=True) does it. The assistant's
turns stand where prefixes of the conversation end. A token is learned when it ends behind a turn's beginning and not behind its end.
"""

import json
import pathlib

from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils as chats

here = pathlib.Path(__file__).parent
root = here.parents[3]
tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(root / "models/scripture/tokenizer.json"))
TALKS = [
    [("user", "Who made the heaven?"), ("assistant", "In the beginning God created the heaven and the earth.")],
    [("system", "Be brief."), ("user", "hi"), ("assistant", "Hello"), ("user", "why"), ("assistant", "So it is.\n")],
    [("user", "numbers"), ("assistant", "12 34\n\n56"), ("user", "é 日本 🙂"), ("assistant", "ü 👩‍👩‍👧"), ("user", "end")],
    [("user", " spaced "), ("assistant", "\n\nlines\n"), ("user", ""), ("assistant", " tail ")],
    [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e"), ("assistant", "f g h")],
    [("user", "word"), ("assistant", "ing the border")],
]


def main():
    templates = root / "Tests/ChatTemplatesTests/Fixtures/templates"
    with open(here / "masks.jsonl", "w") as out:
        for name in ["chatml", "llama3", "tinyllama", "gemma"]:
            template = chats._compile_jinja_template((templates / f"{name}.jinja").read_text())

            def render(messages, prompt=False):
                return template.render(
                    messages=messages, tools=None, documents=None, add_generation_prompt=prompt, bos_token="<s>", eos_token="</s>")

            for talk in TALKS:
                if name == "gemma" and talk[0][0] == "system":
                    continue
                messages = [{"role": role, "content": content} for role, content in talk]
                whole = render(messages)
                encoding = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
                learned = [0] * len(encoding["input_ids"])
                turns = []
                for index, message in enumerate(messages):
                    if message["role"] != "assistant":
                        continue
                    before, after = render(messages[:index], True), render(messages[: index + 1])
                    assert whole.startswith(before) and whole.startswith(after)
                    turns.append((len(before), len(after)))
                for start, end in turns:
                    for place, (a, b) in enumerate(encoding["offset_mapping"]):
                        if start < b <= end:
                            learned[place] = 1
                row = {"template": name, "messages": messages, "ids": encoding["input_ids"], "learned": learned}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


main()
