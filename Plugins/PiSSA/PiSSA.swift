import PEFTKernel

public enum PiSSAMethod {
  public static let plugin = Plugin("pi-ssa")
}
