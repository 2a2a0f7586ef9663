import PEFTKernel

public enum GaLoreMethod {
  public static let plugin = Plugin("ga-lore")
}
