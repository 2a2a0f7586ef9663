import PEFTKernel

public enum LoRARITEMethod {
  public static let plugin = Plugin("lo-rarite")
}
