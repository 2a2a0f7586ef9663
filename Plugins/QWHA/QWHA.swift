import PEFTKernel

public enum QWHAMethod {
  public static let plugin = Plugin("qwha")
}
