"""Renders every template of templates/ over some dozens of conversations, as transformers' apply_chat_template does, and
finds the assistant's turns by rendering prefixes of the conversation.

    python make.py          # with transformers 5.23 and jinja2 3.1.6; writes conversations.jsonl and rendered.jsonl

The clock is taken away: a template that asks for the date finds none, as here.
"""

import json
import pathlib
import random

import jinja2
from transformers.utils import chat_template_utils as chats

here = pathlib.Path(__file__).parent
VARIABLES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def user(text):
    return {"role": "user", "content": text}


def bot(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


def tool(text, call="abcdefgh1", name="weather"):
    return {"role": "tool", "content": text, "tool_call_id": call, "name": name}


def call(name, arguments, identity="abcdefgh1"):
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city, in °C & \"words\" <now>.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "items": None}, "days": {"type": "integer", "minimum": 1, "maximum": 1e16}},
            "required": ["city"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "", "parameters": {"type": "object", "properties": {}}}}


def conversations():
    q, a = user("What is 2 + 2?"), bot("4")
    yield {"messages": [q]}
    yield {"messages": [q, a]}
    yield {"messages": [system("Be brief."), q, a]}
    yield {"messages": [q, a, user("And 3 + 3?"), bot("6")]}
    yield {"messages": [system("You count."), q, a, user("And 3 + 3?"), bot("6"), user("Thanks!")]}
    yield {"messages": [q, a, user("why"), bot("because"), user("why"), bot("because"), user("why"), bot("So.")]}
    yield {"messages": [a]}
    yield {"messages": [a, q]}
    yield {"messages": [q, q]}
    yield {"messages": [q, a, a]}
    yield {"messages": [system("Only rules.")]}
    yield {"messages": [system("One."), system("Two."), q, a]}
    yield {"messages": [q, system("Late."), a]}
    yield {"messages": []}
    yield {"messages": [user("  white space \n\n"), bot("\n\t kept or not  \n")]}
    yield {"messages": [user(""), bot("")]}
    yield {"messages": [user("\u00a0no-break\u3000"), bot("\u2028line\u2029 \x1c")]}
    yield {"messages": [user("日本語で 🙂 e\u0301 é"), bot("はい 👩‍👩‍👧‍👦 \U0001f1e9\U0001f1ea")]}
    yield {"messages": [user("CR\r\nLF\rend"), bot("a\r\n")]}
    yield {"messages": [user("{{ 1 + 1 }} {% raw %} {# no #}"), bot("<|im_end|> </s> [/INST] <start_of_turn>")]}
    yield {"messages": [user("'quotes' \"here\" \\ back\\nslash"), bot("\\u00e9 \0 \x7f")]}
    yield {"messages": [user("hi"), bot("<think>\nLet me see.\n\n</think>\n\nHello"), user("again"), bot("<think>ok</think>Hi")]}
    yield {"messages": [user("hi"), bot("Hello", reasoning_content="\nThey greet.\n")]}
    yield {"messages": [user("hi"), bot("Hello", thinking="short"), user("go"), bot("Gone", reasoning="long")]}
    yield {"messages": [user("hi"), bot("</think> only the end")]}
    yield {"messages": [user("<tool_response>fake</tool_response>"), bot("<think>x</think>y")]}
    yield {"messages": [system("S"), user("hi"), bot("Hello")], "kwargs": {"enable_thinking": False}}
    yield {"messages": [user("hi"), bot("Hello"), user("more"), bot("So")], "kwargs": {"enable_thinking": False}}
    yield {"messages": [user("hi"), bot("Hello")], "kwargs": {"date_string": "1 Jan 2025", "bos_token": "<|begin_of_text|>"}}
    yield {"messages": [user("Paris?")], "tools": [WEATHER]}
    yield {"messages": [system("Use tools."), user("Paris?")], "tools": [WEATHER, CLOCK]}
    calls = [call("weather", {"city": "Zürich", "days": 2})]
    yield {"messages": [user("Zürich?"), bot("", tool_calls=calls), tool("12.5 °C"), bot("Twelve.")], "tools": [WEATHER]}
    yield {"messages": [user("Zürich?"), bot(None, tool_calls=calls), tool('{"t": 12.5}'), bot("Twelve."), user("Sure?"), bot("Yes")], "tools": [WEATHER]}
    both = calls + [call("clock", {}, "abcdefgh2")]
    yield {"messages": [user("Both?"), bot("Calling.", tool_calls=both), tool("cold"), tool("late", "abcdefgh2", "clock"), bot("Cold, late.")], "tools": [WEATHER, CLOCK]}
    yield {"messages": [user("Text?"), bot("", tool_calls=[call("weather", '{"city": "Oslo"}')]), tool("snow"), bot("Snow.")]}
    yield {"messages": [user("Id?"), bot("", tool_calls=[{"type": "function", "function": {"name": "clock", "arguments": {}}}]), tool("3")]}
    yield {"messages": [user("hi"), {"role": "critic", "content": "no"}, bot("Hello")]}
    yield {"messages": [user("hi"), {"role": "assistant"}]}
    yield {"messages": [user([{"type": "text", "text": " parts "}, {"type": "text", "text": "two"}]), bot("Seen")]}
    yield {"messages": [user(7), bot(True)]}
    yield {"messages": [{**user("extra"), "extra": {"n": 1, "f": 2.5, "s": "x", "l": [1, "two", None]}, "tags": ["a", "b"]}, bot("ok")]}
    random.seed(5)
    words = "the quick brown fox über 東 \n \t 12 ' \" { } % # - </s>".split(" ")
    for turns in (3, 5, 8):
        said = [" ".join(random.choice(words) for _ in range(random.randint(1, 12))) for _ in range(2 * turns)]
        yield {"messages": [user(t) if i % 2 == 0 else bot(t) for i, t in enumerate(said)]}


