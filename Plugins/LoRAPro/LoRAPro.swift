import PEFTKernel

public enum LoRAProMethod {
  public static let plugin = Plugin("lo-rapro")
}
