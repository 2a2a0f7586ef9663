import Catalog
import PEFTCLI

await PEFTCommand.main(plugins: Catalog.plugins, entries: Catalog.entries, grid: Catalog.grid)
