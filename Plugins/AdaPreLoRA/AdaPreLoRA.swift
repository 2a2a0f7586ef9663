import PEFTKernel

public enum AdaPreLoRAMethod {
  public static let plugin = Plugin("ada-pre-lo-ra")
}
