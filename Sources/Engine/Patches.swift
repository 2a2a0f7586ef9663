extension Tensor {
  /// Images [B, C, H, W] cut into patches of `height` × `width` that do not overlap, row by row of each image's grid:
  /// [B · (H / height) · (W / width), C · height · width], every patch channel by channel.
  ///
  /// A convolution of that kernel and stride is one product with the result. What is left over at the right and at the
  /// bottom is in no patch.
  public func patches(height: Int, width: Int) -> Tensor {
    precondition(rank == 4 && height > 0 && width > 0, "patches of \(height) × \(width) of \(shape)")
    let grid = (down: shape[2] / height, across: shape[3] / width)
    let y = Tensor(uninitialized: [shape[0] * grid.down * grid.across, shape[1] * height * width], scalar)
    Self.eachPatchLine(shape, height, width) { image, patch in
      y.address(patch).copyMemory(from: address(image), byteCount: width * scalar.byteCount)
    }
    return y.recorded([self]) { [node, shape] dy, gradients in
      gradients.into(node) { dx, accumulate in
        if !accumulate { dx.fill(0) }
        Self.eachPatchLine(shape, height, width) { image, patch in
          Elementwise.accumulate(dx.view(image, [width]), dy.view(patch, [width]))
        }
      }
    }
  }

  /// Calls `body` for every line of every patch with where it begins in the images, and in the patches.
  private static func eachPatchLine(_ shape: [Int], _ height: Int, _ width: Int, _ body: (_ image: Int, _ patch: Int) -> Void) {
    let (channels, rows, columns) = (shape[1], shape[2], shape[3])
    var patch = 0
    for image in 0..<shape[0] {
      for top in stride(from: 0, through: rows - height, by: height) {
        for left in stride(from: 0, through: columns - width, by: width) {
          for channel in 0..<channels {
            for line in top..<top + height {
              body(((image * channels + channel) * rows + line) * columns + left, patch)
              patch += width
            }
          }
        }
      }
    }
  }
}
