import PEFTKernel

public enum SNELLMethod {
  public static let plugin = Plugin("snell")
}
