// swift-tools-version: 6.1
import PackageDescription

// Two packages in one would do as well: a method of one's own with its own program and tests, and a program that embeds
// the library. Copied elsewhere, the path below becomes a URL.
let house = "swift-peft"
let settings: [SwiftSetting] = [.enableUpcomingFeature("ExistentialAny")]

let package = Package(
  name: "strangers",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: house, path: "../..")],
  targets: [
    .target(
      name: "Kronecker", dependencies: [.product(name: "SwiftPEFT", package: house)], path: "Kronecker",
      resources: [.embedInCode("kronecker.yaml")], swiftSettings: settings),
    .executableTarget(
      name: "kronpeft", dependencies: ["Kronecker", .product(name: "PEFTCommand", package: house)], path: "kronpeft",
      swiftSettings: settings),
    .testTarget(
      name: "KroneckerTests",
      dependencies: [
        "Kronecker", .product(name: "SwiftPEFT", package: house), .product(name: "PEFTConformance", package: house),
      ], path: "KroneckerTests", swiftSettings: settings),
    .executableTarget(
      name: "embedding", dependencies: [.product(name: "SwiftPEFT", package: house)], path: "Embedding",
      swiftSettings: settings),
  ]
)
