import PEFTKernel

public enum BlockLoRAMethod {
  public static let plugin = Plugin("block-lo-ra")
}
