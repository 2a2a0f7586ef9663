import PEFTKernel

public enum WaRAMethod {
  public static let plugin = Plugin("wa-ra")
}
