import PEFTKernel

public enum MaskedMethod {
  public static let plugin = Plugin("masked")
}
