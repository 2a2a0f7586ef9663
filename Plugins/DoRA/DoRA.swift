import PEFTKernel

public enum DoRAMethod {
  public static let plugin = Plugin("do-ra")
}
