import Files
import PEFTKernel
import YAML

// The section `data` of a run file.

extension RunReader {
  /// What the section says; faults are in the log.
  mutating func data() -> RunFile.DataSettings {
    var (train, valid, test) = (text("data.train"), text("data.valid"), text("data.test"))
    let split = split
    if task.readsTexts, let folder = train, Folder.isFolder(folder), let mark = items["data.train"]?.node.mark {
      let files = DataFolder(folder)
      for fault in files.faults { entries.reader.log.add("data.train: \(fault)", at: mark, kind: .missing) }
      (train, valid, test) = (files.train ?? folder, valid ?? files.valid, test ?? files.test)
    }
    for (part, share, path) in [("valid", split?.valid ?? 0, valid), ("test", split?.test ?? 0, test)] {
      guard share > 0, let path, let node = given("data.split.\(part)") else { continue }
      let given = isGiven("data.\(part)") ? "`data.\(part)` is given" : "the folder holds \(Folder.split(path).name)"
      entries.reader.log.add("`data.split.\(part)` cuts off what is there already: \(given); leave one out", at: node.mark)
    }
    if let every = given("eval_every"), valid == nil, (split?.valid ?? 0) == 0 {
      entries.reader.log.add("`eval_every` needs `data.valid` or `data.split.valid`", at: every.mark)
    }
    let hasText = !isGiven("data.tokens") || valid != nil || test != nil
    var data = RunFile.DataSettings(
      train: train, tokens: text("data.tokens"), valid: valid, test: test, split: split,
      lossOn: hasText ? text("data.loss_on").flatMap(RunFile.DataSettings.LossOn.init) ?? .completion : .all,
      chatTemplate: chatTemplate, maxSeqLen: int("data.max_seq_len"), packing: bool("data.packing"),
      shuffle: bool("data.shuffle") && !isGiven("data.tokens"))
    data.format = text("data.format").flatMap(RunFile.DataSettings.Format.init) ?? .auto
    data.groupByLength = bool("data.group_by_length")
    data.shots = int("data.shots")
    data.promptTemplate = text("data.prompt_template") ?? data.promptTemplate
    if case .map(let values)? = items["data.chat_template_kwargs"]?.value { data.chatTemplateArguments = values }
    return data
  }

  private var split: RunFile.DataSettings.Split? {
    guard isGiven("data.split") else { return nil }
    return .init(
      valid: number("data.split.valid") ?? 0, test: number("data.split.test") ?? 0,
      seed: UInt64(int("data.split.seed") ?? 0))
  }

  private var chatTemplate: RunFile.DataSettings.Template? {
    guard isGiven("data.chat_template") else { return nil }
    let key = "data.chat_template"
    var template = RunFile.DataSettings.Template(
      begin: text("\(key).begin") ?? "", defaultSystem: text("\(key).default_system"), turns: [:])
    for role in RunFile.DataSettings.Template.roles where isGiven("\(key).\(role)") {
      template.turns[role] = .init(before: text("\(key).\(role).before") ?? "", after: text("\(key).\(role).after") ?? "")
    }
    return template
  }

  /// What only several keys of the section show.
  mutating func checkData() {
    guard let data = node["data"], data.entries != nil else { return }
    exactlyOne("data.train", "data.tokens", at: data.mark)
    if isGiven("data.tokens") { checkTokens() }
    if let node = given("data.split"), let split, !(split.valid > 0 || split.test > 0) || split.valid + split.test >= 1 {
      let sum = split.valid + split.test >= 1 ? "leaves nothing to learn from" : "cuts nothing off"
      entries.reader.log.add("`data.split` \(sum): give `valid`, `test` or both, together less than 1", at: node.mark)
    }
    if let node = given("data.group_by_length"), bool("data.group_by_length"), !bool("data.shuffle") {
      entries.reader.log.add(
        "`data.group_by_length` sorts anew what `data.shuffle: false` leaves in order; give one", at: node.mark)
    }
    if let template = given("data.chat_template") {
      if isGiven("data.chat_template.default_system"), !isGiven("data.chat_template.system") {
        entries.reader.log.add("`data.chat_template.default_system` needs `system`, the turn it stands in", at: template.mark)
      }
      if let node = given("data.chat_template_kwargs") {
        entries.reader.log.add(
          "`data.chat_template_kwargs` is for the model's own template, and `data.chat_template` takes its place", at: node.mark)
      }
    }
  }

