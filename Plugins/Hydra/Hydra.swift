import PEFTKernel

public enum HydraMethod {
  public static let plugin = Plugin("hydra")
}
