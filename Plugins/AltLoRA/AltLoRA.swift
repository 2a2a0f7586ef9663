import PEFTKernel

public enum AltLoRAMethod {
  public static let plugin = Plugin("alt-lo-ra")
}
