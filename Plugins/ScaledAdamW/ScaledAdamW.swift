import PEFTKernel

public enum ScaledAdamWMethod {
  public static let plugin = Plugin("scaled-adam-w")
}