def without_clock(source):
    template = chats._compile_jinja_template(source)
    template.environment.globals.pop("strftime_now", None)
    return template


def main():
    rows = list(conversations())
    with open(here / "conversations.jsonl", "w") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    with open(here / "rendered.jsonl", "w") as out:
        for path in sorted((here / "templates").glob("*.jinja")):
            source = path.read_text()
            template = without_clock(source)

            def render(row, count=None, prompt=False):
                messages = chats._alias_reasoning_fields(row["messages"][:count])
                return template.render(
                    messages=messages, tools=row.get("tools"), documents=None, add_generation_prompt=prompt,
                    **{**VARIABLES, **row.get("kwargs", {})})

            for index, row in enumerate(rows):
                result = {"template": path.stem, "conversation": index}
                try:
                    whole = render(row)
                    result["text"] = whole
                    asked = render(row, prompt=True)
                    result["asked"] = asked
                except (jinja2.exceptions.TemplateError, TypeError, ValueError, AttributeError, KeyError) as error:
                    result["error"] = type(error).__name__ + ": " + str(error)
                    out.write(json.dumps(result, ensure_ascii=False) + "\n")
                    continue
                if "{% generation" in source or "{%- generation" in source:
                    result["answers"] = marked(template, row, whole)
                else:
                    result["answers"] = [
                        span(render, row, whole, i) for i, m in enumerate(row["messages"]) if m["role"] == "assistant"]
                out.write(json.dumps(result, ensure_ascii=False) + "\n")


def span(render, row, whole, index):
    """Where prefixes say that a turn stands, in bytes; None where they are no prefixes."""
    try:
        before, after = render(row, index, True), render(row, index + 1)
    except (jinja2.exceptions.TemplateError, TypeError, ValueError):
        return None
    if not (whole.startswith(before) and whole.startswith(after) and len(before) <= len(after)):
        return None
    return [len(before.encode()), len(after.encode())]


def marked(template, row, whole):
    messages = chats._alias_reasoning_fields(row["messages"])
    _, spans = chats._render_with_assistant_indices(
        compiled_template=template, messages=messages, tools=row.get("tools"), documents=None,
        add_generation_prompt=False, **{**VARIABLES, **row.get("kwargs", {})})
    return [[len(whole[:a].encode()), len(whole[:b].encode())] for a, b in spans]


main()
