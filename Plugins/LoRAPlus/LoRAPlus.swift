import PEFTKernel

public enum LoRAPlusMethod {
  public static let plugin = Plugin("lo-raplus")
}
