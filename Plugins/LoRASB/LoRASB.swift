import PEFTKernel

public enum LoRASBMethod {
  public static let plugin = Plugin("lo-rasb")
}
