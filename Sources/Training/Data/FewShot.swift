import Engine

/// Few examples of every class, as studies of few-shot learning take them.
public enum FewShot {
  /// The places of `count` examples of every class, in their order; all of a class that has no more. Examples without a label are
  /// left out.
  ///
  /// What is drawn of one class follows from the seed, the class and its number of examples alone; and with more of them asked for
  /// the same ones are among them, so that 1, 2, 4, 8 and 16 shots are a series.
  public static func choose(labels: [Int?], count: Int, seed: UInt64) -> [Int] {
    var classes: [Int: [Int]] = [:]
    for (place, label) in labels.enumerated() {
      if let label { classes[label, default: []].append(place) }
    }
    let streams = Philox(key: seed).stream("shots")
    return classes.flatMap { label, places in
      var places = places
      var random = streams.stream(UInt64(bitPattern: Int64(label)))
      places.shuffle(using: &random)
      return places.prefix(max(0, count))
    }.sorted()
  }
}
