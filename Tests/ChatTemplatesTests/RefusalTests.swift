import JSON
import Testing

@testable import ChatTemplates

@Suite struct RefusalTests {
  private static func error(of template: String, _ talk: Conversation = Conversation([("user", "hi")])) -> TemplateError? {
    do throws(TemplateError) {
      _ = try ChatTemplate(jinja: template).text(of: talk)
      return nil
    } catch {
      return error
    }
  }

  /// What is not understood is named, with its line, when the template is read.
  @Test(arguments: [
    ("{% include 'x' %}", "line 1 of the template: the block {% include %} is not supported"),
    ("a\n{% raw %}b{% endraw %}", "line 2 of the template: the block {% raw %} is not supported"),
    ("\n\n{{ messages | groupby('role') }}", "line 3 of the template: the filter `groupby` is not supported"),
    ("{{ messages is callable }}", "line 1 of the template: the test `callable` is not supported"),
    ("{% for m in messages recursive %}{% endfor %}", "line 1 of the template: recursive loops are not supported"),
    ("{{ 2 ** 3 }}", "line 1 of the template: powers are not supported"),
    ("{{ f(*x) }}", "line 1 of the template: arguments with * are not supported"),
    ("{{ 'a' + (x | safe) }}", "line 1 of the template: the filter `safe` is read before `~` and at an output's end only"),
    ("{% if x %}", "line 1 of the template: the template ends where {% endif %} is expected"),
    ("{{ x", "line 1 of the template: a tag is not closed by }}"),
    ("{# x", "line 1 of the template: a comment is not closed by #}"),
    ("{{ 'x }}", "line 1 of the template: a string is not closed"),
    ("{{ (1 }}", "line 1 of the template: unexpected `}`"),
    ("{% set loop = 1 %}", "line 1 of the template: `loop` cannot be assigned to"),
    ("{% break %}", "line 1 of the template: `break` outside a loop"),
    ("{{ 007 }}", "line 1 of the template: numbers are read in their plain decimal form only"),
    ("{{ }}", "line 1 of the template: unexpected }}, expected a value"),
    ("{% endif %}", "line 1 of the template: the block {% endif %} is not supported"),
  ])
  func namesWhatItDoesNotKnow(template: String, message: String) {
    let error = Self.error(of: template)
    #expect(error?.description == message)
    #expect(error?.kind == .template)
  }