  /// Keys that say nothing for the run's task, and what a list of classes must be.
  mutating func checkTask() {
    var others: [(key: String, of: String)] = []
    if task != .causalLM {
      others += [
        "data.tokens", "data.loss_on", "data.packing", "data.chat_template", "data.chat_template_kwargs", "samples",
      ].map { ($0, "language models") }
    }
    if !task.readsTexts { others += ["data.format", "data.max_seq_len", "data.group_by_length"].map { ($0, "texts") } }
    if !task.readsClasses { others += ["labels", "data.shots"].map { ($0, "classification") } }
    if task != .sentenceEmbedding { others.append(("embedding", "sentence_embedding")) }
    if task != .imageTextClassification { others.append(("data.prompt_template", "image_text_classification")) }
    for (key, kind) in others {
      guard let node = given(key) else { continue }
      if case .bool(false)? = items[key]?.value { continue }
      entries.reader.log.add("`\(key)` is for \(kind), and task is \(task.rawValue)", at: node.mark)
    }
    if let node = given("labels"), case .list(let names)? = items["labels"]?.value {
      let texts = names.map(\.text)
      if texts.count < 2 { entries.reader.log.add("`labels` needs two classes at least", at: node.mark) }
      if let twice = texts.enumerated().first(where: { texts[..<$0.offset].contains($0.element) }) {
        entries.reader.log.add("`labels` names `\(twice.element)` twice", at: node.items?[twice.offset].mark ?? node.mark)
      }
    }
    if let node = given("data.prompt_template"), let template = text("data.prompt_template"), !template.contains("{}") {
      entries.reader.log.add("`data.prompt_template` has no `{}` for the name of the class", at: node.mark)
    }
  }

  /// What would change sequences that are used as they stand.
  private mutating func checkTokens() {
    var contradicts: [(key: String, OptionValue?)] = [
      ("data.packing", .bool(true)), ("data.shuffle", .bool(true)), ("data.group_by_length", .bool(true)), ("data.split", nil),
    ]
    // With texts to evaluate on, these are about them.
    if !isGiven("data.valid"), !isGiven("data.test") {
      contradicts += [
        ("data.max_seq_len", nil), ("data.loss_on", .string("completion")), ("data.loss_on", .string("last_turn")),
        ("data.chat_template", nil), ("data.chat_template_kwargs", nil),
      ]
    }
    for (key, value) in contradicts {
      guard let node = given(key), value == nil || items[key]?.value == value else { continue }
      entries.reader.log.add("`\(key)` cannot stand beside `data.tokens`, which is learned as it stands, in order", at: node.mark)
    }
  }
}

/// The data files of a folder, by the names that the field gives them.
struct DataFolder {
  private(set) var train: String?
  private(set) var valid: String?
  private(set) var test: String?
  /// What is wrong with it, in words.
  private(set) var faults: [String] = []

  init(_ path: String) {
    train = file(["train"], in: path)
    valid = file(["valid", "validation", "val"], in: path)
    test = file(["test"], in: path)
    if train == nil, faults.isEmpty { faults.append("\(path): holds no train.jsonl, train.json or train.txt") }
  }

  private mutating func file(_ names: [String], in folder: String) -> String? {
    let found = names.flatMap { name in ["jsonl", "json", "txt"].map { "\(name).\($0)" } }.filter {
      Folder.isFile(Folder.join(folder, $0))
    }
    if found.count > 1 {
      faults.append("\(folder): holds \(found.joined(separator: " and ")); keep one, or name the file that is meant")
    }
    return found.first.map { Folder.join(folder, $0) }
  }
}
