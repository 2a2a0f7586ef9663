import PEFTKernel

public enum SALTMethod {
  public static let plugin = Plugin("salt")
}