  /// What shows only with a conversation.
  @Test(arguments: [
    (
      "{{ strftime_now('%Y') }}",
      "line 1 of the template: it asks for the date by `strftime_now`, but what is learned must not depend on the day: give a text as "
        + "the variable `strftime_now`"
    ),
    ("{{ lipsum() }}", "line 1 of the template: the function `lipsum` is not supported"),
    ("{{ messages.append(1) }}", "line 1 of the template: `append` of a list is not supported"),
    ("{{ messages[0].update({}) }}", "line 1 of the template: `update` of a mapping is not supported"),
    ("{{ '%s' % 1 }}", "line 1 of the template: formatting with % is not supported"),
    ("{{ raise_exception('no such') }}", "line 1 of the template: no such"),
    ("\n{{ a.b.c }}", "line 2 of the template: 'a' is undefined, and has no `b`"),
    ("{{ 1 + 'a' }}", "line 1 of the template: `+` does not go with a number and a string"),
    ("{{ 1 // 0 }}", "line 1 of the template: division by zero"),
    ("{{ 9223372036854775807 + 1 }}", "line 1 of the template: a number grows too large"),
    ("{% set a, b = [1] %}", "line 1 of the template: 1 values do not go into 2 names"),
    ("{% set m.x = 1 %}", "line 1 of the template: `m` is no namespace: only those have values that can be set"),
    ("{% for x in 3 %}{% endfor %}", "line 1 of the template: a number cannot be gone through"),
    ("{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "line 1 of the template: the macro `f` takes 1 arguments"),
    ("{{ messages | selectattr('role') | length }}", "line 1 of the template: a list has no length"),
    ("{{ {} | tojson(indent=99) }}", "line 1 of the template: tojson cannot be indented by a number"),
    ("{{ namespace() }}", "line 1 of the template: a namespace cannot be put out"),
  ])
  func namesWhatFails(template: String, message: String) { #expect(Self.error(of: template)?.description == message) }

  /// A template has no clock: it takes the way it has for renderers without one.
  @Test func hasNoClock() throws {
    let template = try ChatTemplate(jinja: "{{ strftime_now('%Y') if strftime_now is defined else 'a date' }}")
    #expect(try template.text(of: Conversation([])) == "a date")
    let stopped = try ChatTemplate(jinja: "{{ strftime_now('%Y') }}", variables: [.init("strftime_now", "2025")])
    #expect(try stopped.text(of: Conversation([])) == "2025")
  }

  /// Templates and conversations are strangers': none takes the program down, and none runs for long.
  @Test(arguments: HostileTemplate.all) func isBounded(_ hostile: HostileTemplate) {
    #expect(Self.error(of: hostile.text) != nil)
  }

  @Test func longChainsAreNoDepth() throws {
    let sum = "{{ 0" + String(repeating: " + 1", count: 5_000) + " }}"
    #expect(try ChatTemplate(jinja: sum).text(of: Conversation([])) == "5000")
    let cases = "{% if 0 %}" + String(repeating: "{% elif 0 %}", count: 5_000) + "{% else %}x{% endif %}"
    #expect(try ChatTemplate(jinja: cases).text(of: Conversation([])) == "x")
  }

  /// What cannot be divided into turns can be rendered, but not learned from in part.
  @Test(arguments: [
    "{% for m in messages %}{{ m.content }}{% endfor %}{% for m in messages %}{{ m.content }}{% endfor %}",
    "{{ messages | map(attribute='content') | join(' ') }}",
    "{% if add_generation_prompt %}?{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}",
    "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}",
    "{% generation %}{% endgeneration %}{% generation %}{% endgeneration %}",
  ])
  func refusesToGuessTurns(template: String) throws {
    let template = try ChatTemplate(jinja: template)
    let talk = Conversation([("user", "hi"), ("assistant", "Hello")])
    _ = try template.text(of: talk)
    let error = #expect(throws: TemplateError.self) { try template.markedText(of: talk) }
    #expect(error?.kind == .template)
  }

  @Test func readsTheFilesOfAModel() throws {
    let talk = Conversation([("user", "hi")])
    let config: JSON = [
      "chat_template": [
        ["name": "default", "template": "{{ bos_token }}d"], ["name": "tool_use", "template": "{{ bos_token }}{{ eos_token }}t"],
      ],
      "bos_token": ["content": "<s>", "lstrip": false], "eos_token": nil, "add_bos_token": true,
    ]
    let several = try #require(try ChatTemplate(file: nil, config: config, specialTokens: ["eos_token": "</s>"]))
    #expect(try several.text(of: talk) == "<s>d")
    #expect(try several.text(of: Conversation(messages: talk.messages, tools: [])) == "<s></s>t")
    let beside = try #require(try ChatTemplate(file: "{{ bos_token }}f", config: config, arguments: [.init("bos_token", "B")]))
    #expect(try beside.text(of: talk) == "Bf")
    #expect(try ChatTemplate(file: nil, config: ["chat_template": nil]) == nil)
    #expect(try ChatTemplate(file: nil, config: nil) == nil)
    #expect(throws: TemplateError.self) { try ChatTemplate(file: nil, config: ["chat_template": 3]) }
    #expect(throws: TemplateError.self) {
      try ChatTemplate(file: nil, config: ["chat_template": [["name": "rag", "template": ""]]])
    }
  }
}

/// A template that means harm. Its text may be long: messages show what it does.
struct HostileTemplate: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var text: String

  init(_ what: String, _ text: String) { (testDescription, self.text) = (what, text) }

  private static func many(_ text: String, _ count: Int = 50_000) -> String { String(repeating: text, count: count) }

  static let all = [
    HostileTemplate("parentheses", "{{ " + many("(") + "1" + many(")") + " }}"),
    HostileTemplate("negations", "{{ " + many("not ") + "1 }}"),
    HostileTemplate("signs", "{{ " + many("-") + "1 }}"),
    HostileTemplate("attributes", "{{ a" + many(".a") + " }}"),
    HostileTemplate("filters", "{{ 1" + many("|abs") + " }}"),
    HostileTemplate("conditions", "{{ " + many("1 if 1 else ") + "1 }}"),
    HostileTemplate("lists", "{{ " + many("[") + many("]") + " }}"),
    HostileTemplate("blocks", many("{% if 1 %}") + many("{% endif %}")),
    HostileTemplate("loops", "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"),
    HostileTemplate(
      "doubled text", "{% set ns = namespace(x='ab') %}{% for a in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}"),
    HostileTemplate(
      "doubled lists", "{% set ns = namespace(x=[1]) %}{% for a in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}"),
    HostileTemplate(
      "lists in lists", "{% set ns = namespace(x=[]) %}{% for a in range(10000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}"),
    HostileTemplate("a namespace in itself", "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x }}"),
    HostileTemplate("a macro of itself", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
    HostileTemplate("a long product", "{{ 'ab' * 9223372036854775807 }}"),
    HostileTemplate("long replacements", "{{ 'aaaa' | replace('a', 'x' * 30000000) }}"),
    HostileTemplate("a long range", "{{ range(9223372036854775807) }}"),
    HostileTemplate("much output", "{% for a in range(100000) %}{{ 'x' * 100000 }}{% endfor %}"),
    HostileTemplate("its own length", many("x", 2 << 20)),
  ]
}
